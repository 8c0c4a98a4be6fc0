using Berth.Core.Functions;
using Berth.Core.Images;
using Berth.Core.Runs;
using Berth.Server.Nodes;

namespace Berth.Server.Store;

/// <summary>What a store that several servers share does beside keeping records: who is there, who holds what, and who
/// is told of it.</summary>
internal interface IClusterStore
{
    /// <summary>Identity of this server among those that share the store.</summary>
    string Self { get; }

    /// <summary>Says that this server is there. Its beat rises by one.</summary>
    /// <param name="address">Where the others reach it; empty for nowhere.</param>
    Task BeatAsync(string name, string version, string address, CancellationToken cancellationToken);

    /// <summary>Takes this server off the list; nothing happens where it is not on it.</summary>
    Task LeaveAsync(string server, CancellationToken cancellationToken);

    /// <summary>Every server that ever said that it is there; records name those that are gone, too.</summary>
    Task<IReadOnlyList<ServerBeat>> ServersAsync(CancellationToken cancellationToken);

    /// <summary>The servers that have what belongs to a run in files; null where there is no such run.</summary>
    Task<RunServers?> WhereAsync(RunId id, CancellationToken cancellationToken);

    /// <summary>The servers that had any of the runs under way last.</summary>
    Task<IReadOnlyCollection<string>> HoldersAsync(
        IReadOnlyCollection<RunId> ids, CancellationToken cancellationToken);

    /// <summary>The server that keeps a container, by its name, its id or the beginning of that; null where there is no
    /// such container.</summary>
    Task<string?> HolderOfContainerAsync(string container, CancellationToken cancellationToken);

    /// <summary>One function as it is now; null where there is none of that name.</summary>
    Task<Function?> FindFunctionAsync(string name, CancellationToken cancellationToken);

    /// <summary>What all servers have alike under a name: what was there first, be it this one's.</summary>
    Task<SealedKey> ShareKeyAsync(string name, SealedKey own, CancellationToken cancellationToken);

    /// <summary>Replaces what all servers have alike by the same, sealed with another key; does nothing where another
    /// server has done so.</summary>
    /// <param name="before">Number of the key that it was sealed with.</param>
    Task ResealKeyAsync(string name, int before, SealedKey again, CancellationToken cancellationToken);

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

    /// <summary>Which of those this server can run: of what others accepted, it claims only these.</summary>
    /// <param name="reached">Servers whose files it can have: of what these accepted, also what has a large input.
    /// </param>
    void Offer(IReadOnlyCollection<string> images, IReadOnlyCollection<string> reached);

    /// <summary>Events numbered above the given ones, of runs that somebody here listens to.</summary>
    Task<IReadOnlyList<(RunId Run, NumberedEvent Event)>> NewEventsAsync(
        IReadOnlyDictionary<RunId, long> after, CancellationToken cancellationToken);

    /// <summary>Nodes that any server has changed or removed since this was asked last.</summary>
    Task<NodeNews> NewNodesAsync(CancellationToken cancellationToken);

    /// <summary>Names of images that any server has changed since this was asked last.</summary>
    Task<IReadOnlyList<SharedName>> NewNamesAsync(CancellationToken cancellationToken);

    /// <summary>Writes names, but for those that are newer there.</summary>
    Task PutNamesAsync(IReadOnlyList<SharedName> names, CancellationToken cancellationToken);

    /// <summary>What all servers keep under a topic as one document; null where there is none yet.</summary>
    Task<byte[]?> ReadDocumentAsync(string topic, CancellationToken cancellationToken);

    /// <summary>Replaces it. Throws <see cref="StaleRecordsException"/> where another server did since this one has
    /// read it.</summary>
    Task WriteDocumentAsync(string topic, byte[] body, CancellationToken cancellationToken);

    /// <summary>Topics (functions, secrets, triggers, nodes, tokens, images, policies) that another server has changed
    /// since this one read them.</summary>
    Task<IReadOnlySet<string>> ChangedAsync(CancellationToken cancellationToken);

    /// <summary>Tells all servers that something is new. It may get lost: each looks by itself, too.</summary>
    Task TellAsync(CancellationToken cancellationToken);

    /// <summary>Calls back whenever one was told; ends when the connection does.</summary>
    Task ListenAsync(Action told, CancellationToken cancellationToken);
}

/// <param name="Beat">Rises for as long as the server is there.</param>
/// <param name="Address">Where the others reach it; empty for nowhere.</param>
/// <param name="IsGone">It left, or was lost and its work taken over.</param>
internal sealed record ServerBeat(string Id, string Name, long Beat, string Address, bool IsGone, bool IsSelf);

/// <param name="Origin">Accepted it, and has its input.</param>
/// <param name="Holder">Had it under way last, and has its log and result.</param>
internal readonly record struct RunServers(string Origin, string Holder);

/// <summary>A tag of a repository, or a manifest by its digest.</summary>
/// <param name="Size">Of the manifest in bytes; of a tag nothing.</param>
/// <param name="At">When it was pushed, moved or deleted.</param>
internal sealed record SharedName(
    string Repository, string Name, Digest Digest, long Size, DateTimeOffset At, bool IsGone)
{
    public bool IsTag => !Name.Contains(':', StringComparison.Ordinal);
}

/// <param name="Key">Number of the key that it is sealed with.</param>
internal readonly record struct SealedKey(int Key, byte[] Sealed);

/// <param name="Removed">Names.</param>
internal sealed record NodeNews(IReadOnlyList<NodeRecord> Changed, IReadOnlyList<string> Removed);

internal readonly record struct HeldTask(int Generation, bool CancelRequested);
