using Berth.Core.Networks;

namespace Berth.Server.Store;

/// <summary>The durable record of networks. Every write is durable when its task completes; throws <c>StorageFull</c>,
/// <c>StorageFault</c>.</summary>
internal interface INetworkStore
{
    /// <summary>Every network, in no order.</summary>
    Task<IReadOnlyList<Network>> AllNetworksAsync(CancellationToken cancellationToken);

    /// <summary>Adds it. Its name must be free.</summary>
    Task PutAsync(Network network, CancellationToken cancellationToken);

    /// <summary>Nothing happens where there is none.</summary>
    Task DeleteNetworkAsync(string id, CancellationToken cancellationToken);
}
