using Berth.Server.Nodes;

namespace Berth.Server.Store;

/// <summary>The durable record of nodes and of what lets them join. Every write is durable when its task completes;
/// throws <c>StorageFull</c>, <c>StorageFault</c>.</summary>
internal interface INodeStore
{
    /// <summary>Every node, in no order.</summary>
    Task<IReadOnlyList<NodeRecord>> AllNodesAsync(CancellationToken cancellationToken);

    /// <summary>Adds it, or replaces what has its name.</summary>
    Task PutNodeAsync(NodeRecord node, CancellationToken cancellationToken);

    /// <summary>Nothing happens where there is none.</summary>
    Task DeleteNodeAsync(string name, CancellationToken cancellationToken);

    /// <summary>Adds a token, and drops those that ended before <paramref name="now"/>.</summary>
    Task AddJoinTokenAsync(JoinTokenRecord token, DateTimeOffset now, CancellationToken cancellationToken);

    /// <summary>Null where there is none.</summary>
    Task<JoinTokenRecord?> FindJoinTokenAsync(string id, CancellationToken cancellationToken);

    /// <summary>Spends a token on a new node, both or neither. False where the token is spent already, whoever was
    /// first.</summary>
    Task<bool> JoinAsync(string token, NodeRecord node, CancellationToken cancellationToken);
}
