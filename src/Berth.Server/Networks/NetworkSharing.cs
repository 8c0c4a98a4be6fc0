using System.Net;
using System.Runtime.CompilerServices;
using System.Text.Json;
using System.Threading.Channels;
using Berth.Api.Links;
using Berth.Api.Nodes;
using Berth.Core.Networks;
using Berth.Server.Nodes;
using Microsoft.Extensions.Logging;

namespace Berth.Server.Networks;

/// <summary>
/// Tells each machine of its networks that are on several: which other machines have a part, where they are reached,
/// and what is found on them. All from the records of networks and from what nodes, and other servers of their own
/// machines, say of themselves; a machine that has no link is not told of. A pass, and a look at each change.
/// </summary>
internal sealed class NetworkSharing(
    NetworkKeeper networks, NodeRegister register, INode own, PeerPresence? peers, TimeProvider time, ILogger logger)
    : IAsyncDisposable
{
    private static readonly TimeSpan Period = TimeSpan.FromSeconds(5);

    /// <summary>Changes that come together are told together.</summary>
    private static readonly TimeSpan Gathering = TimeSpan.FromMilliseconds(10);

    private readonly Channel<bool> pokes = Channel.CreateBounded<bool>(
        new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });

    /// <summary>What was said over each link last.</summary>
    private readonly ConditionalWeakTable<NodeLink, byte[]> said = [];
    private readonly CancellationTokenSource stop = new();

    /// <summary>As <see cref="PeerClaim.Doubtful"/>, of the last look.</summary>
    private IReadOnlySet<string> doubtful = new HashSet<string>();
    private Task looking = Task.CompletedTask;

    public NetworkKeeper Networks => networks;

    public void Start()
    {
        own.SharedNetworks?.Changed = Poke;
        peers?.Changed = Poke;
        looking = Task.Run(RunAsync, CancellationToken.None);
    }

    /// <summary>Something may be other than it was told.</summary>
    public void Poke() => pokes.Writer.TryWrite(true);

    public async ValueTask DisposeAsync()
    {
        await stop.CancelAsync();
        await looking;
        await (peers?.DisposeAsync() ?? ValueTask.CompletedTask);
        stop.Dispose();
    }

    /// <summary>One look: tells who was not told yet.</summary>
    public async Task LookAsync(CancellationToken cancellationToken)
    {
        LookAtPeers();
        Member[] members = Believed([.. networks.All.Where(n => n.IsOverlay).SelectMany(MembersOf)]);
        ILookup<string, Member> byNetwork = members.ToLookup(m => m.Network.Id);
        if (own.SharedNetworks is { IsPossible: true } here)
        {
            await here.ShareAsync(
                [.. members.Where(m => m.Node.IsOwn).Select(m => Tell(m, byNetwork))], cancellationToken);
        }

        ILookup<string, Member> byNode = members.ToLookup(m => m.Node.Name);
        foreach (NodeEntry node in register.All)
        {
            if (node is { IsOwn: false, Underlay: not null, Node: { } remote })
            {
                Send(remote.Link, [.. byNode[node.Name].Select(m => Tell(m, byNetwork))]);
            }
        }
    }

    private void LookAtPeers()
    {
        if (peers?.Tell(own.SharedNetworks?.Present() ?? []) == false)
        {
            Log.TooManyNamesHere(logger);
        }

        peers?.Look();
    }

    private static SharedNetwork Tell(Member to, ILookup<string, Member> byNetwork)
    {
        Network network = to.Network;
        Member[] others = [.. byNetwork[network.Id].Where(m => m != to)];
        return new SharedNetwork(
            network.Id, to.Address,
            [.. others.Select(m => new NetworkPeer(m.Address, m.Part, network.IsEncrypted ? m.Key : null))],
            [.. others.SelectMany(m => m.Names).Take(SharedNetwork.MaxNames)]);
    }

    /// <summary>Of encrypted networks, those that have a key, and an address and a key that nobody else says.</summary>
    private Member[] Believed(Member[] members)
    {
        IReadOnlySet<string> found = PeerClaim.Doubtful(
            members.Where(m => m is { Network.IsEncrypted: true, Key: not null })
                .Select(m => new PeerClaim(m.Node.Name, m.Address, m.Key!)));
        if (!found.SetEquals(doubtful) && found.Count > 0)
        {
            Log.Doubtful(logger, string.Join(", ", found.Order(StringComparer.Ordinal)));
        }

        doubtful = found;
        return
        [
            .. members.Where(m => !m.Network.IsEncrypted || (m.Key is not null && !found.Contains(m.Node.Name))),
        ];
    }

    private IEnumerable<Member> MembersOf(Network network)
    {
        foreach (SubnetLease lease in network.Leases)
        {
            if (register.Find(lease.Node) is { } node && AddressOf(node, lease) is { } address)
            {
                IPNetwork part = SubnetParts.At(network.Definition.Subnet, lease.Number);
                yield return new Member(
                    network, node, address, part, NamesOn(node, network, part), KeyOf(node, lease));
            }
        }
    }

    /// <summary>Null for a machine that is not there.</summary>
    private IPAddress? AddressOf(NodeEntry node, SubnetLease lease) => node.Underlay
        ?? (!node.IsOwn && register.IsServing(node.Record) && IPAddress.TryParse(lease.Address, out IPAddress? address)
            ? LinkAddress.OfMachine(address)
            : null);

    private static PeerKey? KeyOf(NodeEntry node, SubnetLease lease) =>
        node.Key ?? (!node.IsOwn && node.Underlay is null && PeerKey.TryParse(lease.Key, out PeerKey? key)
            ? key
            : null);

    /// <summary>What a node says it has, as far as that can be: names of its own part.</summary>
    private FoundName[] NamesOn(NodeEntry node, Network network, IPNetwork part)
    {
        IReadOnlyList<NetworkPresence> present = node.IsOwn
            ? own.SharedNetworks?.Present() ?? []
            : node.Record.Server is { } server ? peers?.Of(server) ?? []
            : node.Node?.Link.Presence ?? [];
        return
        [
            .. present.Where(p => p.Id == network.Id).SelectMany(p => p.Names)
                .Where(n => AddressPool.IsToGive(part, n.Address)).Take(SharedNetwork.MaxNames),
        ];
    }

    private void Send(NodeLink link, IReadOnlyList<SharedNetwork> all)
    {
        byte[] report = JsonSerializer.SerializeToUtf8Bytes(
            NetworksReport.Of(all), NetworkLinkJson.Default.NetworksReport);
        bool isKnown = said.TryGetValue(link, out byte[]? before);
        if (isKnown ? before.AsSpan().SequenceEqual(report) : all.Count == 0)
        {
            return;
        }

        if (report.Length > LinkProtocol.MaxOrder)
        {
            Log.TooManyNames(logger, link.Name);
            return;
        }

        said.AddOrUpdate(link, report);
        link.Control.Post(FrameKind.Networks, report);
    }

    private async Task RunAsync()
    {
        try
        {
            while (true)
            {
                await LookAsync(stop.Token);
                await WaitAsync();
                await Task.Delay(Gathering, time, stop.Token);
                // What came until here is looked at now.
                pokes.Reader.TryRead(out _);
            }
        }
        catch (OperationCanceledException)
        {
            // The end.
        }
    }

    private async Task WaitAsync()
    {
        using CancellationTokenSource pass = new(Period, time);
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(pass.Token, stop.Token);
        try
        {
            await pokes.Reader.ReadAsync(either.Token);
        }
        catch (OperationCanceledException) when (!stop.IsCancellationRequested)
        {
            // The pass.
        }
    }

    /// <summary>A machine that has a part of a network and is there.</summary>
    private sealed record Member(
        Network Network, NodeEntry Node, IPAddress Address, IPNetwork Part, IReadOnlyList<FoundName> Names,
        PeerKey? Key);
}
