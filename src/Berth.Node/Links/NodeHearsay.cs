using System.Collections.Concurrent;
using System.Net;
using System.Text.Json;
using Berth.Api.Links;
using Berth.Api.Nodes;
using Berth.Core.Networks;

namespace Berth.Node.Links;

/// <summary>What all servers say of networks that are on several machines, as one: a server's word holds as long as its
/// link does. And what is said to each of them.</summary>
internal sealed class NodeHearsay : IDisposable
{
    private readonly ISharedNetworks? node;
    private readonly IPAddress? advertised;
    private readonly ConcurrentDictionary<LinkNetworks, IReadOnlyList<SharedNetwork>> said = new();
    private readonly SemaphoreSlim sharing = new(1);

    /// <param name="node">Null for a node without networks.</param>
    /// <param name="advertised">Under which others reach this machine; null for the address a link is from.</param>
    public NodeHearsay(ISharedNetworks? node, IPAddress? advertised)
    {
        this.node = node;
        this.advertised = advertised;
        node?.Changed = TellAll;
    }

    /// <summary>The same with what other machines must know: nothing where none could send to this one, or the kernel
    /// has no tunnels.</summary>
    public NodeHello Greet(NodeHello hello, ServerLink link) =>
        node is { IsPossible: true } && LinkAddress.OfMachine(advertised ?? link.Door.LocalAddress) is { } address
            ? hello with { Underlay = address.ToString(), Key = Key?.ToString() }
            : hello;

    /// <summary>Null where this machine can have no encrypted networks.</summary>
    public PeerKey? Key => node?.Key;

    /// <summary>A link was accepted.</summary>
    public LinkNetworks Begin(FrameWriter server)
    {
        LinkNetworks begun = new(this, server);
        said[begun] = [];
        return begun;
    }

    public async Task HearAsync(
        LinkNetworks link, IReadOnlyList<SharedNetwork>? networks, CancellationToken cancellationToken)
    {
        await sharing.WaitAsync(cancellationToken);
        try
        {
            if (networks is null)
            {
                said.TryRemove(link, out _);
            }
            else
            {
                said[link] = networks;
            }

            await (node?.ShareAsync(Together(), cancellationToken) ?? Task.CompletedTask);
        }
        finally
        {
            sharing.Release();
        }
    }

    /// <summary>What can be found on this machine.</summary>
    public PresenceReport Present() => PresenceReport.Of(node?.Present() ?? []);

    public void Dispose() => sharing.Dispose();

    /// <summary>Servers know of what is linked to them, so what one of them says is true; where two say another address
    /// of this machine, the one that was last.</summary>
    private SharedNetwork[] Together() =>
    [
        .. said.Values.SelectMany(networks => networks).GroupBy(n => n.Id).Select(g => new SharedNetwork(
            g.Key, g.Last().Address, [.. g.SelectMany(n => n.Peers).Distinct()],
            [.. g.SelectMany(n => n.Names).Distinct()])),
    ];

    private void TellAll()
    {
        foreach (LinkNetworks link in said.Keys)
        {
            link.Tell();
        }
    }
}

/// <summary>What has to do with networks of one link.</summary>
internal sealed class LinkNetworks(NodeHearsay hearsay, FrameWriter server) : IDisposable
{
    /// <summary>Servers that never spoke of networks don't know the word.</summary>
    private volatile bool isKnown;
    private volatile bool isOver;
    private readonly Lock telling = new();

    public async Task HearAsync(IReadOnlyList<SharedNetwork> networks, CancellationToken cancellationToken)
    {
        bool isFirst = !isKnown;
        isKnown = true;
        await hearsay.HearAsync(this, networks, cancellationToken);
        if (isFirst)
        {
            Tell();
        }
    }

    /// <summary>Says what can be found here.</summary>
    public void Tell()
    {
        if (!isKnown || isOver)
        {
            return;
        }

        // What was true later is said later.
        lock (telling)
        {
            server.Post(
                FrameKind.Presence,
                JsonSerializer.SerializeToUtf8Bytes(hearsay.Present(), NetworkLinkJson.Default.PresenceReport));
        }
    }

    /// <summary>What its server said does not hold any more.</summary>
    public Task EndAsync()
    {
        isOver = true;
        return hearsay.HearAsync(this, null, CancellationToken.None);
    }

    public void Dispose() => isOver = true;
}
