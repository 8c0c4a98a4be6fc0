using Berth.Core.Networks;
using Berth.Server.Networks;

namespace Berth.Server.Store.Postgres;

// Networks.
public sealed partial class PostgresStore
{
    private const string Networks = "networks";

    async Task<IReadOnlyList<Network>> INetworkStore.AllNetworksAsync(CancellationToken cancellationToken) =>
        await ReadTopicAsync(
            Networks, "document FROM networks", row => NetworkDocument.Read(row.Blob(1)), cancellationToken);

    Task INetworkStore.PutAsync(Network network, CancellationToken cancellationToken) => ChangeAsync(
        Networks, isNew: true,
        "w AS (INSERT INTO networks (id, name, document) SELECT $3, $4, $5 FROM c "
        + "ON CONFLICT (id) DO UPDATE SET document = excluded.document)",
        statement => statement.Bind(network.Id).Bind(network.Name).Bind(NetworkDocument.Write(network)),
        cancellationToken);

    Task INetworkStore.DeleteNetworkAsync(string id, CancellationToken cancellationToken) => ChangeAsync(
        Networks, isNew: false, "w AS (DELETE FROM networks WHERE id = $3 AND EXISTS (SELECT 1 FROM c))",
        statement => statement.Bind(id), cancellationToken);
}
