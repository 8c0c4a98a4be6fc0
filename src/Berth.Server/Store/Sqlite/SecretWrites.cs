using Berth.Server.Secrets;

namespace Berth.Server.Store.Sqlite;

/// <summary>The bodies of reads and writes of secrets.</summary>
internal static class SecretWrites
{
    public static IReadOnlyList<SecretRecord> All(SqliteDatabase database)
    {
        SqliteStatement select = database.Prepare(
            "SELECT name, version, key, sealed, length, created_at, updated_at, caller FROM secrets");
        List<SecretRecord> secrets = [];
        while (select.Step())
        {
            secrets.Add(new SecretRecord(
                select.Text(0), (int)select.Int64(1), (int)select.Int64(2), select.Blob(3).ToArray(),
                (int)select.Int64(4), RunRows.Time(select.Int64(5)), RunRows.Time(select.Int64(6)), select.Text(7)));
        }

        return secrets;
    }

    public static bool Put(SqliteDatabase database, SecretRecord secret)
    {
        database.Prepare(
                "INSERT OR REPLACE INTO secrets (name, version, key, sealed, length, created_at, updated_at, caller) "
                + "VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
            .Bind(secret.Name).Bind(secret.Version).Bind(secret.Key).Bind(secret.Sealed).Bind(secret.Length)
            .Bind(RunRows.Micros(secret.CreatedAt)).Bind(RunRows.Micros(secret.UpdatedAt)).Bind(secret.Caller).Run();
        return true;
    }

    public static bool Delete(SqliteDatabase database, string name)
    {
        database.Prepare("DELETE FROM secrets WHERE name = ?").Bind(name).Run();
        return true;
    }
}
