using Berth.Core.Runs;

namespace Berth.Server.Store.Sqlite;

/// <summary>The bodies of writes that keep house: expiry, retention, and the outbox of callbacks.</summary>
internal static class UpkeepWrites
{
    public static bool BoundDelays(
        SqliteDatabase database, DateTimeOffset now, TimeSpan longestRetry, TimeSpan longestCallback)
    {
        long present = RunRows.Micros(now);
        database.Prepare(
                "UPDATE runs SET ready_at = iif(attempts = 0, ?, min(ready_at, ?)) WHERE state = 0 AND ready_at > ?")
            .Bind(present).Bind(RunRows.Micros(now + longestRetry)).Bind(present).Run();
        database.Prepare("UPDATE callbacks SET due = min(due, ?), first_due = min(first_due, ?) WHERE due > ?")
            .Bind(RunRows.Micros(now + longestCallback)).Bind(present).Bind(present).Run();
        return true;
    }

    public static bool ForgetBodies(SqliteDatabase database, IReadOnlyCollection<RunId> ids)
    {
        foreach (RunId id in ids)
        {
            SqliteStatement update = database.Prepare(
                    "UPDATE runs SET bodies_due = NULL, dead = 0, input_place = iif(input_place = 0, 0, 3), "
                    + "result_place = iif(result_place = 0, 0, 3) WHERE id = ? AND bodies_due IS NOT NULL RETURNING "
                    + "seq")
                .Bind(id.Text);
            if (update.Step())
            {
                long seq = update.Int64(0);
                update.Reset();
                database.Prepare("DELETE FROM run_inputs WHERE run = ?").Bind(seq).Run();
                database.Prepare("DELETE FROM run_results WHERE run = ?").Bind(seq).Run();
            }
        }

        return true;
    }

    public static IReadOnlyList<RunId> DeleteEnded(SqliteDatabase database, DateTimeOffset endedBefore, int limit)
    {
        SqliteStatement select = database.Prepare(
                "SELECT seq, id FROM runs WHERE ended_at < ? AND state >= 3 AND dead = 0 "
                + "AND NOT EXISTS (SELECT 1 FROM callbacks WHERE callbacks.run = seq) "
                + "AND NOT EXISTS (SELECT 1 FROM forwards WHERE forwards.run = seq) ORDER BY ended_at LIMIT ?")
            .Bind(RunRows.Micros(endedBefore)).Bind(limit);
        List<(long Seq, RunId Id)> ended = [];
        while (select.Step())
        {
            ended.Add((select.Int64(0), RunId.Parse(select.Text(1))));
        }

        foreach ((long seq, _) in ended)
        {
            database.Prepare("DELETE FROM run_inputs WHERE run = ?").Bind(seq).Run();
            database.Prepare("DELETE FROM run_results WHERE run = ?").Bind(seq).Run();
            database.Prepare("DELETE FROM run_events WHERE run = ?").Bind(seq).Run();
            database.Prepare("DELETE FROM run_labels WHERE run = ?").Bind(seq).Run();
            database.Prepare("DELETE FROM idempotency_keys WHERE run = ?").Bind(seq).Run();
            database.Prepare("DELETE FROM runs WHERE seq = ?").Bind(seq).Run();
        }

        return ended.ConvertAll(entry => entry.Id);
    }

    public static bool DeferCallback(SqliteDatabase database, PendingCallback callback, DateTimeOffset next)
    {
        database.Prepare("UPDATE callbacks SET attempt = ?, due = ? WHERE run = (SELECT seq FROM runs WHERE id = ?) "
                + "AND slot = ?")
            .Bind(callback.Attempt + 1).Bind(RunRows.Micros(next)).Bind(callback.Run.Text).Bind(callback.Slot).Run();
        return true;
    }

    public static long CloseCallback(SqliteDatabase database, PendingCallback callback, RunEvent outcome)
    {
        SqliteStatement delete = database.Prepare(
                "DELETE FROM callbacks WHERE run = (SELECT seq FROM runs WHERE id = ?) AND slot = ? RETURNING run")
            .Bind(callback.Run.Text).Bind(callback.Slot);
        if (!delete.Step())
        {
            return 0;
        }

        long seq = delete.Int64(0);
        delete.Reset();
        return RunWrites.AddEvent(database, seq, outcome);
    }
}
