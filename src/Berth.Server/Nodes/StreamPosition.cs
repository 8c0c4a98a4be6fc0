using Berth.Api.Links;

namespace Berth.Server.Nodes;

/// <summary>How far one of a container's outputs is, over all links. Who has it guards it.</summary>
internal sealed class StreamPosition
{
    /// <summary>What it counted already when this server took it up, and what was dropped since.</summary>
    private long before;

    /// <summary>Bytes that the node was told are welcome again.</summary>
    public long Said { get; set; }

    /// <param name="arrived">Bytes that came to this server.</param>
    public StreamPlace Place(long arrived) => new(before + arrived, (int)(arrived - Said));

    /// <summary>Goes on where the node says.</summary>
    public void GoOn(long at, long arrived) => before = at - arrived;
}
