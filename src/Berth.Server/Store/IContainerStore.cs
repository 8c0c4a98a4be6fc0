using Berth.Core.Containers;

namespace Berth.Server.Store;

/// <summary>The durable record of containers. One server writes it. Every write is durable when its task completes.
/// </summary>
public interface IContainerStore
{
    /// <summary>Every container of this server, in no order.</summary>
    Task<IReadOnlyList<Container>> AllContainersAsync(CancellationToken cancellationToken);

    /// <summary>Those of all servers that share the store, in no order.</summary>
    Task<IReadOnlyList<Container>> ContainersOfAllAsync(CancellationToken cancellationToken);

    /// <summary>Throws <c>Conflict</c> where the name or the id is taken; <c>StorageFull</c>, <c>StorageFault</c>.
    /// </summary>
    Task AddAsync(Container container, CancellationToken cancellationToken);

    /// <summary>Replaces the record, its name too; nothing happens where there is none. Throws <c>Conflict</c> where
    /// another container has the name.</summary>
    Task SaveAsync(Container container, CancellationToken cancellationToken);

    Task DeleteAsync(ContainerId id, CancellationToken cancellationToken);
}
