using Berth.Server.Nodes;

namespace Berth.Server.Store;

/// <summary>The durable record of nodes and of what lets them join. Every write is durable when its task completes;
/// throws <c>StorageFull</c>, <c>StorageFault</c>.</summary>
internal interface INodeStore
{
    /// <summary>Every node, in no order.</summary>
    Task<IReadOnlyList<NodeRecord>> AllNodesAsync(CancellationToken cancellationToken);

    /// <summary>Adds it, or replaces what it was made from; gives it with the number of this change. Throws
    /// <see cref="StaleRecordsException"/> where another server has changed that one meanwhile.</summary>
    Task<NodeRecord> PutNodeAsync(NodeRecord node, CancellationToken cancellationToken);

    /// <summary>Nothing happens where there is none.</summary>
    Task DeleteNodeAsync(string name, CancellationToken cancellationToken);

    /// <summary>Adds a token, and drops those that ended before <paramref name="now"/>.</summary>
    Task AddJoinTokenAsync(JoinTokenRecord token, DateTimeOffset now, CancellationToken cancellationToken);

    /// <summary>Every token that is kept, spent and expired ones among them, the newest first.</summary>
    Task<IReadOnlyList<JoinTokenRecord>> AllJoinTokensAsync(CancellationToken cancellationToken);

    /// <summary>Takes a token back; a node that has joined with it stays. Returns whether there was one.</summary>
    Task<bool> DeleteJoinTokenAsync(string id, CancellationToken cancellationToken);

    /// <summary>Null where there is none.</summary>
    Task<JoinTokenRecord?> FindJoinTokenAsync(string id, CancellationToken cancellationToken);

    /// <summary>Spends a token on a new node, both or neither; gives it with the number of this change. Null where the
    /// token is spent already, whoever was first, or taken back, or another server has a node of that name.</summary>
    Task<NodeRecord?> JoinAsync(string token, NodeRecord node, CancellationToken cancellationToken);
}
