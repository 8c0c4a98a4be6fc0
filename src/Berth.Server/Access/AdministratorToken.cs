using System.Text;
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
    public static string? EnsureExists(TokenStore tokens, string dataFolder)
    {
        if (!tokens.IsEmpty)
        {
            return null;
        }

        string path = Path.Combine(dataFolder, FileName);
        // The file first: a server killed between the two makes another token at its next start.
        tokens.Create(
            "admin", Role.Admin, null, null,
            secret =>
            {
                DurableFile.ReplacePrivate(path, Encoding.ASCII.GetBytes(secret + "\n"));
                CrashPoints.Reach(CrashPoint.AdministratorTokenWritten);
            });
        return path;
    }
}
