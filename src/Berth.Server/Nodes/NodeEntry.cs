using System.Net;
using Berth.Api.Links;
using Berth.Core.Networks;
using Berth.Core.Nodes;
using Berth.Core.Placement;

namespace Berth.Server.Nodes;

/// <summary>A node as the server knows it now: its record, and its link while there is one.</summary>
/// <param name="isOwn">The server's own, which has no link and is never silent.</param>
internal sealed class NodeEntry(NodeRecord record, bool isOwn)
{
    private readonly Lock gate = new();
    private int elsewhere;
    private long elsewhereMemory;

    /// <summary>Null before its first link, and for the server's own.</summary>
    private NodeLiveness? liveness;

    public NodeRecord Record { get; set; } = record;

    public string Name => Record.Name;

    public bool IsOwn => isOwn;

    /// <summary>Null while it has had no link, and for the server's own node.</summary>
    public RemoteNode? Node { get; private set; }

    /// <summary>Of the server's own machine: as <see cref="Underlay"/>.</summary>
    public IPAddress? OwnUnderlay { get; set; }

    /// <summary>Under which other machines reach it; null while it can have no network with them.</summary>
    public IPAddress? Underlay => isOwn
        ? OwnUnderlay
        : Node is { Link: { Closed.IsCancellationRequested: false } link } ? link.Underlay : null;

    /// <summary>Of the server's own machine: as <see cref="Key"/>.</summary>
    public PeerKey? OwnKey { get; set; }

    /// <summary>For encrypted networks; null while it can have none.</summary>
    public PeerKey? Key => isOwn
        ? OwnKey
        : Node is { Link: { Closed.IsCancellationRequested: false } link } ? link.Key : null;

    /// <summary>Why the last try to work with it failed; null where it did not.</summary>
    public string? Problem { get; set; }

    /// <summary>Sandboxes that it may run at once, as it says and within what is believed.</summary>
    public int Places { get; set; }

    /// <summary>Those of them that other servers of the same store do not use, as of its last heartbeat.</summary>
    public int FreePlaces => Math.Max(0, Places - elsewhere);

    public NodeHeartbeat? Heartbeat => Node?.Link.Heartbeat;

    /// <summary>Whether it is worked with; of its record, see <see cref="NodeRecord.IsCordoned"/>.</summary>
    public NodeAvailability Availability
    {
        get
        {
            if (isOwn)
            {
                return NodeAvailability.Ready;
            }

            lock (gate)
            {
                return liveness is { } known
                    && Node is { Link: { Closed.IsCancellationRequested: false, HasLeft: false } }
                    ? known.State
                    : NodeAvailability.Lost;
            }
        }
    }

    /// <summary>The state as people are told it. A node without a link is lost, unless it never had one or is there
    /// and can't be worked with.</summary>
    public string State => Availability != NodeAvailability.Lost
        ? Availability.ToString().ToLowerInvariant()
        : Problem is not null ? "refused" : Record.SeenAt is null ? "joined" : "lost";

    /// <summary>It has another link. What it had over the one before, it has ended: attempts live no longer than
    /// theirs.</summary>
    /// <returns>The one before.</returns>
    public RemoteNode? Link(RemoteNode node, TimeSpan now)
    {
        lock (gate)
        {
            RemoteNode? before = Node;
            Node = node;
            liveness = NodeLiveness.Joined(now);
            return before;
        }
    }

    /// <summary>Takes in a heartbeat.</summary>
    /// <returns>Whether it changes what may be placed there.</returns>
    public bool Hear(TimeSpan now)
    {
        lock (gate)
        {
            (int, long) before = (elsewhere, elsewhereMemory);
            elsewhere = Math.Max(0, Node?.Link.Heartbeat?.Elsewhere ?? 0);
            elsewhereMemory = Node?.Link.Heartbeat?.ElsewhereMemory ?? 0;
            LivenessChange change = LivenessChange.None;
            liveness = liveness?.Hear(now, out change).Settle();
            return change != LivenessChange.None || (elsewhere, elsewhereMemory) != before;
        }
    }

    /// <summary>Looks at its silence, while it has a link.</summary>
    /// <param name="listening">As <see cref="NodeLiveness.Judge"/> wants it.</param>
    public LivenessChange Judge(TimeSpan now, TimeSpan listening)
    {
        lock (gate)
        {
            LivenessChange change = LivenessChange.None;
            if (Node is { Link.Closed.IsCancellationRequested: false })
            {
                liveness = liveness?.Judge(now, listening, LivenessRules.Default, out change);
            }

            return change;
        }
    }
}
