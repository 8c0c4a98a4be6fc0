using System.Text;
using Berth.Core.Runs;

namespace Berth.Server.Store.Sqlite;

/// <summary>The bodies of reads.</summary>
internal static class RunReads
{
    private const string SelectRuns = "SELECT " + RunRows.Columns + " FROM runs ";

    public static IReadOnlyList<Run> List(SqliteDatabase database, RunQuery query)
    {
        StringBuilder sql = new(SelectRuns + "WHERE 1 ");
        List<Action<SqliteStatement>> values = [];
        Add("AND id < ? ", query.Before?.Text);
        Add("AND (image = ? OR digest = ?) ", query.Image, query.Image);
        Add("AND kind = ? ", (long?)query.Kind);
        Add("AND state = ? ", (long?)query.State);
        foreach ((string name, string value) in query.Labels)
        {
            Add("AND seq IN (SELECT run FROM run_labels WHERE name = ? AND value = ?) ", name, value);
        }

        if (query.IsDeadLetter)
        {
            sql.Append("AND dead = 1 ");
        }

        sql.Append("ORDER BY id DESC LIMIT ?");
        using SqliteStatement statement = database.PrepareOnce(sql.ToString());
        values.ForEach(bind => bind(statement));
        return ReadAll(statement.Bind(query.Limit));

        void Add(string condition, params object?[] arguments)
        {
            if (arguments[0] is null)
            {
                return;
            }

            sql.Append(condition);
            foreach (object? argument in arguments)
            {
                values.Add(argument is long number ? s => s.Bind(number) : s => s.Bind((string?)argument));
            }
        }
    }

    public static IReadOnlySet<RunId> Known(SqliteDatabase database, IReadOnlyCollection<RunId> ids)
    {
        HashSet<RunId> known = [];
        foreach (RunId id in ids)
        {
            SqliteStatement statement = database.Prepare("SELECT 1 FROM runs WHERE id = ?").Bind(id.Text);
            if (statement.Step())
            {
                known.Add(id);
            }

            statement.Reset();
        }

        return known;
    }

    public static byte[]? Input(SqliteDatabase database, RunId id) => Body(database.Prepare(
        "SELECT body FROM run_inputs WHERE run = (SELECT seq FROM runs WHERE id = ?)").Bind(id.Text));

    public static byte[]? Result(SqliteDatabase database, RunId id) => Body(database.Prepare(
        "SELECT body FROM run_results WHERE run = (SELECT seq FROM runs WHERE id = ?)").Bind(id.Text));

    public static IReadOnlyList<Run> Unfinished(SqliteDatabase database, RunId? after, int limit) => ReadAll(
        database.Prepare(SelectRuns + "WHERE state IN (1, 2) AND id > ? ORDER BY id LIMIT ?")
            .Bind(after?.Text ?? "").Bind(limit));

    public static IReadOnlyList<Run> OverAge(SqliteDatabase database, DateTimeOffset now, int limit) => ReadAll(
        database.Prepare(
                SelectRuns
                    + "WHERE state = 0 AND expires_at IS NOT NULL AND expires_at <= ? ORDER BY expires_at LIMIT ?")
            .Bind(RunRows.Micros(now)).Bind(limit));

    public static IReadOnlyList<Run> ExpiredBodies(SqliteDatabase database, DateTimeOffset now, int limit) =>
        ReadAll(database.Prepare(SelectRuns + "WHERE bodies_due <= ? ORDER BY bodies_due LIMIT ?")
            .Bind(RunRows.Micros(now)).Bind(limit));

    public static IReadOnlyList<NumberedEvent> Events(SqliteDatabase database, RunId id, long after, int limit)
    {
        SqliteStatement statement = database.Prepare(
                "SELECT number, at, type, attempt, detail FROM run_events WHERE run = (SELECT seq FROM runs WHERE id "
                + "= ?) "
                + "AND number > ? ORDER BY number LIMIT ?")
            .Bind(id.Text).Bind(after).Bind(limit);
        List<NumberedEvent> events = [];
        while (statement.Step())
        {
            events.Add(new NumberedEvent(
                statement.Int64(0),
                new RunEvent(RunRows.Time(statement.Int64(1)), statement.Text(2), (int)statement.Int64(3),
                    statement.Text(4))));
        }

        return events;
    }

    public static IReadOnlyList<PendingCallback> DueCallbacks(
        SqliteDatabase database, DateTimeOffset now, IReadOnlyCollection<string> except, int limit)
    {
        string marks = string.Join(", ", except.Select(_ => "?"));
        using SqliteStatement statement = database.PrepareOnce(
            "SELECT id, target, body, attempt, first_due, due, slot FROM callbacks JOIN runs ON seq = run "
            + $"WHERE due <= ? AND host NOT IN ({marks}) ORDER BY due LIMIT ?");
        statement.Bind(RunRows.Micros(now));
        foreach (string host in except)
        {
            statement.Bind(host);
        }

        statement.Bind(limit);
        List<PendingCallback> callbacks = [];
        while (statement.Step())
        {
            callbacks.Add(new PendingCallback(
                RunId.Parse(statement.Text(0)), new Uri(statement.Text(1)), statement.Blob(2).ToArray(),
                (int)statement.Int64(3), RunRows.Time(statement.Int64(4)), RunRows.Time(statement.Int64(5)),
                (int)statement.Int64(6)));
        }

        return callbacks;
    }

    public static NextDue NextDue(SqliteDatabase database)
    {
        SqliteStatement statement = database.Prepare(
            "SELECT (SELECT min(ready_at) FROM runs WHERE state = 0), (SELECT min(due) FROM callbacks)");
        statement.Step();
        NextDue due = new(RunRows.Time(statement.NullableInt64(0)), RunRows.Time(statement.NullableInt64(1)));
        statement.Reset();
        return due;
    }

    public static int? HighestWaiting(SqliteDatabase database, DateTimeOffset now)
    {
        SqliteStatement statement = database.Prepare(
            "SELECT rank FROM runs WHERE state = 0 AND ready_at <= ? ORDER BY rank, caller LIMIT 1")
            .Bind(RunRows.Micros(now));
        int? highest = statement.Step() ? (int)-statement.Int64(0) : null;
        statement.Reset();
        return highest;
    }

    public static RunCounts Count(SqliteDatabase database)
    {
        SqliteStatement statement = database.Prepare(
            "SELECT (SELECT count(*) FROM runs WHERE state = 0), (SELECT count(*) FROM runs WHERE state IN (1, 2) AND "
            + "state = 1), "
            + "(SELECT count(*) FROM runs WHERE state IN (1, 2) AND state = 2), (SELECT count(*) FROM callbacks), "
            + "(SELECT created_at FROM runs WHERE state = 0 ORDER BY ready_at, seq LIMIT 1)");
        statement.Step();
        RunCounts counts = new(
            statement.Int64(0), statement.Int64(1), statement.Int64(2), statement.Int64(3),
            RunRows.Time(statement.NullableInt64(4)));
        statement.Reset();
        return counts;
    }

    private static List<Run> ReadAll(SqliteStatement statement)
    {
        List<Run> runs = [];
        while (statement.Step())
        {
            runs.Add(RunRows.Read(statement));
        }

        return runs;
    }

    private static byte[]? Body(SqliteStatement statement)
    {
        byte[]? body = statement.Step() ? statement.Blob(0).ToArray() : null;
        statement.Reset();
        return body;
    }
}
