using Berth.Core.Runs;

namespace Berth.Server.Store.Postgres;

// What keeps house: expiry, retention, dead letters, and the outbox of callbacks.
public sealed partial class PostgresStore
{
    public async Task BoundDelaysAsync(
        DateTimeOffset now, TimeSpan longestRetry, TimeSpan longestCallback, CancellationToken cancellationToken)
    {
        await database.WriteAsync(
            isNew: false,
            () => new PostgresStatement(
                "UPDATE runs SET ready_at = CASE attempts WHEN 0 THEN $1 ELSE least(ready_at, $2) END "
                + "WHERE state = 0 AND ready_at > $1 RETURNING 1")
                .Bind(RunRows.Micros(now)).Bind(RunRows.Micros(now + longestRetry)),
            cancellationToken);
        await database.WriteAsync(
            isNew: false,
            () => new PostgresStatement(
                "UPDATE callbacks SET due = least(due, $2), first_due = least(first_due, $1) WHERE due > $1 "
                + "RETURNING 1").Bind(RunRows.Micros(now)).Bind(RunRows.Micros(now + longestCallback)),
            cancellationToken);
    }

    public async Task<IReadOnlyList<Run>> OverAgeAsync(
        DateTimeOffset now, int limit, CancellationToken cancellationToken) => await database.ReadAsync(
        new PostgresStatement(
            SelectRuns + "WHERE state = 0 AND expires_at IS NOT NULL AND expires_at <= $1 ORDER BY expires_at LIMIT $2")
            .Bind(RunRows.Micros(now)).Bind(limit),
        Rows.Runs, cancellationToken);

    public async Task<IReadOnlyList<Run>> ExpiredBodiesAsync(
        DateTimeOffset now, int limit, CancellationToken cancellationToken) => await database.ReadAsync(
        new PostgresStatement(SelectRuns + "WHERE bodies_due <= $1 ORDER BY bodies_due LIMIT $2")
            .Bind(RunRows.Micros(now)).Bind(limit),
        Rows.Runs, cancellationToken);

    public Task ForgetBodiesAsync(IReadOnlyCollection<RunId> ids, CancellationToken cancellationToken) =>
        database.WriteAsync(
            isNew: false,
            () => new PostgresStatement(
                "WITH u AS (UPDATE runs SET bodies_due = NULL, dead = 0, "
                + "input_place = CASE input_place WHEN 0 THEN 0 ELSE 3 END, "
                + "result_place = CASE result_place WHEN 0 THEN 0 ELSE 3 END "
                + "WHERE id = ANY($1) AND bodies_due IS NOT NULL RETURNING id), "
                + "i AS (DELETE FROM run_inputs WHERE run IN (SELECT id FROM u)), "
                + "r AS (DELETE FROM run_results WHERE run IN (SELECT id FROM u)) SELECT id FROM u")
                .Bind(ids.Select(id => id.Text)),
            cancellationToken);

    public async Task<bool> CloseDeadLetterAsync(
        RunId id, RunEvent outcome, DateTimeOffset bodiesDue, CancellationToken cancellationToken) =>
        await database.WriteAsync(
            isNew: false,
            () => RunStatements.BindEvents(
                new PostgresStatement(
                    "WITH u AS (UPDATE runs SET dead = 0, last_event = last_event + 1, " + Sooner("$2")
                    + " WHERE id = $1 AND dead = 1 RETURNING id, last_event), " + RunStatements.EventsText("u", 2)
                    + " SELECT last_event FROM u").Bind(id.Text).Bind(RunRows.Micros(bodiesDue)),
                [outcome]),
            cancellationToken) > 0;

    public Task<int> TrimDeadLettersAsync(DateTimeOffset now, int most, CancellationToken cancellationToken) =>
        database.WriteAsync(
            isNew: false,
            () => new PostgresStatement(
                "UPDATE runs SET dead = 0, " + Sooner("$1") + " WHERE dead = 1 AND (result_expires_at <= $1 OR id <= "
                + "(SELECT id FROM runs WHERE dead = 1 ORDER BY id DESC LIMIT 1 OFFSET $2)) RETURNING 1")
                .Bind(RunRows.Micros(now)).Bind(most),
            cancellationToken);

    public async Task<IReadOnlyList<RunId>> DeleteEndedAsync(
        DateTimeOffset endedBefore, int limit, CancellationToken cancellationToken) => await database.WriteAsync(
        isNew: false,
        () => new PostgresStatement(
            "WITH d AS (DELETE FROM runs WHERE id = ANY(ARRAY(SELECT id FROM runs WHERE ended_at < $1 AND state >= 3 "
            + "AND dead = 0 AND NOT EXISTS (SELECT 1 FROM callbacks WHERE callbacks.run = id) "
            + "AND NOT EXISTS (SELECT 1 FROM forwards WHERE forwards.run = id) ORDER BY ended_at LIMIT $2 "
            + "FOR UPDATE SKIP LOCKED)) RETURNING id), "
            + "i AS (DELETE FROM run_inputs WHERE run IN (SELECT id FROM d)), "
            + "r AS (DELETE FROM run_results WHERE run IN (SELECT id FROM d)), "
            + "e AS (DELETE FROM run_events WHERE run IN (SELECT id FROM d)), "
            + "l AS (DELETE FROM run_labels WHERE run IN (SELECT id FROM d)), "
            + "k AS (DELETE FROM idempotency_keys WHERE run IN (SELECT id FROM d)) SELECT id FROM d")
            .Bind(RunRows.Micros(endedBefore)).Bind(limit),
        Rows.All(row => RunId.Parse(row.Text(0))), cancellationToken);

    /// <summary>Of this server: no other one delivers them meanwhile.</summary>
    public async Task<IReadOnlyList<PendingCallback>> DueCallbacksAsync(
        DateTimeOffset now, IReadOnlyCollection<string> except, int limit, CancellationToken cancellationToken) =>
        await database.ReadAsync(
            new PostgresStatement(
                "SELECT run, target, body, attempt, first_due, due, slot FROM callbacks WHERE due <= $1 "
                + "AND host <> ALL($2) AND holder = $4 ORDER BY due LIMIT $3")
                .Bind(RunRows.Micros(now)).Bind(except).Bind(limit).Bind(server),
            Rows.All(row => new PendingCallback(
                RunId.Parse(row.Text(0)), new Uri(row.Text(1)), row.Blob(2).ToArray(), (int)row.Int64(3),
                RunRows.Time(row.Int64(4)), RunRows.Time(row.Int64(5)), (int)row.Int64(6))),
            cancellationToken);

    public Task DeferCallbackAsync(
        PendingCallback callback, DateTimeOffset next, CancellationToken cancellationToken) => database.WriteAsync(
        isNew: false,
        () => new PostgresStatement(
            "UPDATE callbacks SET attempt = $1, due = $2 WHERE run = $3 AND slot = $4 RETURNING 1")
            .Bind(callback.Attempt + 1).Bind(RunRows.Micros(next)).Bind(callback.Run.Text).Bind(callback.Slot),
        cancellationToken);

    public Task<long> CloseCallbackAsync(
        PendingCallback callback, RunEvent outcome, CancellationToken cancellationToken) => database.WriteAsync(
        isNew: false,
        () => RunStatements.BindEvents(
            new PostgresStatement(RunStatements.Closing(
                "DELETE FROM callbacks WHERE run = $1 AND slot = $2 RETURNING run", 2))
                .Bind(callback.Run.Text).Bind(callback.Slot),
            [outcome]),
        Rows.Number, cancellationToken);

    /// <summary>Of this server: no other one hands them on meanwhile.</summary>
    public async Task<IReadOnlyList<PendingForward>> PendingForwardsAsync(
        int limit, CancellationToken cancellationToken) => await database.ReadAsync(
        new PostgresStatement("SELECT run, function FROM forwards WHERE holder = $2 ORDER BY run LIMIT $1")
            .Bind(limit).Bind(server),
        Rows.All(row => new PendingForward(RunId.Parse(row.Text(0)), row.Text(1))), cancellationToken);

    public Task<long> CloseForwardAsync(RunId run, RunEvent outcome, CancellationToken cancellationToken) =>
        database.WriteAsync(
            isNew: false,
            () => RunStatements.BindEvents(
                new PostgresStatement(RunStatements.Closing("DELETE FROM forwards WHERE run = $1 RETURNING run", 1))
                    .Bind(run.Text),
                [outcome]),
            Rows.Number, cancellationToken);

    /// <summary>Where there are none, none become due.</summary>
    private static string Sooner(string due) =>
        $"result_expires_at = CASE WHEN result_expires_at > {due} THEN {due} ELSE result_expires_at END, "
        + $"bodies_due = CASE WHEN bodies_due > {due} THEN {due} ELSE bodies_due END";
}
