using System.Globalization;
using System.Reflection;
using Berth.Core.Errors;
using Npgsql;

namespace Berth.Server.Store.Postgres;

/// <summary>Brings a database to this program's version: numbered SQL files, all that are missing in one transaction.
/// Servers that start at once wait for each other.</summary>
internal static class PostgresMigrations
{
    /// <summary>Of the advisory lock: the letters of the name, so that it is told apart from other programs'.</summary>
    private const long Lock = 0x62657274685f6d67;

    private const string Prefix = "Berth.Server.PostgresMigrations.";

    public static async Task ApplyAsync(PostgresConnections connections, CancellationToken cancellationToken)
    {
        await using NpgsqlConnection connection = await connections.OpenAsync(cancellationToken);
        await using NpgsqlTransaction transaction = await connection.BeginTransactionAsync(cancellationToken);
        await ExecuteAsync(connection, FormattableString.Invariant($"SELECT pg_advisory_xact_lock({Lock})"));
        IReadOnlyList<(int Number, string Resource)> migrations = List();
        int newest = migrations[^1].Number;
        bool isNew = await ScalarAsync("SELECT to_regclass('berth_version') IS NULL") is true;
        int version = isNew ? 0 : (int)(await ScalarAsync("SELECT version FROM berth_version"))!;
        if (version > newest)
        {
            throw new BerthException(
                ErrorCode.InvalidConfiguration,
                $"The database was written by a newer Berth (store version {version}, this one knows {newest}): run "
                + "that version, or use another database.");
        }

        if (isNew && await ScalarAsync("SELECT to_regclass('runs') IS NOT NULL") is true)
        {
            throw new BerthException(
                ErrorCode.InvalidConfiguration,
                "The database has a table 'runs' that is not Berth's: give Berth a database of its own.");
        }

        if (isNew)
        {
            await ExecuteAsync(connection, "CREATE TABLE berth_version (version integer NOT NULL)");
            await ExecuteAsync(connection, "INSERT INTO berth_version VALUES (0)");
        }

        foreach ((int _, string resource) in migrations.Where(migration => migration.Number > version))
        {
            await ExecuteAsync(connection, Read(resource));
        }

        // Written at every start: whoever may not write hears of it now, and not with the first task.
        await ExecuteAsync(connection, FormattableString.Invariant($"UPDATE berth_version SET version = {newest}"));
        await transaction.CommitAsync(cancellationToken);

        async Task<object?> ScalarAsync(string sql)
        {
            await using NpgsqlCommand command = new(sql, connection);
            return await command.ExecuteScalarAsync(cancellationToken);
        }

        async Task ExecuteAsync(NpgsqlConnection open, string sql)
        {
            await using NpgsqlCommand command = new(sql, open);
            command.CommandTimeout = 600;
            await command.ExecuteNonQueryAsync(cancellationToken);
        }
    }

    private static List<(int Number, string Resource)> List() =>
    [
        .. Assembly.GetExecutingAssembly().GetManifestResourceNames()
            .Where(name => name.StartsWith(Prefix, StringComparison.Ordinal))
            .Select(name => (int.Parse(name.AsSpan(Prefix.Length, 4), CultureInfo.InvariantCulture), name))
            .Order(),
    ];

    private static string Read(string resource)
    {
        using Stream stream = Assembly.GetExecutingAssembly().GetManifestResourceStream(resource)!;
        using StreamReader reader = new(stream);
        return reader.ReadToEnd();
    }
}
