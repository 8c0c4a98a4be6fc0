using Berth.Api.Links;
using Berth.Core.Nodes;

namespace Berth.Server.Nodes;

/// <summary>A node as the server knows it now: its record, and its link while there is one.</summary>
internal sealed class NodeEntry(NodeRecord record)
{
    public NodeRecord Record { get; set; } = record;

    public string Name => Record.Name;

    /// <summary>Null while it has no link, and for the server's own node.</summary>
    public RemoteNode? Node { get; set; }

    /// <summary>Why the last try to work with it failed; null where it did not.</summary>
    public string? Problem { get; set; }

    /// <summary>Sandboxes that it may run at once, as it says and within what is believed.</summary>
    public int Places { get; set; }

    public NodeState StateAt(TimeProvider time) => NodeHealth.Of(
        Node is { Link: { Closed.IsCancellationRequested: false } link } ? time.GetElapsedTime(link.Heard) : null,
        Record.SeenAt is not null, Problem);

    public NodeHeartbeat? Heartbeat => Node?.Link.Heartbeat;
}
