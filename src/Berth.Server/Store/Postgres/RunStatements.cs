using System.Collections.Concurrent;
using System.Globalization;
using System.Text;
using Berth.Core.Runs;

namespace Berth.Server.Store.Postgres;

/// <summary>The statements that write runs. Each is one statement, whatever belongs to the run with it, so that it
/// costs one message and nothing is written without the rest.</summary>
internal static class RunStatements
{
    // By what they write: texts that are equal are planned once.
    private static readonly ConcurrentDictionary<int, string> Inserts = [];
    private static readonly ConcurrentDictionary<int, string> Updates = [];

    /// <summary>As many as <see cref="RunRows.BindChanging"/> binds.</summary>
    private static readonly string ChangingValues = Values(1, RunRows.ChangingCount);

    /// <summary>Gives a row where the run is new: neither its id nor its key is there.</summary>
    public static PostgresStatement Insert(string holder, NewRun request)
    {
        Run run = request.Run;
        bool hasBody = run.Input.Place == BodyPlace.Inline;
        bool hasLabels = run.Spec.Labels.Count > 0;
        bool hasKey = request.IdempotencyKey is not null;
        string sql = Inserts.GetOrAdd(
            (hasBody ? 1 : 0) | (hasLabels ? 2 : 0) | (hasKey ? 4 : 0), _ => InsertText(hasBody, hasLabels, hasKey));
        PostgresStatement statement = new PostgresStatement(sql).BindChanging(run)
            .Bind(run.Id.Text).Bind((long)run.Kind).Bind(holder).Bind(run.Caller).Bind(run.Spec.Image)
            .Bind(run.Spec.Digest.Text).Bind(RunSpecDocument.Write(run.Spec)).Bind(RunRows.Micros(run.CreatedAt))
            .Bind(RunRows.Micros(run.ExpiresAt)).Bind((long)run.Input.Place).Bind(run.Input.Length).Bind(run.LastEvent)
            .Bind(RunRows.Rank(run));
        if (hasKey)
        {
            statement.Bind(request.IdempotencyKey).Bind(request.RequestHash.Span);
        }

        if (hasBody)
        {
            statement.Bind(request.InlineInput.Span);
        }

        return hasLabels ? statement.Bind(run.Spec.Labels.Keys).Bind(run.Spec.Labels.Values) : statement;
    }

    /// <summary>Whether a server may claim a waiting run: what it accepted itself, and of what others accepted that
    /// whose image it can run and whose input is in the store, or at a server that it reaches.</summary>
    /// <param name="server">Its parameter.</param>
    /// <param name="images">The parameter of what it can run.</param>
    /// <param name="reached">The parameter of the servers that it reaches.</param>
    public static string MayClaim(string server, string images, string reached) =>
        $"(origin = {server} OR (digest = ANY({images}) AND (input_place <> 2 OR origin = ANY({reached}))))";

    /// <summary>Gives the runs that were taken, each with its input where that is in the store, and its place in the
    /// order in which they are served.</summary>
    // g: who has something waiting, a look at the index for each. h: the oldest of each, locked for as long as this
    // takes. t: each one's turn. c: those that are taken.
    public static PostgresStatement Claim(
        string holder, IReadOnlyCollection<string> images, IReadOnlyCollection<string> reached, ClaimOrder order) =>
        new PostgresStatement(
            "WITH RECURSIVE g (rank, caller) AS ("
            + "(SELECT rank, caller FROM runs WHERE state = 0 ORDER BY rank, caller LIMIT 1) UNION ALL "
            + "SELECT n.rank, n.caller FROM g, LATERAL (SELECT r.rank, r.caller FROM runs r WHERE r.state = 0 "
            + "AND (r.rank, r.caller) > (g.rank, g.caller) ORDER BY r.rank, r.caller LIMIT 1) n), "
            + "h AS MATERIALIZED (SELECT w.id, w.ready_at, g.rank, g.caller FROM g, LATERAL ("
            + "SELECT id, ready_at FROM runs WHERE state = 0 AND rank = g.rank AND caller = g.caller "
            + "AND ready_at <= $2 AND " + MayClaim("$1", "$4", "$7")
            + " ORDER BY ready_at, id LIMIT $3 FOR UPDATE SKIP LOCKED) w), "
            + "t AS (SELECT id, rank, ready_at, row_number() OVER (PARTITION BY rank, caller ORDER BY ready_at, id) "
            + "+ COALESCE((SELECT u.n FROM unnest($5, $6) AS u (caller, n) WHERE u.caller = h.caller), 0) AS turn "
            + "FROM h), c AS (SELECT id AS chosen, row_number() OVER (ORDER BY rank, turn, ready_at, id) AS place "
            + "FROM t ORDER BY place LIMIT $3) "
            + "UPDATE runs SET state = 1, generation = generation + 1, attempts = attempts + 1, holder = $1 "
            + "FROM c WHERE id = chosen RETURNING " + RunRows.Columns
            + ", (SELECT body FROM run_inputs WHERE run = id AND input_place = 1), place")
            .Bind(holder).Bind(RunRows.Micros(order.Now)).Bind(order.Limit).Bind(images)
            .Bind(order.UnderWay.Keys).Bind(order.UnderWay.Values.Select(count => (long)count))
            .Bind(reached);

    /// <summary>Gives the run's last event and whether its end was asked for, where the step was applied.</summary>
    // The claim is checked where it is used: generation and state in the statement that writes.
    public static PostgresStatement Update(string holder, RunChange change)
    {
        Run next = change.Next;
        bool hasResult = next.Result.Place == BodyPlace.Inline;
        bool hasCallbacks = change.Callback is not null || change.Notice is not null;
        string sql = Updates.GetOrAdd(
            (change.Events.Count > 0 ? 1 : 0) | (hasResult ? 2 : 0) | (hasCallbacks ? 4 : 0)
                | (change.Forward is not null ? 8 : 0),
            _ => UpdateText(change.Events.Count > 0, hasResult, hasCallbacks, change.Forward is not null));
        PostgresStatement statement = new PostgresStatement(sql).BindChanging(next)
            .Bind(change.Events.Count).Bind(next.Id.Text).Bind(change.ExpectedGeneration)
            .Bind(RunRows.LegalOrigins(next.State)).Bind(next.State == RunState.Queued ? 0 : 1);
        if (change.Events.Count > 0)
        {
            BindEvents(statement, change.Events);
        }

        if (hasResult)
        {
            statement.Bind(change.InlineResult.Span);
        }

        if (hasCallbacks)
        {
            BindCallback(statement, change.Callback);
            BindCallback(statement, change.Notice);
        }

        if (change.Forward is { } function)
        {
            statement.Bind(function);
        }

        return hasCallbacks || change.Forward is not null ? statement.Bind(holder) : statement;
    }

    /// <summary>Gives a row where the wish is new.</summary>
    public static PostgresStatement RequestCancel(RunId id, RunEvent reason) => BindEvents(
        new PostgresStatement(
            "WITH u AS (UPDATE runs SET cancel = 1, last_event = last_event + 1 WHERE id = $1 AND cancel = 0 "
            + "AND state IN (1, 2) RETURNING id, last_event), " + EventsText("u", 1) + " SELECT last_event FROM u")
            .Bind(id.Text),
        [reason]);

    /// <summary>Adds what came of what is struck off, to the run's events; gives the event's number.</summary>
    /// <param name="delete">A statement that gives the run it struck something off of as <c>run</c>.</param>
    /// <param name="values">As many values as it takes.</param>
    public static string Closing(string delete, int values) =>
        $"WITH d AS ({delete}), u AS (UPDATE runs SET last_event = last_event + 1 FROM d WHERE runs.id = d.run "
        + $"RETURNING runs.id, runs.last_event), {EventsText("u", values)} SELECT last_event FROM u";

    public static PostgresStatement BindEvents(PostgresStatement statement, IReadOnlyList<RunEvent> events) => statement
        .Bind(events.Select(entry => RunRows.Micros(entry.At))).Bind(events.Select(entry => entry.Type))
        .Bind(events.Select(entry => (long)entry.Attempt)).Bind(events.Select(entry => entry.Detail));

    /// <summary>Numbers on to the last event of the runs in <paramref name="from"/>.</summary>
    public static string EventsText(string from, int bound)
    {
        string[] values = [.. Enumerable.Range(bound + 1, 4).Select(n => string.Create(
            CultureInfo.InvariantCulture, $"${n}"))];
        return "e AS (INSERT INTO run_events (run, number, at, type, attempt, detail) "
            + $"SELECT {from}.id, {from}.last_event - cardinality({values[0]}) + n, t.at, t.type, t.attempt, t.detail "
            + $"FROM {from}, unnest({string.Join(", ", values)}) WITH ORDINALITY AS t (at, type, attempt, detail, n))";
    }

    private static string InsertText(bool hasBody, bool hasLabels, bool hasKey)
    {
        const int Own = 13;
        int next = RunRows.ChangingCount + Own;
        string columns = RunRows.ChangingColumns
            + ", id, kind, holder, caller, image, digest, spec, created_at, expires_at, input_place, input_length, "
            + "last_event, rank, cancel, origin";
        StringBuilder sql = new("WITH ");
        if (hasKey)
        {
            int id = RunRows.ChangingCount + 1;
            sql.Append(CultureInfo.InvariantCulture,
                $"k AS (INSERT INTO idempotency_keys (caller, run, key, request) VALUES (${id + 3}, ${id}, ${++next}, ")
                .Append(CultureInfo.InvariantCulture, $"${++next}) ON CONFLICT DO NOTHING RETURNING run), ");
        }

        sql.Append(
            $"r AS (INSERT INTO runs ({columns}) SELECT {Values(1, RunRows.ChangingCount + Own)}, 0, "
            + $"{Values(RunRows.ChangingCount + 3, 1)}{(hasKey ? " FROM k" : "")} "
            + "ON CONFLICT DO NOTHING RETURNING id)");
        if (hasBody)
        {
            sql.Append(CultureInfo.InvariantCulture,
                $", i AS (INSERT INTO run_inputs (run, body) SELECT id, ${++next} FROM r)");
        }

        if (hasLabels)
        {
            sql.Append(CultureInfo.InvariantCulture,
                $", l AS (INSERT INTO run_labels (run, name, value) SELECT id, t.n, t.v FROM r, ")
                .Append(CultureInfo.InvariantCulture, $"unnest(${++next}, ${++next}) AS t (n, v))");
        }

        return sql.Append(" SELECT id FROM r").ToString();
    }

    private static string UpdateText(bool hasEvents, bool hasResult, bool hasCallbacks, bool hasForward)
    {
        int at = RunRows.ChangingCount;
        StringBuilder sql = new($"WITH u AS (UPDATE runs SET ({RunRows.ChangingColumns}) = ROW({ChangingValues}), ");
        sql.Append(CultureInfo.InvariantCulture,
            $"last_event = last_event + ${at + 1} WHERE id = ${at + 2} AND generation = ${at + 3} ")
            .Append(CultureInfo.InvariantCulture,
            $"AND ((1::bigint << state::int) & ${at + 4}) <> 0 AND (${at + 5} <> 0 OR cancel = 0) ")
            .Append("RETURNING id, last_event, cancel)");
        at += 5;
        if (hasEvents)
        {
            sql.Append(", ").Append(EventsText("u", at));
            at += 4;
        }

        if (hasResult)
        {
            sql.Append(CultureInfo.InvariantCulture,
                $", r AS (INSERT INTO run_results (run, body) SELECT id, ${++at} FROM u ")
                .Append("ON CONFLICT (run) DO UPDATE SET body = excluded.body)");
        }

        if (hasCallbacks)
        {
            sql.Append(", c AS (INSERT INTO callbacks ")
                .Append("(run, slot, target, host, body, attempt, first_due, due, holder) ")
                .Append("SELECT id, t.slot, t.target, t.host, t.body, 0, t.due, t.due, ")
                .Append(CultureInfo.InvariantCulture, $"${at + 9 + (hasForward ? 1 : 0)} FROM u, (VALUES ")
                .Append(CultureInfo.InvariantCulture, $"({PendingCallback.OfCaller}, {Values(at + 1, 4)}), ")
                .Append(CultureInfo.InvariantCulture, $"({PendingCallback.OfDestination}, {Values(at + 5, 4)})")
                .Append(") AS t (slot, target, host, body, due) WHERE t.target IS NOT NULL)");
            at += 8;
        }

        if (hasForward)
        {
            sql.Append(CultureInfo.InvariantCulture,
                $", f AS (INSERT INTO forwards (run, function, holder) SELECT id, ${++at}, ${at + 1} FROM u)");
        }

        return sql.Append(" SELECT last_event, cancel FROM u").ToString();
    }

    private static void BindCallback(PostgresStatement statement, CallbackDraft? draft) => statement
        .Bind(draft?.Target.OriginalString).Bind(draft?.Target.IdnHost).Bind(draft is null ? [] : draft.Body.Span)
        .Bind(RunRows.Micros(draft?.Due));

    /// <summary>$first, $first+1, and so on.</summary>
    private static string Values(int first, int count) => string.Join(
        ", ", Enumerable.Range(first, count).Select(n => string.Create(CultureInfo.InvariantCulture, $"${n}")));
}
