using System.Globalization;
using Berth.Core.Errors;
using Berth.Server.Hosting;
using Berth.Server.Store.Sqlite;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Berth.Server.Store.Postgres;

/// <summary>What was moved of one table.</summary>
/// <param name="Found">In the data folder.</param>
/// <param name="Moved">Of them; the others were there already.</param>
public sealed record MovedTable(string Name, long Found, long Moved);

/// <summary>
/// Moves the records of a data folder's own file into a database: all or none, in one transaction, and once more
/// changes nothing. Files (images, large inputs and results, logs, volumes) stay where they are: the folder goes on to
/// be this server's.
/// </summary>
public static class StoreMigration
{
    private const int Batch = 200;

    // As the tables of both stores have them. i: bigint, t: text, b: bytea, d: double precision.
    private static readonly (string Table, string Columns, string From)[] Tables =
    [
        ("runs",
            "id:t kind:i state:i generation:i attempts:i cancel:i caller:t image:t digest:t spec:b created_at:i "
            + "ready_at:i started_at:i ended_at:i expires_at:i reason:i exit_code:i signal:i detail:t node:t "
            + "cpu_user:i cpu_system:i peak_memory:i bytes_in:i bytes_out:i queue_time:i prepare_time:i start_time:i "
            + "run_time:i percent:d progress:t input_place:i input_length:i result_place:i result_length:i "
            + "result_expires_at:i bodies_due:i last_event:i http_status:i content_type:t dead:i rank:i holder:t "
            + "origin:t",
            "SELECT {0}, ?1, ?1 FROM runs ORDER BY seq"),
        ("run_inputs", "run:t body:b", "SELECT id, body FROM run_inputs JOIN runs ON seq = run"),
        ("run_results", "run:t body:b", "SELECT id, body FROM run_results JOIN runs ON seq = run"),
        ("run_events", "run:t number:i at:i type:t attempt:i detail:t",
            "SELECT id, number, at, type, attempt, run_events.detail FROM run_events JOIN runs ON seq = run"),
        ("run_labels", "name:t value:t run:t", "SELECT name, value, id FROM run_labels JOIN runs ON seq = run"),
        ("idempotency_keys", "caller:t key:t run:t request:b",
            "SELECT idempotency_keys.caller, key, id, request FROM idempotency_keys JOIN runs ON seq = run"),
        ("callbacks", "run:t slot:i target:t host:t body:b attempt:i first_due:i due:i holder:t",
            "SELECT id, slot, target, host, body, attempt, first_due, due, ?1 FROM callbacks JOIN runs ON seq = run"),
        ("forwards", "run:t function:t holder:t", "SELECT id, function, ?1 FROM forwards JOIN runs ON seq = run"),
        ("containers", "id:t name:t document:b holder:t", "SELECT id, name, document, ?1 FROM containers"),
        ("functions", "name:t document:b", "SELECT name, document FROM functions"),
        ("secrets", "name:t version:i key:i sealed:b length:i created_at:i updated_at:i caller:t",
            "SELECT {0} FROM secrets"),
        ("triggers", "name:t id:t document:b seen:i", "SELECT {0} FROM triggers"),
        ("trigger_firings", "owner:t key:t at:i outcome:i run:t detail:t",
            "SELECT {0} FROM trigger_firings ORDER BY seq"),
        ("nodes", "name:t document:b", "SELECT {0} FROM nodes"),
        ("networks", "id:t name:t document:b", "SELECT {0} FROM networks"),
        ("volumes", "name:t node:t created_at:i creator:t", "SELECT {0} FROM volumes"),
        ("node_tokens", "id:t hash:t created_at:i expires_at:i caller:t used_by:t", "SELECT {0} FROM node_tokens"),
        ("trigger_files", "owner:t path:t mark:t", "SELECT {0} FROM trigger_files"),
    ];

    /// <summary>Gives what was moved, table by table. Throws <c>InvalidConfiguration</c> where a server uses the
    /// folder, where it has no records, or where the database can't be used; <c>StorageDamaged</c>.</summary>
    public static async Task<IReadOnlyList<MovedTable>> MoveAsync(
        string folder, PostgresAddress address, TimeProvider time, ILoggerFactory loggers,
        CancellationToken cancellationToken)
    {
        if (!File.Exists(Path.Combine(folder, "berth.db")))
        {
            throw new BerthException(
                ErrorCode.InvalidConfiguration,
                File.Exists(Path.Combine(folder, Done))
                    ? $"The records of {folder} were moved before ({Done} has what they were): start the server with "
                        + "the setting store."
                    : $"The folder {folder} has no records: there is no berth.db in it.");
        }

        using DataFolder data = DataFolder.Open(folder);
        // Opened as a server does: it is looked at, and brought to this version.
        await (await SqliteRunStore.OpenAsync(
            data["berth.db"], SqliteRunStore.DefaultBallast, loggers.CreateLogger<SqliteRunStore>(),
            cancellationToken)).DisposeAsync();
        string server = ServerIdentity.LoadOrCreate(data["server.id"], time);
        List<MovedTable> moved = [];
        PostgresDatabase database = await PostgresDatabase.OpenAsync(
            address, time, loggers.CreateLogger<PostgresStore>(), cancellationToken);
        await using (database)
        {
            await using NpgsqlConnection connection = await database.Connections.OpenAsync(cancellationToken);
            await using NpgsqlTransaction transaction = await connection.BeginTransactionAsync(cancellationToken);
            using SqliteDatabase source = SqliteDatabase.OpenReader(data["berth.db"]);
            foreach ((string table, string columns, string from) in Tables)
            {
                moved.Add(await MoveAsync(connection, source, table, columns, from, server, cancellationToken));
            }

            // Servers that are there already read their functions, secrets and triggers again.
            await using (NpgsqlCommand changed = new("UPDATE changes SET number = number + 1", connection))
            {
                await changed.ExecuteNonQueryAsync(cancellationToken);
            }

            await transaction.CommitAsync(cancellationToken);
        }

        File.Move(data["berth.db"], data[Done], overwrite: true);
        File.Delete(data["berth.ballast"]);
        return moved;
    }

    /// <summary>What berth.db is called afterwards: a server that is started without store would begin with nothing
    /// rather than go on with what is no longer true.</summary>
    private const string Done = "berth.db.migrated";

    /// <summary>Columns of one table that are moved: all but the number that orders its rows.</summary>
    internal static int OldColumns(string table) => Tables.Single(entry => entry.Table == table).Columns.Split(' ')
        .Count(column => column is not ("holder:t" or "origin:t"));

    private static async Task<MovedTable> MoveAsync(
        NpgsqlConnection connection, SqliteDatabase source, string table, string columns, string from, string server,
        CancellationToken cancellationToken)
    {
        (string Name, char Kind)[] fields = [.. columns.Split(' ').Select(c => (c[..^2], c[^1]))];
        string[] own = [.. fields.Select(f => f.Name).Where(name => name is not ("holder" or "origin"))];
        using SqliteStatement select = source.PrepareOnce(
            string.Format(CultureInfo.InvariantCulture, from, string.Join(", ", own)));
        if (from.Contains("?1", StringComparison.Ordinal))
        {
            select.Bind(server);
        }

        string insert = $"INSERT INTO {table} ({string.Join(", ", fields.Select(f => f.Name))}) VALUES ("
            + string.Join(", ", Enumerable.Range(1, fields.Length).Select(n => "$" + n.ToString(
                CultureInfo.InvariantCulture))) + ") ON CONFLICT DO NOTHING";
        long found = 0;
        long moved = 0;
        bool more = true;
        while (more)
        {
            await using NpgsqlBatch batch = connection.CreateBatch();
            while (batch.BatchCommands.Count < Batch && (more = select.Step()))
            {
                batch.BatchCommands.Add(Insert(insert, fields, select));
            }

            found += batch.BatchCommands.Count;
            if (batch.BatchCommands.Count > 0)
            {
                await batch.ExecuteNonQueryAsync(cancellationToken);
                foreach (NpgsqlBatchCommand command in batch.BatchCommands)
                {
                    moved += command.RecordsAffected;
                }
            }
        }

        return new MovedTable(table, found, moved);
    }

    private static NpgsqlBatchCommand Insert(string sql, (string Name, char Kind)[] fields, SqliteStatement row)
    {
        PostgresStatement statement = new(sql);
        for (int column = 0; column < fields.Length; column++)
        {
            _ = fields[column].Kind switch
            {
                'i' => statement.Bind(row.NullableInt64(column)),
                'd' => statement.Bind(row.NullableDouble(column)),
                't' => statement.Bind(row.NullableText(column)),
                _ => statement.Bind(row.Blob(column)),
            };
        }

        return statement.Command;
    }
}
