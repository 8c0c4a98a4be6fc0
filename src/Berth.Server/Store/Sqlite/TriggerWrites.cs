using Berth.Core.Runs;
using Berth.Core.Triggers;

namespace Berth.Server.Store.Sqlite;

/// <summary>The bodies of reads and writes of triggers.</summary>
internal static class TriggerWrites
{
    private static readonly string[] Remembered = ["trigger_firings", "trigger_files"];

    public static IReadOnlyList<(Trigger Trigger, DateTimeOffset Seen)> All(SqliteDatabase database)
    {
        SqliteStatement select = database.Prepare("SELECT document, seen FROM triggers");
        List<(Trigger, DateTimeOffset)> triggers = [];
        while (select.Step())
        {
            triggers.Add((TriggerDocument.Read(select.Blob(0)), RunRows.Time(select.Int64(1))));
        }

        return triggers;
    }

    public static bool Put(SqliteDatabase database, Trigger trigger, DateTimeOffset seen)
    {
        SqliteStatement other = database.Prepare("SELECT id FROM triggers WHERE name = ? AND id <> ?")
            .Bind(trigger.Name).Bind(trigger.Id.Text);
        string? before = other.Step() ? other.Text(0) : null;
        other.Reset();
        if (before is not null)
        {
            Forget(database, before);
        }

        database.Prepare("INSERT OR REPLACE INTO triggers (name, id, document, seen) VALUES (?, ?, ?, ?)")
            .Bind(trigger.Name).Bind(trigger.Id.Text).Bind(TriggerDocument.Write(trigger)).Bind(RunRows.Micros(seen))
            .Run();
        return true;
    }

    public static bool Delete(SqliteDatabase database, Trigger trigger)
    {
        Forget(database, trigger.Id.Text);
        database.Prepare("DELETE FROM triggers WHERE id = ?").Bind(trigger.Id.Text).Run();
        return true;
    }

    public static bool Record(
        SqliteDatabase database, Firing firing, DateTimeOffset? seen, (string Path, string Mark)? file)
    {
        string id = firing.Trigger.Text;
        SqliteStatement alive = database.Prepare("SELECT 1 FROM triggers WHERE id = ?").Bind(id);
        bool isThere = alive.Step();
        alive.Reset();
        if (!isThere)
        {
            // Removed meanwhile, and with it whatever would be remembered of it.
            return false;
        }

        database.Prepare(
                "INSERT INTO trigger_firings (owner, key, at, outcome, run, detail) VALUES (?, ?, ?, ?, ?, ?) "
                + "ON CONFLICT (owner, key) DO UPDATE SET at = excluded.at, outcome = excluded.outcome, "
                + "run = excluded.run, detail = excluded.detail WHERE run IS NULL")
            .Bind(id).Bind(firing.Key).Bind(RunRows.Micros(firing.At)).Bind((long)firing.Outcome)
            .Bind(firing.Run?.Text).Bind(firing.Detail).Run();
        database.Prepare(
                "DELETE FROM trigger_firings WHERE owner = ? AND seq <= (SELECT seq FROM trigger_firings "
                + "WHERE owner = ? ORDER BY seq DESC LIMIT 1 OFFSET ?)")
            .Bind(id).Bind(id).Bind(Firing.Kept).Run();
        if (seen is { } time)
        {
            database.Prepare("UPDATE triggers SET seen = ? WHERE id = ?")
                .Bind(RunRows.Micros(time)).Bind(id).Run();
        }

        if (file is { } marked)
        {
            Mark(database, id, marked);
        }

        return true;
    }

    public static IReadOnlyList<Firing> Firings(SqliteDatabase database, RunId trigger, int limit)
    {
        SqliteStatement select = database.Prepare(
                "SELECT key, at, outcome, run, detail FROM trigger_firings WHERE owner = ? "
                + "ORDER BY seq DESC LIMIT ?")
            .Bind(trigger.Text).Bind(limit);
        List<Firing> firings = [];
        while (select.Step())
        {
            firings.Add(new Firing(
                trigger, select.Text(0), RunRows.Time(select.Int64(1)), (FiringOutcome)select.Int64(2),
                select.NullableText(3) is { } run ? RunId.Parse(run) : null, select.NullableText(4)));
        }

        return firings;
    }

    public static IReadOnlyDictionary<string, string> Files(SqliteDatabase database, RunId trigger)
    {
        SqliteStatement select = database.Prepare("SELECT path, mark FROM trigger_files WHERE owner = ?")
            .Bind(trigger.Text);
        Dictionary<string, string> files = new(StringComparer.Ordinal);
        while (select.Step())
        {
            files[select.Text(0)] = select.Text(1);
        }

        return files;
    }

    public static bool Forget(SqliteDatabase database, RunId trigger, IReadOnlyCollection<string> gone)
    {
        foreach (string path in gone)
        {
            database.Prepare("DELETE FROM trigger_files WHERE owner = ? AND path = ?")
                .Bind(trigger.Text).Bind(path).Run();
        }

        return true;
    }

    private static void Mark(SqliteDatabase database, string trigger, (string Path, string Mark) file) => database
        .Prepare("INSERT OR REPLACE INTO trigger_files (owner, path, mark) VALUES (?, ?, ?)")
        .Bind(trigger).Bind(file.Path).Bind(file.Mark).Run();

    private static void Forget(SqliteDatabase database, string trigger)
    {
        foreach (string table in Remembered)
        {
            database.Prepare($"DELETE FROM {table} WHERE owner = ?").Bind(trigger).Run();
        }
    }
}
