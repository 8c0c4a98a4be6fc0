using Berth.Core.Containers;
using Berth.Core.Errors;

namespace Berth.Server.Store.Sqlite;

/// <summary>The bodies of reads and writes of containers.</summary>
internal static class ContainerWrites
{
    public static IReadOnlyList<Container> All(SqliteDatabase database)
    {
        SqliteStatement statement = database.Prepare("SELECT document FROM containers");
        List<Container> containers = [];
        while (statement.Step())
        {
            containers.Add(ContainerDocument.Read(statement.Blob(0)));
        }

        return containers;
    }

    public static bool Add(SqliteDatabase database, Container container)
    {
        ThrowIfNameIsTaken(database, container);
        database.Prepare("INSERT INTO containers (id, name, document) VALUES (?, ?, ?)")
            .Bind(container.Id.Text).Bind(container.Name).Bind(ContainerDocument.Write(container)).Run();
        return true;
    }

    public static bool Save(SqliteDatabase database, Container container)
    {
        ThrowIfNameIsTaken(database, container);
        database.Prepare("UPDATE containers SET name = ?, document = ? WHERE id = ?")
            .Bind(container.Name).Bind(ContainerDocument.Write(container)).Bind(container.Id.Text).Run();
        return true;
    }

    public static bool Delete(SqliteDatabase database, ContainerId id)
    {
        database.Prepare("DELETE FROM containers WHERE id = ?").Bind(id.Text).Run();
        return true;
    }

    private static void ThrowIfNameIsTaken(SqliteDatabase database, Container container)
    {
        SqliteStatement statement = database.Prepare("SELECT id FROM containers WHERE name = ? AND id <> ?")
            .Bind(container.Name).Bind(container.Id.Text);
        string? other = statement.Step() ? statement.Text(0) : null;
        statement.Reset();
        if (other is not null)
        {
            throw NameIsTaken(container.Name, other);
        }
    }

    public static BerthException NameIsTaken(string name, string other) => new(
        ErrorCode.Conflict,
        $"The name '{name}' belongs to container {other}: remove or rename that one, or choose another name.");
}
