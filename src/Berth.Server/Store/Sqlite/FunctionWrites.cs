using Berth.Core.Functions;

namespace Berth.Server.Store.Sqlite;

/// <summary>The bodies of reads and writes of functions.</summary>
internal static class FunctionWrites
{
    public static IReadOnlyList<Function> All(SqliteDatabase database)
    {
        SqliteStatement statement = database.Prepare("SELECT document FROM functions");
        List<Function> functions = [];
        while (statement.Step())
        {
            functions.Add(FunctionDocument.Read(statement.Blob(0)));
        }

        return functions;
    }

    public static bool Put(SqliteDatabase database, Function function)
    {
        database.Prepare(
                "INSERT INTO functions (name, document) VALUES (?, ?) "
                + "ON CONFLICT (name) DO UPDATE SET document = excluded.document")
            .Bind(function.Name).Bind(FunctionDocument.Write(function)).Run();
        return true;
    }

    public static bool Delete(SqliteDatabase database, string name)
    {
        database.Prepare("DELETE FROM functions WHERE name = ?").Bind(name).Run();
        return true;
    }
}
