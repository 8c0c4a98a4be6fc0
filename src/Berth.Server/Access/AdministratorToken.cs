using System.Text;
using Berth.Core.Errors;
using Berth.Core.Faults;
using Berth.Oci.Content;

namespace Berth.Server.Access;

/// <summary>
/// The token made at the first start. It is written once, to <c>admin.token</c> (mode 0600) in the data folder, where
/// the command line on the same machine finds it.
/// </summary>
public static class AdministratorToken
{
    public const string FileName = "admin.token";

    /// <summary>Makes the token if there are none at all; returns its file in that case, else null.</summary>
    public static async Task<string?> EnsureExistsAsync(
        TokenStore tokens, string dataFolder, CancellationToken cancellationToken)
    {
        if (!tokens.IsEmpty)
        {
            return null;
        }

        string path = Path.Combine(dataFolder, FileName);
        // The file first: a server killed between the two makes another token at its next start.
        try
        {
            await tokens.CreateAsync(
                "admin", Role.Admin, null, null,
                secret =>
                {
                    DurableFile.ReplacePrivate(path, Encoding.ASCII.GetBytes(secret + "\n"));
                    CrashPoints.Reach(CrashPoint.AdministratorTokenWritten);
                },
                cancellationToken);
            return path;
        }
        catch (BerthException meanwhile) when (meanwhile.Code == ErrorCode.Conflict && !tokens.IsEmpty)
        {
            // Another server of the same store, started at the same time, has made it.
            File.Delete(path);
            return null;
        }
    }
}
