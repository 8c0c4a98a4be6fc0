using Berth.Core.Containers;
using Berth.Core.Functions;
using Berth.Core.Runs;
using Berth.Core.Triggers;
using Berth.Server.Secrets;
using Berth.Server.Store.Sqlite;
using Npgsql;

namespace Berth.Server.Store.Postgres;

// Records that are read and written as a whole: containers, functions, secrets, triggers. What all servers hold in
// memory goes by topic, see PostgresStore.Topics.cs.
public sealed partial class PostgresStore
{
    /// <summary>Of this server: a container is where its files are.</summary>
    public async Task<IReadOnlyList<Container>> AllContainersAsync(CancellationToken cancellationToken) =>
        await database.ReadAsync(
            new PostgresStatement("SELECT document FROM containers WHERE holder = $1").Bind(server),
            Rows.All(row => ContainerDocument.Read(row.Blob(0))), cancellationToken);

    public async Task<IReadOnlyList<Container>> ContainersOfAllAsync(CancellationToken cancellationToken) =>
        await database.ReadAsync(
            new PostgresStatement("SELECT document FROM containers"),
            Rows.All(row => ContainerDocument.Read(row.Blob(0))), cancellationToken);

    public async Task AddAsync(Container container, CancellationToken cancellationToken)
    {
        int added = await database.WriteAsync(
            isNew: true,
            () => new PostgresStatement(
                "INSERT INTO containers (id, name, holder, document) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING "
                + "RETURNING 1")
                .Bind(container.Id.Text).Bind(container.Name).Bind(server).Bind(ContainerDocument.Write(container)),
            cancellationToken);
        if (added == 0)
        {
            throw ContainerWrites.NameIsTaken(
                container.Name, await HasNameAsync(container, cancellationToken) ?? container.Id.Text);
        }
    }

    public async Task SaveAsync(Container container, CancellationToken cancellationToken)
    {
        try
        {
            await database.WriteAsync(
                isNew: false,
                () => new PostgresStatement("UPDATE containers SET name = $1, document = $2 WHERE id = $3 RETURNING 1")
                    .Bind(container.Name).Bind(ContainerDocument.Write(container)).Bind(container.Id.Text),
                cancellationToken);
        }
        catch (InvalidOperationException error) when (
            error.InnerException is PostgresException { SqlState: PostgresErrorCodes.UniqueViolation })
        {
            throw ContainerWrites.NameIsTaken(
                container.Name, await HasNameAsync(container, cancellationToken) ?? "that is gone by now");
        }
    }

    public Task DeleteAsync(ContainerId id, CancellationToken cancellationToken) => database.WriteAsync(
        isNew: false,
        () => new PostgresStatement("DELETE FROM containers WHERE id = $1 RETURNING 1").Bind(id.Text),
        cancellationToken);

    public async Task<IReadOnlyList<Function>> AllFunctionsAsync(CancellationToken cancellationToken) =>
        await ReadTopicAsync(
            Functions, "document FROM functions", row => FunctionDocument.Read(row.Blob(1)), cancellationToken);

    public Task PutAsync(Function function, CancellationToken cancellationToken) => ChangeAsync(
        Functions, isNew: true,
        "w AS (INSERT INTO functions (name, document) SELECT $3, $4 FROM c "
        + "ON CONFLICT (name) DO UPDATE SET document = excluded.document)",
        statement => statement.Bind(function.Name).Bind(FunctionDocument.Write(function)), cancellationToken);

    public Task DeleteFunctionAsync(string name, CancellationToken cancellationToken) => ChangeAsync(
        Functions, isNew: false, "w AS (DELETE FROM functions WHERE name = $3 AND EXISTS (SELECT 1 FROM c))",
        statement => statement.Bind(name), cancellationToken);

    async Task<IReadOnlyList<SecretRecord>> ISecretStore.AllSecretsAsync(CancellationToken cancellationToken) =>
        await ReadTopicAsync(
            Secrets, "name, version, key, sealed, length, created_at, updated_at, caller FROM secrets",
            row => new SecretRecord(
                row.Text(1), (int)row.Int64(2), (int)row.Int64(3), row.Blob(4).ToArray(), (int)row.Int64(5),
                RunRows.Time(row.Int64(6)), RunRows.Time(row.Int64(7)), row.Text(8)),
            cancellationToken);

    Task ISecretStore.PutAsync(SecretRecord secret, CancellationToken cancellationToken) => ChangeAsync(
        Secrets, isNew: true,
        "w AS (INSERT INTO secrets (name, version, key, sealed, length, created_at, updated_at, caller) "
        + "SELECT $3, $4, $5, $6, $7, $8, $9, $10 FROM c ON CONFLICT (name) DO UPDATE SET version = excluded.version, "
        + "key = excluded.key, sealed = excluded.sealed, length = excluded.length, "
        + "created_at = excluded.created_at, updated_at = excluded.updated_at, caller = excluded.caller)",
        statement => statement
            .Bind(secret.Name).Bind(secret.Version).Bind(secret.Key).Bind(secret.Sealed).Bind(secret.Length)
            .Bind(RunRows.Micros(secret.CreatedAt)).Bind(RunRows.Micros(secret.UpdatedAt)).Bind(secret.Caller),
        cancellationToken);

    Task ISecretStore.DeleteSecretAsync(string name, CancellationToken cancellationToken) => ChangeAsync(
        Secrets, isNew: false, "w AS (DELETE FROM secrets WHERE name = $3 AND EXISTS (SELECT 1 FROM c))",
        statement => statement.Bind(name), cancellationToken);

    async Task<IReadOnlyList<(Trigger Trigger, DateTimeOffset Seen)>> ITriggerStore.AllTriggersAsync(
        CancellationToken cancellationToken) => await ReadTopicAsync(
        Triggers, "document, seen FROM triggers",
        row => (TriggerDocument.Read(row.Blob(1)), RunRows.Time(row.Int64(2))), cancellationToken);

    Task ITriggerStore.PutAsync(Trigger trigger, DateTimeOffset seen, CancellationToken cancellationToken) =>
        ChangeAsync(
            Triggers, isNew: true,
            "o AS (SELECT id FROM triggers, c WHERE name = $3 AND id <> $4), " + ForgetFrom("o")
            + ", w AS (INSERT INTO triggers (name, id, document, seen) SELECT $3, $4, $5, $6 FROM c "
            + "ON CONFLICT (name) DO UPDATE SET id = excluded.id, document = excluded.document, seen = excluded.seen)",
            statement => statement.Bind(trigger.Name).Bind(trigger.Id.Text).Bind(TriggerDocument.Write(trigger))
                .Bind(RunRows.Micros(seen)),
            cancellationToken);

    Task ITriggerStore.DeleteTriggerAsync(Trigger trigger, CancellationToken cancellationToken) =>
        ChangeAsync(
            Triggers, isNew: false,
            "o AS (DELETE FROM triggers WHERE id = $3 AND EXISTS (SELECT 1 FROM c) RETURNING id), " + ForgetFrom("o"),
            statement => statement.Bind(trigger.Id.Text), cancellationToken);

    async Task ITriggerStore.RecordAsync(
        Firing firing, DateTimeOffset? seen, (string Path, string Mark)? file, CancellationToken cancellationToken)
    {
        // Removed meanwhile, and with it whatever would be remembered of it: then there is no row.
        await database.WriteAsync(
            isNew: false,
            () => new PostgresStatement(
                "WITH o AS (SELECT id FROM triggers WHERE id = $1), "
                + "f AS (INSERT INTO trigger_firings AS t (owner, key, at, outcome, run, detail) "
                + "SELECT id, $2, $3, $4, $5, $6 FROM o ON CONFLICT (owner, key) DO UPDATE SET at = excluded.at, "
                + "outcome = excluded.outcome, run = excluded.run, detail = excluded.detail WHERE t.run IS NULL), "
                + "s AS (UPDATE triggers SET seen = $7 FROM o WHERE triggers.id = o.id AND $7 IS NOT NULL), "
                + "m AS (INSERT INTO trigger_files (owner, path, mark) SELECT id, $8, $9 FROM o WHERE $8 IS NOT NULL "
                + "ON CONFLICT (owner, path) DO UPDATE SET mark = excluded.mark) SELECT id FROM o")
                .Bind(firing.Trigger.Text).Bind(firing.Key).Bind(RunRows.Micros(firing.At)).Bind((long)firing.Outcome)
                .Bind(firing.Run?.Text).Bind(firing.Detail).Bind(RunRows.Micros(seen)).Bind(file?.Path)
                .Bind(file?.Mark),
            cancellationToken);
        await database.WriteAsync(
            isNew: false,
            () => new PostgresStatement(
                "DELETE FROM trigger_firings WHERE owner = $1 AND seq <= (SELECT seq FROM trigger_firings "
                + "WHERE owner = $1 ORDER BY seq DESC LIMIT 1 OFFSET $2) RETURNING 1")
                .Bind(firing.Trigger.Text).Bind(Firing.Kept),
            cancellationToken);
    }

    async Task<IReadOnlyList<Firing>> ITriggerStore.FiringsAsync(
        RunId trigger, int limit, CancellationToken cancellationToken) => await database.ReadAsync(
        new PostgresStatement(
            "SELECT key, at, outcome, run, detail FROM trigger_firings WHERE owner = $1 ORDER BY seq DESC LIMIT $2")
            .Bind(trigger.Text).Bind(limit),
        Rows.All(row => new Firing(
            trigger, row.Text(0), RunRows.Time(row.Int64(1)), (FiringOutcome)row.Int64(2),
            row.NullableText(3) is { } run ? RunId.Parse(run) : null, row.NullableText(4))),
        cancellationToken);

    async Task<IReadOnlyDictionary<string, string>> ITriggerStore.FilesAsync(
        RunId trigger, CancellationToken cancellationToken) =>
        (await database.ReadAsync(
            new PostgresStatement("SELECT path, mark FROM trigger_files WHERE owner = $1").Bind(trigger.Text),
            Rows.All(row => (Path: row.Text(0), Mark: row.Text(1))), cancellationToken))
        .ToDictionary(file => file.Path, file => file.Mark, StringComparer.Ordinal);

    Task ITriggerStore.ForgetAsync(
        RunId trigger, IReadOnlyCollection<string> gone, CancellationToken cancellationToken) => database.WriteAsync(
        isNew: false,
        () => new PostgresStatement("DELETE FROM trigger_files WHERE owner = $1 AND path = ANY($2) RETURNING 1")
            .Bind(trigger.Text).Bind(gone),
        cancellationToken);

    /// <summary>All that is remembered of the triggers in <paramref name="owners"/>.</summary>
    private static string ForgetFrom(string owners) =>
        $"x AS (DELETE FROM trigger_firings WHERE owner IN (SELECT id FROM {owners})), "
        + $"y AS (DELETE FROM trigger_files WHERE owner IN (SELECT id FROM {owners}))";

    private async Task<string?> HasNameAsync(Container container, CancellationToken cancellationToken) =>
        await database.ReadAsync(
            new PostgresStatement("SELECT id FROM containers WHERE name = $1 AND id <> $2")
                .Bind(container.Name).Bind(container.Id.Text),
            Rows.First<string?>(row => row.Text(0), null), cancellationToken);
}
