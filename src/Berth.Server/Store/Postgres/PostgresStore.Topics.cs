using System.Collections.Concurrent;
using System.Globalization;

namespace Berth.Server.Store.Postgres;

// What every server holds in memory. A change is made by who knows the newest one: another server's is read first.
public sealed partial class PostgresStore
{
    private const string Functions = "functions";
    private const string Secrets = "secrets";
    private const string Triggers = "triggers";

    /// <summary>By topic: the change that this server's memory is as of.</summary>
    private readonly ConcurrentDictionary<string, long> known = new(StringComparer.Ordinal);

    async Task<IReadOnlySet<string>> IClusterStore.ChangedAsync(CancellationToken cancellationToken) =>
        (await database.ReadAsync(
            new PostgresStatement("SELECT topic, number FROM changes"),
            Rows.All(row => (Topic: row.Text(0), Number: row.Int64(1))), cancellationToken))
        .Where(change => known.TryGetValue(change.Topic, out long number) && number < change.Number)
        .Select(change => change.Topic).ToHashSet(StringComparer.Ordinal);

    async Task<byte[]?> IClusterStore.ReadDocumentAsync(string topic, CancellationToken cancellationToken) =>
        await ReadTopicAsync(
            topic, "body FROM documents WHERE name = $1", row => row.Blob(1).ToArray(), cancellationToken)
            is [{ } body] ? body : null;

    Task IClusterStore.WriteDocumentAsync(string topic, byte[] body, CancellationToken cancellationToken) =>
        ChangeAsync(
            topic, isNew: true,
            "w AS (INSERT INTO documents (name, body) SELECT $1, $3 FROM c "
            + "ON CONFLICT (name) DO UPDATE SET body = excluded.body)",
            statement => statement.Bind(body), cancellationToken);

    /// <summary>The change that this server's memory is as of.</summary>
    private string AfterText(string topic) =>
        known.GetValueOrDefault(topic).ToString(CultureInfo.InvariantCulture);

    /// <param name="columns">And where they are; the first is column 1.</param>
    private async Task<IReadOnlyList<T>> ReadTopicAsync<T>(
        string topic, string columns, Func<PostgresRow, T> read, CancellationToken cancellationToken)
    {
        // One statement sees one moment: the number is that of these records.
        List<(long Number, T? Record, bool IsOne)> rows = await database.ReadAsync(
            new PostgresStatement(
                $"SELECT number, r.* FROM changes LEFT JOIN (SELECT {columns}) r ON true WHERE topic = $1").Bind(topic),
            Rows.All(row => row.IsNull(1) ? (row.Int64(0), default(T), false) : (row.Int64(0), read(row), true)),
            cancellationToken);
        known[topic] = rows[0].Number;
        return [.. rows.Where(row => row.IsOne).Select(row => row.Record!)];
    }

    /// <param name="write">Clauses of a WITH, that do nothing unless there is a row in <c>c</c>; their values begin
    /// with $3.</param>
    /// <exception cref="StaleRecordsException">Another server has changed something meanwhile.</exception>
    private async Task ChangeAsync(
        string topic, bool isNew, string write, Func<PostgresStatement, PostgresStatement> bind,
        CancellationToken cancellationToken)
    {
        long before = known.GetValueOrDefault(topic);
        long number = await database.WriteAsync(
            isNew,
            () => bind(new PostgresStatement(
                "WITH c AS (UPDATE changes SET number = number + 1 WHERE topic = $1 AND number = $2 RETURNING number), "
                + $"{write} SELECT number FROM c, pg_notify('{Channel}', '')").Bind(topic).Bind(before)),
            Rows.Number, cancellationToken);
        if (number == 0)
        {
            throw new StaleRecordsException(topic);
        }

        known[topic] = number;
    }
}
