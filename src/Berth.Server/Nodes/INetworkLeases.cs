using Berth.Core.Networks;

namespace Berth.Server.Nodes;

/// <summary>Networks as the fleet needs them: which can be on any node, and what a node must know of one.</summary>
internal interface INetworkLeases
{
    /// <summary>Whether it is on several machines.</summary>
    bool IsOverlay(NetworkUse use);

    /// <summary>Whether what goes between them is encrypted.</summary>
    bool IsEncrypted(NetworkUse use);

    /// <summary>What a node must know of a network to have it; its part is durable before this returns. Throws
    /// <c>NotFound</c> where it is gone, <c>QuotaExceeded</c> where every part is given, <c>NoNode</c> where the node
    /// can't be reached by others.</summary>
    Task<NetworkDefinition> LeaseAsync(string id, NodeEntry node, CancellationToken cancellationToken);
}
