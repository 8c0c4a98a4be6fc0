using Npgsql;

namespace Berth.Server.Store.Postgres;

/// <summary>The connections of one server to a database. One that is refused since the password was changed is asked
/// for once more, with the password that the file has by now.</summary>
internal sealed class PostgresConnections(NpgsqlDataSource source, PasswordFile? file) : IAsyncDisposable
{
    public async ValueTask<NpgsqlConnection> OpenAsync(CancellationToken cancellationToken)
    {
        string? password = file?.Password;
        try
        {
            return await source.OpenConnectionAsync(cancellationToken);
        }
        catch (PostgresException refused) when (
            file is not null && refused.SqlState == PostgresErrorCodes.InvalidPassword)
        {
            if (!await file.RenewAsync(password!, cancellationToken))
            {
                throw;
            }
        }

        return await source.OpenConnectionAsync(cancellationToken);
    }

    /// <summary>Closes those that nobody uses, and the others when they are given back.</summary>
    public void Clear() => source.Clear();

    public ValueTask DisposeAsync() => source.DisposeAsync();
}
