using Berth.Core.Functions;

namespace Berth.Server.Store;

/// <summary>The durable record of functions. One server writes it. Every write is durable when its task completes;
/// throws <c>StorageFull</c>, <c>StorageFault</c>.</summary>
public interface IFunctionStore
{
    /// <summary>Every function, in no order.</summary>
    Task<IReadOnlyList<Function>> AllFunctionsAsync(CancellationToken cancellationToken);

    /// <summary>Adds it, or replaces what has its name.</summary>
    Task PutAsync(Function function, CancellationToken cancellationToken);

    /// <summary>Nothing happens where there is none.</summary>
    Task DeleteFunctionAsync(string name, CancellationToken cancellationToken);
}
