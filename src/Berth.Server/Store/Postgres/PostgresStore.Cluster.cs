using Berth.Core.Functions;
using Berth.Core.Runs;
using Npgsql;

namespace Berth.Server.Store.Postgres;

// What servers that share a database have to know of each other.
public sealed partial class PostgresStore : IClusterStore
{
    private const string Channel = "berth_news";

    private volatile string[] offered = [];
    private volatile string[] reached = [];

    string IClusterStore.Self => server;

    Task IClusterStore.BeatAsync(string name, string version, string address, CancellationToken cancellationToken) =>
        database.WriteAsync(
            isNew: false,
            () => new PostgresStatement(
                "INSERT INTO servers (id, name, beat, version, address) VALUES ($1, $2, 1, $3, $4) ON CONFLICT (id) "
                + "DO UPDATE SET beat = servers.beat + 1, name = excluded.name, version = excluded.version, "
                + "address = excluded.address, gone = 0 RETURNING beat")
                .Bind(server).Bind(name).Bind(version).Bind(address),
            cancellationToken);

    Task IClusterStore.LeaveAsync(string server, CancellationToken cancellationToken) => database.WriteAsync(
        isNew: false,
        () => new PostgresStatement("UPDATE servers SET gone = 1 WHERE id = $1 RETURNING id").Bind(server),
        cancellationToken);

    async Task<IReadOnlyList<ServerBeat>> IClusterStore.ServersAsync(CancellationToken cancellationToken) =>
        await database.ReadAsync(
            new PostgresStatement("SELECT id, name, beat, address, gone FROM servers"),
            Rows.All(row => new ServerBeat(
                row.Text(0), row.Text(1), row.Int64(2), row.Text(3), row.Int64(4) != 0, row.Text(0) == server)),
            cancellationToken);

    Task<RunServers?> IClusterStore.WhereAsync(RunId id, CancellationToken cancellationToken) => database.ReadAsync(
        new PostgresStatement("SELECT origin, holder FROM runs WHERE id = $1").Bind(id.Text),
        Rows.First<RunServers?>(row => new RunServers(row.Text(0), row.Text(1)), null), cancellationToken);

    async Task<IReadOnlyCollection<string>> IClusterStore.HoldersAsync(
        IReadOnlyCollection<RunId> ids, CancellationToken cancellationToken) => await database.ReadAsync(
        new PostgresStatement("SELECT DISTINCT holder FROM runs WHERE id = ANY($1) AND holder <> ''")
            .Bind(ids.Select(id => id.Text)),
        Rows.All(row => row.Text(0)), cancellationToken);

    Task<string?> IClusterStore.HolderOfContainerAsync(string container, CancellationToken cancellationToken) =>
        database.ReadAsync(
            new PostgresStatement(
                "SELECT holder FROM containers WHERE name = $1 OR starts_with(id, $1) ORDER BY name = $1 DESC LIMIT 1")
                .Bind(container),
            Rows.First<string?>(row => row.Text(0), null), cancellationToken);

    Task<Function?> IClusterStore.FindFunctionAsync(string name, CancellationToken cancellationToken) =>
        database.ReadAsync(
            new PostgresStatement("SELECT document FROM functions WHERE name = $1").Bind(name),
            Rows.First<Function?>(row => FunctionDocument.Read(row.Blob(0)), null), cancellationToken);

    async Task<SealedKey> IClusterStore.ShareKeyAsync(
        string name, SealedKey own, CancellationToken cancellationToken)
    {
        await database.WriteAsync(
            isNew: false,
            () => new PostgresStatement(
                "INSERT INTO cluster_keys (name, key, sealed) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING 1")
                .Bind(name).Bind(own.Key).Bind(own.Sealed),
            cancellationToken);
        return await database.ReadAsync(
            new PostgresStatement("SELECT key, sealed FROM cluster_keys WHERE name = $1").Bind(name),
            Rows.First(row => new SealedKey((int)row.Int64(0), row.Blob(1).ToArray()), own), cancellationToken);
    }

    Task IClusterStore.ResealKeyAsync(
        string name, int before, SealedKey again, CancellationToken cancellationToken) => database.WriteAsync(
        isNew: false,
        () => new PostgresStatement(
            "UPDATE cluster_keys SET key = $3, sealed = $4 WHERE name = $1 AND key = $2 RETURNING 1")
            .Bind(name).Bind(before).Bind(again.Key).Bind(again.Sealed),
        cancellationToken);

    async Task<IReadOnlyList<Run>> IClusterStore.AdoptAsync(
        string lost, int limit, CancellationToken cancellationToken) => await database.WriteAsync(
        isNew: false,
        () => new PostgresStatement(
            "UPDATE runs SET holder = $1, generation = generation + 1 WHERE id = ANY(ARRAY(SELECT id FROM runs "
            + "WHERE state IN (1, 2) AND holder = $2 ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED)) RETURNING "
            + RunRows.Columns).Bind(server).Bind(lost).Bind(limit),
        Rows.Runs, cancellationToken);

    Task IClusterStore.AdoptDebtsAsync(string lost, CancellationToken cancellationToken) => database.WriteAsync(
        isNew: false,
        () => new PostgresStatement(
            "WITH c AS (UPDATE callbacks SET holder = $1 WHERE holder = $2), "
            + "f AS (UPDATE forwards SET holder = $1 WHERE holder = $2) SELECT 1").Bind(server).Bind(lost),
        cancellationToken);

    async Task<IReadOnlySet<RunId>> IClusterStore.WithFilesAsync(
        IReadOnlyCollection<RunId> ids, CancellationToken cancellationToken) =>
        (await database.ReadAsync(
            new PostgresStatement(
                "SELECT id FROM runs WHERE id = ANY($1) AND (state < 3 OR input_place = 2 OR result_place = 2)")
                .Bind(ids.Select(id => id.Text)),
            Rows.All(row => RunId.Parse(row.Text(0))), cancellationToken)).ToHashSet();

    async Task<IReadOnlyDictionary<RunId, HeldTask>> IClusterStore.HeldTasksAsync(
        CancellationToken cancellationToken) =>
        (await database.ReadAsync(
            new PostgresStatement(
                "SELECT id, generation, cancel FROM runs WHERE state IN (1, 2) AND holder = $1 AND kind = $2")
                .Bind(server).Bind((long)RunKind.Task),
            Rows.All(row => (
                Id: RunId.Parse(row.Text(0)), Held: new HeldTask((int)row.Int64(1), row.Int64(2) != 0))),
            cancellationToken))
        .ToDictionary(entry => entry.Id, entry => entry.Held);

    async Task<IReadOnlyList<string>> IClusterStore.WaitingImagesAsync(CancellationToken cancellationToken) =>
        await database.ReadAsync(
            new PostgresStatement(
                "SELECT DISTINCT digest FROM (SELECT digest FROM runs WHERE state = 0 AND origin <> $1 LIMIT 10000) w "
                + "LIMIT 1000").Bind(server),
            Rows.All(row => row.Text(0)), cancellationToken);

    void IClusterStore.Offer(IReadOnlyCollection<string> images, IReadOnlyCollection<string> reached)
    {
        offered = [.. images];
        this.reached = [.. reached];
    }

    async Task<IReadOnlyList<(RunId Run, NumberedEvent Event)>> IClusterStore.NewEventsAsync(
        IReadOnlyDictionary<RunId, long> after, CancellationToken cancellationToken) => await database.ReadAsync(
        new PostgresStatement(
            "SELECT e.run, e.number, e.at, e.type, e.attempt, e.detail FROM unnest($1, $2) AS w (run, number) "
            + "JOIN run_events e ON e.run = w.run AND e.number > w.number ORDER BY e.run, e.number LIMIT 1000")
            .Bind(after.Keys.Select(id => id.Text)).Bind(after.Values),
        Rows.All(row => (
            RunId.Parse(row.Text(0)),
            new NumberedEvent(
                row.Int64(1),
                new RunEvent(RunRows.Time(row.Int64(2)), row.Text(3), (int)row.Int64(4), row.Text(5))))),
        cancellationToken);

    async Task IClusterStore.TellAsync(CancellationToken cancellationToken) => await database.ReadAsync(
        new PostgresStatement($"SELECT 1 FROM pg_notify('{Channel}', '')"), Rows.CountAsync, cancellationToken);

    async Task IClusterStore.ListenAsync(Action told, CancellationToken cancellationToken)
    {
        try
        {
            await using NpgsqlConnection connection = await database.Connections.OpenAsync(cancellationToken);
            connection.Notification += (_, _) => told();
            await using (NpgsqlCommand listen = new("LISTEN " + Channel, connection))
            {
                await listen.ExecuteNonQueryAsync(cancellationToken);
            }

            while (true)
            {
                await connection.WaitAsync(cancellationToken);
            }
        }
        catch (Exception error) when (PostgresFaults.IsAway(error))
        {
            throw PostgresFaults.Away(database.Address, error);
        }
    }
}
