using System.Globalization;
using System.Reflection;
using Berth.Core.Errors;
using Berth.Core.Faults;

namespace Berth.Server.Store.Sqlite;

/// <summary>Brings a database file to this program's version: numbered SQL files, each in one transaction with the
/// number that says so.</summary>
internal static class SqliteMigrations
{
    private const string Prefix = "Berth.Server.Migrations.";

    public static void Apply(SqliteDatabase database)
    {
        IReadOnlyList<(int Number, string Resource)> migrations = List();
        int version = Version(database);
        if (version > migrations[^1].Number)
        {
            throw new BerthException(
                ErrorCode.InvalidConfiguration,
                $"The data folder was written by a newer Berth (store version {version}, this one knows "
                + $"{migrations[^1].Number}): "
                + "run that version, or restore a backup made before it.");
        }

        foreach ((int number, string resource) in migrations.Where(migration => migration.Number > version))
        {
            database.Execute("BEGIN IMMEDIATE");
            database.Execute(Read(resource));
            database.Execute(string.Create(CultureInfo.InvariantCulture, $"PRAGMA user_version = {number}"));
            CrashPoints.Reach(CrashPoint.MigrationApplied);
            database.Execute("COMMIT");
        }
    }

    private static int Version(SqliteDatabase database)
    {
        using SqliteStatement statement = database.PrepareOnce("PRAGMA user_version");
        return statement.Step() ? (int)statement.Int64(0) : 0;
    }

    private static List<(int Number, string Resource)> List() =>
    [
        .. Assembly.GetExecutingAssembly().GetManifestResourceNames()
            .Where(name => name.StartsWith(Prefix, StringComparison.Ordinal))
            .Select(name => (int.Parse(name.AsSpan(Prefix.Length, 4), CultureInfo.InvariantCulture), name))
            .Order(),
    ];

    private static string Read(string resource)
    {
        using Stream stream = Assembly.GetExecutingAssembly().GetManifestResourceStream(resource)!;
        using StreamReader reader = new(stream);
        return reader.ReadToEnd();
    }
}
