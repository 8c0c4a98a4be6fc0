using Berth.Core.Runs;

namespace Berth.Server.Store.Sqlite;

/// <summary>Reads and writes of what is to be handed on to functions.</summary>
internal static class ForwardWrites
{
    public static void Add(SqliteDatabase database, long seq, string function) => database
        .Prepare("INSERT INTO forwards (run, function) VALUES (?, ?)").Bind(seq).Bind(function).Run();

    public static IReadOnlyList<PendingForward> Pending(SqliteDatabase database, int limit)
    {
        SqliteStatement select = database.Prepare(
            "SELECT id, function FROM forwards JOIN runs ON seq = run ORDER BY run LIMIT ?").Bind(limit);
        List<PendingForward> pending = [];
        while (select.Step())
        {
            pending.Add(new PendingForward(RunId.Parse(select.Text(0)), select.Text(1)));
        }

        return pending;
    }

    public static long Close(SqliteDatabase database, RunId id, RunEvent outcome)
    {
        SqliteStatement delete = database.Prepare(
            "DELETE FROM forwards WHERE run = (SELECT seq FROM runs WHERE id = ?) RETURNING run").Bind(id.Text);
        if (!delete.Step())
        {
            return 0;
        }

        long seq = delete.Int64(0);
        delete.Reset();
        return RunWrites.AddEvent(database, seq, outcome);
    }
}
