using Berth.Core.Errors;
using Berth.Core.Runs;

namespace Berth.Server.Store.Sqlite;

/// <summary>The bodies of writes to runs. Each looks before it writes and may be run again from the start.</summary>
internal static class RunWrites
{
    private const string InsertRun =
        "INSERT INTO runs (id, kind, cancel, caller, image, digest, spec, created_at, expires_at, input_place, "
        + "input_length, "
        + "last_event, rank, " + RunRows.ChangingColumns + ") VALUES (?, ?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
        + "?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
        + "ON CONFLICT (id) DO NOTHING RETURNING seq";

    // The claim is checked where it is used: generation and state in the statement that writes.
    private const string UpdateRun =
        "UPDATE runs SET (" + RunRows.ChangingColumns + ") = "
        + "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?), "
        + "last_event = last_event + ? WHERE id = ? AND generation = ? AND ((1 << state) & ?) <> 0 "
        + "AND (? <> 0 OR cancel = 0) RETURNING seq, "
        + "last_event, cancel";

    private const string SelectRun = "SELECT " + RunRows.Columns + " FROM runs WHERE id = ?";

    private const string Claim =
        "UPDATE runs SET state = 1, generation = generation + 1, attempts = attempts + 1 WHERE seq = ? RETURNING "
        + RunRows.Columns;

    public static RunAcceptance Accept(SqliteDatabase database, NewRun request)
    {
        Run run = request.Run;
        if (request.IdempotencyKey is { } key
            && FindByKey(database, run.Caller, key, request.RequestHash.Span) is { } earlier)
        {
            return new RunAcceptance(earlier, IsNew: false);
        }

        long seq = Insert(database, run)
            ?? throw new InvalidOperationException($"Run {run.Id} was accepted twice.");
        if (run.Input.Place == BodyPlace.Inline)
        {
            database.Prepare("INSERT INTO run_inputs (run, body) VALUES (?, ?)").Bind(seq).Bind(
                request.InlineInput.Span).Run();
        }

        if (request.IdempotencyKey is not null)
        {
            database.Prepare("INSERT INTO idempotency_keys (caller, key, run, request) VALUES (?, ?, ?, ?)")
                .Bind(run.Caller).Bind(request.IdempotencyKey).Bind(seq).Bind(request.RequestHash.Span).Run();
        }

        return new RunAcceptance(run, IsNew: true);
    }

    public static bool Record(SqliteDatabase database, Run run) => Insert(database, run) is not null;

    public static IReadOnlyList<ClaimedRun> ClaimReady(SqliteDatabase database, ClaimOrder order) =>
        RunTurns.Choose(database, order).ConvertAll(seq =>
        {
            SqliteStatement statement = database.Prepare(Claim).Bind(seq);
            statement.Step();
            Run run = RunRows.Read(statement);
            statement.Reset();
            return new ClaimedRun(run, ReadInput(database, run, seq));
        });

    public static SaveOutcome Save(SqliteDatabase database, RunChange change)
    {
        Run next = change.Next;
        SqliteStatement update = database.Prepare(UpdateRun).BindChanging(next)
            .Bind(change.Events.Count).Bind(next.Id.Text).Bind(change.ExpectedGeneration).Bind(
                RunRows.LegalOrigins(next.State))
            .Bind(next.State == RunState.Queued ? 0 : 1);
        if (!update.Step())
        {
            return new SaveOutcome(Applied: false, Find(database, next.Id));
        }

        long seq = update.Int64(0);
        long lastEvent = update.Int64(1);
        bool cancel = update.Int64(2) != 0;
        update.Reset();
        AddEvents(database, seq, lastEvent - change.Events.Count, change.Events);
        if (next.Result.Place == BodyPlace.Inline)
        {
            database.Prepare("INSERT OR REPLACE INTO run_results (run, body) VALUES (?, ?)")
                .Bind(seq).Bind(change.InlineResult.Span).Run();
        }

        Owe(database, seq, PendingCallback.OfCaller, change.Callback);
        Owe(database, seq, PendingCallback.OfDestination, change.Notice);
        if (change.Forward is { } function)
        {
            ForwardWrites.Add(database, seq, function);
        }

        return new SaveOutcome(Applied: true, next with { LastEvent = lastEvent, CancelRequested = cancel });
    }

    private static void Owe(SqliteDatabase database, long seq, int slot, CallbackDraft? callback)
    {
        if (callback is not null)
        {
            long due = RunRows.Micros(callback.Due);
            database.Prepare(
                "INSERT INTO callbacks (run, slot, target, host, body, attempt, first_due, due) "
                + "VALUES (?, ?, ?, ?, ?, 0, ?, ?)")
                .Bind(seq).Bind(slot).Bind(callback.Target.OriginalString).Bind(callback.Target.IdnHost)
                .Bind(callback.Body.Span).Bind(due).Bind(due).Run();
        }
    }

    public static Run? RequestCancel(SqliteDatabase database, RunId id, RunEvent reason)
    {
        SqliteStatement update = database.Prepare(
                "UPDATE runs SET cancel = 1, last_event = last_event + 1 WHERE id = ? AND cancel = 0 AND state IN (1, "
                + "2) "
                + "RETURNING seq, last_event")
            .Bind(id.Text);
        if (update.Step())
        {
            (long seq, long lastEvent) = (update.Int64(0), update.Int64(1));
            update.Reset();
            AddEvents(database, seq, lastEvent - 1, [reason]);
        }

        return Find(database, id);
    }

    public static Run? Find(SqliteDatabase database, RunId id)
    {
        SqliteStatement statement = database.Prepare(SelectRun).Bind(id.Text);
        Run? run = statement.Step() ? RunRows.Read(statement) : null;
        statement.Reset();
        return run;
    }

    /// <summary>Of a run that has ended; returns the event's number.</summary>
    public static long AddEvent(SqliteDatabase database, long seq, RunEvent entry)
    {
        SqliteStatement update = database.Prepare(
            "UPDATE runs SET last_event = last_event + 1 WHERE seq = ? RETURNING last_event").Bind(seq);
        update.Step();
        long number = update.Int64(0);
        update.Reset();
        AddEvents(database, seq, number - 1, [entry]);
        return number;
    }

    public static void AddEvents(SqliteDatabase database, long seq, long after, IReadOnlyList<RunEvent> events)
    {
        foreach (RunEvent entry in events)
        {
            database.Prepare(
                "INSERT INTO run_events (run, number, at, type, attempt, detail) VALUES (?, ?, ?, ?, ?, ?)")
                .Bind(seq).Bind(++after).Bind(RunRows.Micros(entry.At)).Bind(entry.Type).Bind(entry.Attempt).Bind(
                    entry.Detail).Run();
        }
    }

    private static long? Insert(SqliteDatabase database, Run run)
    {
        SqliteStatement insert = database.Prepare(InsertRun)
            .Bind(run.Id.Text).Bind((long)run.Kind).Bind(run.Caller).Bind(run.Spec.Image).Bind(run.Spec.Digest.Text)
            .Bind(RunSpecDocument.Write(run.Spec)).Bind(RunRows.Micros(run.CreatedAt)).Bind(
                RunRows.Micros(run.ExpiresAt))
            .Bind((long)run.Input.Place).Bind(run.Input.Length).Bind(run.LastEvent).Bind(RunRows.Rank(run))
            .BindChanging(run);
        if (!insert.Step())
        {
            return null;
        }

        long seq = insert.Int64(0);
        insert.Reset();
        foreach ((string name, string value) in run.Spec.Labels)
        {
            database.Prepare("INSERT INTO run_labels (name, value, run) VALUES (?, ?, ?)").Bind(name).Bind(value).Bind(
                seq).Run();
        }

        return seq;
    }

    private static Run? FindByKey(SqliteDatabase database, string caller, string key, ReadOnlySpan<byte> request)
    {
        SqliteStatement statement = database.Prepare(
                "SELECT runs.id, request FROM idempotency_keys JOIN runs ON runs.seq = run WHERE "
                + "idempotency_keys.caller = ? AND key = ?")
            .Bind(caller).Bind(key);
        if (!statement.Step())
        {
            return null;
        }

        RunId id = RunId.Parse(statement.Text(0));
        bool same = statement.Blob(1).SequenceEqual(request);
        statement.Reset();
        return same
            ? Find(database, id)
            : throw new BerthException(
                ErrorCode.IdempotencyConflict,
                $"The idempotency key '{key}' belongs to run {id}, which was another request: use a new key for a new "
                + "request.");
    }

    private static byte[]? ReadInput(SqliteDatabase database, Run run, long seq)
    {
        if (run.Input.Place != BodyPlace.Inline)
        {
            return null;
        }

        SqliteStatement statement = database.Prepare("SELECT body FROM run_inputs WHERE run = ?").Bind(seq);
        byte[]? body = statement.Step() ? statement.Blob(0).ToArray() : null;
        statement.Reset();
        return body;
    }
}
