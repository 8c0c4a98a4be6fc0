using Berth.Core.Errors;
using Npgsql;

namespace Berth.Server.Store.Postgres;

/// <summary>
/// The password of a database as a file has it. It is read when a server starts, and again only when the database
/// refuses what was read: so the file may have the next one before the database does.
/// </summary>
internal sealed class PasswordFile
{
    private readonly string path;
    private volatile string password;

    private PasswordFile(string path, string password) => (this.path, this.password) = (path, password);

    public string Password => password;

    /// <summary>Throws <c>InvalidConfiguration</c>.</summary>
    public static async Task<PasswordFile> ReadAsync(string path, CancellationToken cancellationToken)
    {
        try
        {
            return new PasswordFile(path, await TextAsync(path, cancellationToken));
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new BerthException(
                ErrorCode.InvalidConfiguration,
                $"The password of the store can't be read from {path}: {error.Message}", error);
        }
    }

    /// <summary>Reads it again; false where it still is the one that was refused.</summary>
    public async Task<bool> RenewAsync(string refused, CancellationToken cancellationToken)
    {
        try
        {
            // Empty while somebody writes it.
            if (await TextAsync(path, cancellationToken) is { Length: > 0 } text)
            {
                password = text;
            }
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new NpgsqlException($"The password was refused, and {path} can't be read", error);
        }

        return password != refused;
    }

    private static async Task<string> TextAsync(string path, CancellationToken cancellationToken) =>
        (await File.ReadAllTextAsync(path, cancellationToken)).Trim();
}
