using Berth.Core.Containers;

namespace Berth.Server.Store.Sqlite;

/// <summary>The bodies of reads and writes of volumes.</summary>
internal static class VolumeWrites
{
    public static IReadOnlyList<Volume> All(SqliteDatabase database)
    {
        SqliteStatement select = database.Prepare("SELECT name, node, created_at, creator FROM volumes");
        List<Volume> volumes = [];
        while (select.Step())
        {
            volumes.Add(new Volume(
                select.Text(0), select.NullableText(1), RunRows.Time(select.Int64(2)), select.Text(3)));
        }

        return volumes;
    }

    public static bool Put(SqliteDatabase database, Volume volume)
    {
        database.Prepare("INSERT OR REPLACE INTO volumes (name, node, created_at, creator) VALUES (?, ?, ?, ?)")
            .Bind(volume.Name).Bind(volume.Node).Bind(RunRows.Micros(volume.CreatedAt)).Bind(volume.Creator).Run();
        return true;
    }

    public static bool Delete(SqliteDatabase database, string name)
    {
        database.Prepare("DELETE FROM volumes WHERE name = ?").Bind(name).Run();
        return true;
    }
}
