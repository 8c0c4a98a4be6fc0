using Berth.Core.Runs;

namespace Berth.Server.Store;

/// <summary>What a store that several servers share does beside keeping records: who is there, who holds what, and who
/// is told of it.</summary>
internal interface IClusterStore
{
    /// <summary>Says that this server is there. Its beat rises by one.</summary>
    Task BeatAsync(string name, string version, CancellationToken cancellationToken);

    /// <summary>Takes this server off the list; nothing happens where it is not on it.</summary>
    Task LeaveAsync(string server, CancellationToken cancellationToken);

    /// <summary>Every server that said that it is there and did not leave.</summary>
    Task<IReadOnlyList<ServerBeat>> ServersAsync(CancellationToken cancellationToken);

    /// <summary>Takes over up to <paramref name="limit"/> runs that a lost server has under way: this one holds them
    /// afterwards, in a new generation, so that whatever the other one still reports is refused.</summary>
    Task<IReadOnlyList<Run>> AdoptAsync(string lost, int limit, CancellationToken cancellationToken);

    /// <summary>Takes over the callbacks and forwards that a lost server owes.</summary>
    Task AdoptDebtsAsync(string lost, CancellationToken cancellationToken);

    /// <summary>Those of the runs that may have an input or a result in a file.</summary>
    Task<IReadOnlySet<RunId>> WithFilesAsync(IReadOnlyCollection<RunId> ids, CancellationToken cancellationToken);

    /// <summary>The tasks that this server has under way.</summary>
    Task<IReadOnlyDictionary<RunId, HeldTask>> HeldTasksAsync(CancellationToken cancellationToken);

    /// <summary>Manifests of waiting tasks that other servers accepted, at most a thousand.</summary>
    Task<IReadOnlyList<string>> WaitingImagesAsync(CancellationToken cancellationToken);

    /// <summary>Which of those this server has: of what others accepted, it claims only these.</summary>
    void Offer(IReadOnlyCollection<string> images);

    /// <summary>Events numbered above the given ones, of runs that somebody here listens to.</summary>
    Task<IReadOnlyList<(RunId Run, NumberedEvent Event)>> NewEventsAsync(
        IReadOnlyDictionary<RunId, long> after, CancellationToken cancellationToken);

    /// <summary>Topics (functions, secrets, triggers) that another server has changed since this one read them.
    /// </summary>
    Task<IReadOnlySet<string>> ChangedAsync(CancellationToken cancellationToken);

    /// <summary>Tells all servers that something is new. It may get lost: each looks by itself, too.</summary>
    Task TellAsync(CancellationToken cancellationToken);

    /// <summary>Calls back whenever one was told; ends when the connection does.</summary>
    Task ListenAsync(Action told, CancellationToken cancellationToken);
}

/// <param name="Beat">Rises for as long as the server is there.</param>
internal sealed record ServerBeat(string Id, string Name, long Beat, bool IsSelf);

internal readonly record struct HeldTask(int Generation, bool CancelRequested);
