using Berth.Core.Networks;
using Berth.Server.Networks;

namespace Berth.Server.Store.Sqlite;

/// <summary>The bodies of reads and writes of networks.</summary>
internal static class NetworkWrites
{
    public static IReadOnlyList<Network> All(SqliteDatabase database)
    {
        SqliteStatement select = database.Prepare("SELECT document FROM networks");
        List<Network> networks = [];
        while (select.Step())
        {
            networks.Add(NetworkDocument.Read(select.Blob(0)));
        }

        return networks;
    }

    public static bool Put(SqliteDatabase database, Network network)
    {
        database.Prepare("INSERT OR REPLACE INTO networks (id, name, document) VALUES (?, ?, ?)")
            .Bind(network.Id).Bind(network.Name).Bind(NetworkDocument.Write(network)).Run();
        return true;
    }

    public static bool Delete(SqliteDatabase database, string id)
    {
        database.Prepare("DELETE FROM networks WHERE id = ?").Bind(id).Run();
        return true;
    }
}
