using Berth.Core.Runs;

namespace Berth.Server.Store.Sqlite;

/// <summary>The bodies of writes to the list of dead letters.</summary>
internal static class DeadLetterWrites
{
    public static bool Close(SqliteDatabase database, RunId id, RunEvent outcome, DateTimeOffset bodiesDue)
    {
        long due = RunRows.Micros(bodiesDue);
        SqliteStatement update = database.Prepare(
                "UPDATE runs SET dead = 0, last_event = last_event + 1, result_expires_at = min(result_expires_at, ?), "
                + "bodies_due = min(bodies_due, ?) WHERE id = ? AND dead = 1 RETURNING seq, last_event")
            .Bind(due).Bind(due).Bind(id.Text);
        if (!update.Step())
        {
            return false;
        }

        (long seq, long number) = (update.Int64(0), update.Int64(1));
        update.Reset();
        RunWrites.AddEvents(database, seq, number - 1, [outcome]);
        return true;
    }

    public static int Trim(SqliteDatabase database, DateTimeOffset now, int most)
    {
        long present = RunRows.Micros(now);
        SqliteStatement update = database.Prepare(
                "UPDATE runs SET dead = 0, result_expires_at = min(result_expires_at, ?), "
                + "bodies_due = min(bodies_due, ?) WHERE dead = 1 AND (result_expires_at <= ? OR id <= "
                + "(SELECT id FROM runs WHERE dead = 1 ORDER BY id DESC LIMIT 1 OFFSET ?)) RETURNING 1")
            .Bind(present).Bind(present).Bind(present).Bind(most);
        int count = 0;
        while (update.Step())
        {
            count++;
        }

        return count;
    }
}
