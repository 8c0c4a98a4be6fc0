using Berth.Core.Errors;
using Berth.Core.Runs;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Berth.Server.Store.Postgres;

/// <summary>
/// The store of several equal servers: one PostgreSQL database. Writes go in groups, claims skip what another server is
/// about to claim, and whatever is under way names the server that holds it.
/// </summary>
public sealed partial class PostgresStore : IServerStore
{
    private const string SelectRuns = "SELECT " + RunRows.Columns + " FROM runs ";

    private readonly PostgresDatabase database;
    private readonly string server;

    private PostgresStore(PostgresDatabase database, string server)
    {
        this.database = database;
        this.server = server;
    }

    public StoreCondition Condition => database.Writer.Condition;

    /// <summary>Opens the database and brings it to this version. Throws <c>InvalidConfiguration</c> with what is to be
    /// done where it can't be used.</summary>
    /// <param name="server">Identity of the server that holds what it claims: the same after a restart.</param>
    public static async Task<PostgresStore> OpenAsync(
        PostgresAddress address, string server, TimeProvider time, ILogger<PostgresStore> logger,
        CancellationToken cancellationToken) =>
        new(await PostgresDatabase.OpenAsync(address, time, logger, cancellationToken), server);

    public async Task<RunAcceptance> AcceptAsync(NewRun run, CancellationToken cancellationToken)
    {
        while (true)
        {
            bool isNew = await database.WriteAsync(
                isNew: true, () => RunStatements.Insert(server, run), Rows.CountAsync, cancellationToken) > 0;
            if (isNew)
            {
                return new RunAcceptance(run.Run, IsNew: true);
            }

            if (run.IdempotencyKey is not { } key)
            {
                throw new InvalidOperationException($"Run {run.Run.Id} was accepted twice.");
            }

            // Nobody has the key any more where its run was deleted in between.
            if (await FindByKeyAsync(run.Run.Caller, key, cancellationToken) is var (earlier, request))
            {
                return request.AsSpan().SequenceEqual(run.RequestHash.Span)
                    ? new RunAcceptance(earlier, IsNew: false)
                    : throw new BerthException(
                        ErrorCode.IdempotencyConflict,
                        $"The idempotency key '{key}' belongs to run {earlier.Id}, which was another request: use a "
                        + "new key for a new request.");
            }
        }
    }

    public Task RecordAsync(Run run, CancellationToken cancellationToken) => database.WriteAsync(
        isNew: true, () => RunStatements.Insert(server, new NewRun(run, default, null, default)), cancellationToken);

    public async Task<IReadOnlyList<ClaimedRun>> ClaimAsync(ClaimOrder order, CancellationToken cancellationToken)
    {
        List<(long Place, ClaimedRun Run)> claimed = await database.WriteAsync(
            isNew: false, () => RunStatements.Claim(server, offered, reached, order),
            Rows.All(row => (
                row.Int64(RunRows.Count + 1),
                new ClaimedRun(
                    Rows.Run(row), row.IsNull(RunRows.Count) ? null : row.Blob(RunRows.Count).ToArray()))),
            cancellationToken);
        // RETURNING promises no order.
        return [.. claimed.OrderBy(entry => entry.Place).Select(entry => entry.Run)];
    }

    public Task<int?> HighestWaitingAsync(DateTimeOffset now, CancellationToken cancellationToken) =>
        database.ReadAsync(
            new PostgresStatement(
                "SELECT rank FROM runs WHERE state = 0 AND ready_at <= $4 AND "
                + RunStatements.MayClaim("$1", "$2", "$3") + " ORDER BY rank, caller LIMIT 1")
                .Bind(server).Bind(offered).Bind(reached).Bind(RunRows.Micros(now)),
            Rows.First<int?>(row => (int)-row.Int64(0), null), cancellationToken);

    public async Task<SaveOutcome> SaveAsync(RunChange change, CancellationToken cancellationToken)
    {
        (long LastEvent, bool Cancel)? applied = await database.WriteAsync(
            isNew: false, () => RunStatements.Update(server, change),
            Rows.First<(long, bool)?>(row => (row.Int64(0), row.Int64(1) != 0), null), cancellationToken);
        return applied is { } now
            ? new SaveOutcome(
                Applied: true, change.Next with { LastEvent = now.LastEvent, CancelRequested = now.Cancel })
            : new SaveOutcome(Applied: false, await FindAsync(change.Next.Id, cancellationToken));
    }

    public async Task<Run?> RequestCancelAsync(RunId id, RunEvent reason, CancellationToken cancellationToken)
    {
        await database.WriteAsync(isNew: false, () => RunStatements.RequestCancel(id, reason), cancellationToken);
        return await FindAsync(id, cancellationToken);
    }

    public Task<Run?> FindAsync(RunId id, CancellationToken cancellationToken) => database.ReadAsync(
        new PostgresStatement(SelectRuns + "WHERE id = $1").Bind(id.Text), Rows.FirstRun, cancellationToken);

    public async Task<IReadOnlyList<Run>> ListAsync(RunQuery query, CancellationToken cancellationToken) =>
        await database.ReadAsync(RunListing.Select(query), Rows.Runs, cancellationToken);

    public async Task<IReadOnlySet<RunId>> KnownAsync(
        IReadOnlyCollection<RunId> ids, CancellationToken cancellationToken) =>
        (await database.ReadAsync(
            new PostgresStatement("SELECT id FROM runs WHERE id = ANY($1)").Bind(ids.Select(id => id.Text)),
            Rows.All(row => RunId.Parse(row.Text(0))), cancellationToken)).ToHashSet();

    public Task<byte[]?> ReadInputAsync(RunId id, CancellationToken cancellationToken) => database.ReadAsync(
        new PostgresStatement("SELECT body FROM run_inputs WHERE run = $1").Bind(id.Text), Rows.Body,
        cancellationToken);

    public Task<byte[]?> ReadResultAsync(RunId id, CancellationToken cancellationToken) => database.ReadAsync(
        new PostgresStatement("SELECT body FROM run_results WHERE run = $1").Bind(id.Text), Rows.Body,
        cancellationToken);

    /// <summary>Of this server: what another one has under way is its own.</summary>
    public async Task<IReadOnlyList<Run>> UnfinishedAsync(
        RunId? after, int limit, CancellationToken cancellationToken) => await database.ReadAsync(
        new PostgresStatement(
            SelectRuns + "WHERE state IN (1, 2) AND holder = $1 AND id > $2 ORDER BY id LIMIT $3")
            .Bind(server).Bind(after?.Text ?? "").Bind(limit),
        Rows.Runs, cancellationToken);

    public async Task<IReadOnlyList<NumberedEvent>> EventsAsync(
        RunId id, long after, int limit, CancellationToken cancellationToken) => await database.ReadAsync(
        new PostgresStatement(
            "SELECT number, at, type, attempt, detail FROM run_events WHERE run = $1 AND number > $2 ORDER BY number "
            + "LIMIT $3").Bind(id.Text).Bind(after).Bind(limit),
        Rows.All(row => new NumberedEvent(
            row.Int64(0),
            new RunEvent(RunRows.Time(row.Int64(1)), row.Text(2), (int)row.Int64(3), row.Text(4)))),
        cancellationToken);

    /// <summary>Of what this server may claim and has to deliver.</summary>
    public Task<NextDue> NextDueAsync(CancellationToken cancellationToken) => database.ReadAsync(
        new PostgresStatement(
            "SELECT (SELECT ready_at FROM runs WHERE state = 0 AND " + RunStatements.MayClaim("$1", "$2", "$3")
            + " ORDER BY ready_at, id LIMIT 1), (SELECT min(due) FROM callbacks WHERE holder = $1)")
            .Bind(server).Bind(offered).Bind(reached),
        Rows.First(
            row => new NextDue(RunRows.Time(row.NullableInt64(0)), RunRows.Time(row.NullableInt64(1))), default),
        cancellationToken);

    public Task<RunCounts> CountAsync(CancellationToken cancellationToken) => database.ReadAsync(
        new PostgresStatement(
            "SELECT (SELECT count(*) FROM runs WHERE state = 0), "
            + "(SELECT count(*) FROM runs WHERE state IN (1, 2) AND state = 1), "
            + "(SELECT count(*) FROM runs WHERE state IN (1, 2) AND state = 2), (SELECT count(*) FROM callbacks), "
            + "(SELECT created_at FROM runs WHERE state = 0 ORDER BY ready_at, id LIMIT 1)"),
        Rows.First(
            row => new RunCounts(
                row.Int64(0), row.Int64(1), row.Int64(2), row.Int64(3), RunRows.Time(row.NullableInt64(4))),
            new RunCounts(0, 0, 0, 0, null)),
        cancellationToken);

    public StoreFigures Figures() => database.Writer.Figures();

    public Task CopyAsync(string path, CancellationToken cancellationToken) => throw new BerthException(
        ErrorCode.Conflict,
        $"This server's records are in {database.Address}: back them up with pg_dump, and the "
        + "data folder of each server as files while it is stopped.");

    public ValueTask DisposeAsync() => database.DisposeAsync();

    private Task<(Run Run, byte[] Request)?> FindByKeyAsync(
        string caller, string key, CancellationToken cancellationToken) => database.ReadAsync(
        new PostgresStatement(
            $"SELECT {RunRows.Columns}, request FROM runs JOIN (SELECT run, request FROM idempotency_keys "
            + "WHERE caller = $1 AND key = $2) k ON k.run = id").Bind(caller).Bind(key),
        Rows.First<(Run, byte[])?>(row => (Rows.Run(row), row.Blob(RunRows.Count).ToArray()), null),
        cancellationToken);
}
