using Berth.Core.Runs;
using Berth.Core.Triggers;

namespace Berth.Server.Store;

/// <summary>The durable record of triggers and of what became of them. One server writes it. Every write is durable
/// when its task completes; throws <c>StorageFull</c>, <c>StorageFault</c>.</summary>
internal interface ITriggerStore
{
    /// <summary>Every trigger, in no order, with the last time that a clock has seen to.</summary>
    Task<IReadOnlyList<(Trigger Trigger, DateTimeOffset Seen)>> AllTriggersAsync(CancellationToken cancellationToken);

    /// <summary>Adds it, or replaces what has its name; what is remembered of another one is forgotten.</summary>
    Task PutAsync(Trigger trigger, DateTimeOffset seen, CancellationToken cancellationToken);

    /// <summary>With all that is remembered of it. Nothing happens where there is none.</summary>
    Task DeleteTriggerAsync(Trigger trigger, CancellationToken cancellationToken);

    /// <summary>Remembers a firing, once for its key: a run is never forgotten for another. The oldest of more than
    /// <see cref="Firing.Kept"/> go.</summary>
    /// <param name="seen">Of a clock: the time that is seen to with it.</param>
    /// <param name="file">Of an upload: its path and what it was like.</param>
    Task RecordAsync(
        Firing firing, DateTimeOffset? seen, (string Path, string Mark)? file, CancellationToken cancellationToken);

    /// <summary>Newest first.</summary>
    Task<IReadOnlyList<Firing>> FiringsAsync(RunId trigger, int limit, CancellationToken cancellationToken);

    /// <summary>Files that were seen to, by path.</summary>
    Task<IReadOnlyDictionary<string, string>> FilesAsync(RunId trigger, CancellationToken cancellationToken);

    /// <summary>Forgets files that are gone.</summary>
    Task ForgetAsync(RunId trigger, IReadOnlyCollection<string> gone, CancellationToken cancellationToken);
}
