using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Security.Cryptography;
using Berth.Api.Nodes;
using Berth.Core.Containers;
using Berth.Core.Errors;
using Berth.Core.Networks;
using Berth.Server.Access;
using Berth.Server.Nodes;
using Berth.Server.Store;

namespace Berth.Server.Networks;

/// <summary>
/// All networks of the server. A network belongs to who made it: only its runs, functions and containers are in it.
/// What makes one on a machine is the node's; this is the record, and who may use it.
/// </summary>
internal sealed class NetworkKeeper(INetworkStore store, INode node, TimeProvider time) : INetworkLeases
{
    /// <summary>Each takes a namespace and a cable of a machine once it is used.</summary>
    public const int MaxNetworks = 1000;

    private const string Remedy = "load the kernel's module wireguard, or install wireguard-go";

    private readonly ConcurrentDictionary<string, Network> byId = new(StringComparer.Ordinal);
    private readonly SemaphoreSlim changing = new(1);
    private readonly string own = node.Info.Name;

    /// <summary>Under which other machines reach this one; null where none can. Set before anything runs.</summary>
    public Func<IPAddress?> Address { get; set; } = static () => null;

    /// <summary>What other machines encrypt for this one with; null where it can't. Set before anything runs.</summary>
    public Func<PeerKey?> Key { get; set; } = static () => null;

    /// <summary>Told when networks, or the machines that have one, are others.</summary>
    public Action Changed { get; set; } = static () => { };

    /// <summary>By name.</summary>
    public IReadOnlyList<Network> All => [.. byId.Values.OrderBy(n => n.Name, StringComparer.Ordinal)];

    /// <summary>Reads them.</summary>
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        await ReadAgainAsync(cancellationToken);
        await StaleRecordsException.RetryAsync(
            () => BeInAllAsync(cancellationToken), ReadAgainAsync, cancellationToken);
    }

    /// <summary>Takes in what other servers have changed.</summary>
    public async Task RefreshAsync(CancellationToken cancellationToken)
    {
        await changing.WaitAsync(cancellationToken);
        try
        {
            await ReadAgainAsync(cancellationToken);
            await StaleRecordsException.RetryAsync(
                () => BeInAllAsync(cancellationToken), ReadAgainAsync, cancellationToken);
            await node.KeepNetworksAsync(byId.Keys.ToHashSet(StringComparer.Ordinal), cancellationToken);
        }
        finally
        {
            changing.Release();
        }

        Changed();
    }

    /// <summary>By name. Throws <c>NotFound</c>, for others than its owner and administrators too.</summary>
    public Network Get(string name, Caller caller) =>
        byId.Values.FirstOrDefault(n => n.Name == name) is { } found && IsOpenTo(found, caller)
            ? found
            : throw NotFound(name);

    /// <summary>What a caller sees.</summary>
    public IReadOnlyList<Network> AllOf(Caller caller) => [.. All.Where(n => IsOpenTo(n, caller))];

    /// <summary>A caller's use of a network, known to be allowed. Throws <c>NotFound</c>.</summary>
    public NetworkUse? Bind(NetworkUse? use, Caller caller) =>
        use is null ? null : use with { Id = Get(use.Name, caller).Id };

    /// <summary>The network of what was let into it before, as this machine has it. Throws <c>NotFound</c> where it is
    /// gone, <c>Conflict</c> where this machine is not in it yet.</summary>
    public NetworkDefinition Resolve(NetworkUse use) =>
        byId.TryGetValue(use.Id, out Network? found)
            ? Here(found) ?? throw new BerthException(
                ErrorCode.Conflict,
                found.IsEncrypted && Key() is null
                ? $"The server's machine can't encrypt, and the network '{found.Name}' is: {Remedy}, and start the "
                + "server again."
                : $"This machine has no part of the network '{found.Name}' yet, or no address for the other machines: "
                + "start the server with --node-listen, or try again.")
            : throw NotFound(use.Name);

    /// <summary>The same; null where it is gone, or not here.</summary>
    public NetworkDefinition? Find(NetworkUse use) =>
        byId.TryGetValue(use.Id, out Network? found) ? Here(found) : null;

    public bool IsOverlay(NetworkUse use) => byId.GetValueOrDefault(use.Id)?.IsOverlay == true;

    public bool IsEncrypted(NetworkUse use) => byId.GetValueOrDefault(use.Id)?.IsEncrypted == true;

    public async Task<NetworkDefinition> LeaseAsync(string id, NodeEntry node, CancellationToken cancellationToken)
    {
        IPAddress address = node.Underlay ?? throw new BerthException(
            ErrorCode.NoNode,
            $"The node '{node.Name}' has no networks with other machines now: 'berth node ls' shows whether it is "
            + "there.");
        if (Known(id).IsEncrypted && node.Key is null)
        {
            throw new BerthException(
                ErrorCode.NoNode,
                $"The node '{node.Name}' can't encrypt, and the network '{Known(id).Name}' is: {Remedy} there, and "
                + "start the node again.");
        }

        if (Known(id).LeaseOf(node.Name) is { } lease)
        {
            return Known(id).On(lease, address);
        }

        await changing.WaitAsync(cancellationToken);
        try
        {
            NetworkDefinition made = await StaleRecordsException.RetryAsync(
                async () => (await GiveAsync(Known(id), node.Name, address, node.Key, cancellationToken)).On(
                    Known(id).LeaseOf(node.Name)!, address),
                ReadAgainAsync, cancellationToken);
            Changed();
            return made;
        }
        finally
        {
            changing.Release();
        }
    }

    /// <summary>A node was removed: its parts are free.</summary>
    public async Task ForgetNodeAsync(string name, CancellationToken cancellationToken)
    {
        await changing.WaitAsync(cancellationToken);
        try
        {
            await StaleRecordsException.RetryAsync(
                async () =>
                {
                    foreach (Network network in byId.Values.Where(n => n.LeaseOf(name) is not null))
                    {
                        await PutAsync(
                            network with { Leases = [.. network.Leases.Where(l => l.Node != name)] },
                            cancellationToken);
                    }

                    return true;
                },
                ReadAgainAsync, cancellationToken);
        }
        finally
        {
            changing.Release();
        }
    }

    /// <summary>Makes it, on this machine too. Throws <c>Conflict</c>, <c>QuotaExceeded</c>, <c>NodeFault</c>.
    /// </summary>
    /// <param name="wish">Its subnet is chosen where it is the default.</param>
    public async Task<Network> CreateAsync(NetworkWish wish, string owner, CancellationToken cancellationToken)
    {
        await changing.WaitAsync(cancellationToken);
        try
        {
            return await StaleRecordsException.RetryAsync(
                () => CreateOnceAsync(wish, owner, cancellationToken), ReadAgainAsync, cancellationToken);
        }
        finally
        {
            changing.Release();
            Changed();
        }
    }

    /// <summary>Throws <c>NotFound</c>, and <c>Conflict</c> where something uses it.</summary>
    /// <param name="users">Asked once nothing new can use it.</param>
    public async Task RemoveAsync(
        string name, Caller caller, Func<Network, IReadOnlyList<string>> users, CancellationToken cancellationToken)
    {
        await changing.WaitAsync(cancellationToken);
        try
        {
            await StaleRecordsException.RetryAsync(
                () => RemoveOnceAsync(Get(name, caller), users, cancellationToken), ReadAgainAsync,
                cancellationToken);
            await node.KeepNetworksAsync(byId.Keys.ToHashSet(StringComparer.Ordinal), cancellationToken);
        }
        finally
        {
            changing.Release();
            Changed();
        }
    }

    private static bool IsOpenTo(Network network, Caller caller) =>
        network.Owner == caller.Name || caller.Role == Role.Admin;

    private static BerthException NotFound(string name) => new(
        ErrorCode.NotFound, $"There is no network '{Quoted.Of(name)}' of yours: 'berth network ls' lists them.");

    private async Task<Network> CreateOnceAsync(NetworkWish wish, string owner, CancellationToken cancellationToken)
    {
        if (byId.Values.FirstOrDefault(n => n.Name == wish.Name) is { } same)
        {
            throw new BerthException(
                ErrorCode.Conflict,
                $"There is a network '{wish.Name}' already{(same.Owner == owner ? "" : ", of somebody else")}: choose "
                + "another name.");
        }

        if (byId.Count >= MaxNetworks)
        {
            throw new BerthException(
                ErrorCode.QuotaExceeded,
                string.Create(CultureInfo.InvariantCulture, $"There are {MaxNetworks} networks, and no more can be: ")
                + "'berth network prune' removes those that nothing uses.");
        }

        IPNetwork[] taken = [.. byId.Values.Select(n => n.Definition.Subnet)];
        IPAddress? address = wish.IsOverlay ? RequireAddress(wish.IsEncrypted) : null;
        NetworkDefinition definition = new(
            ContainerId.New().Text[..12], wish.Name,
            wish.Subnet ?? (wish.IsOverlay ? SubnetChoice.ChooseOverlay(taken) : SubnetChoice.Choose(taken))
                ?? throw new BerthException(
                    ErrorCode.QuotaExceeded, "Every subnet is taken: remove networks, or give --subnet."),
            wish.IsInternal, wish.Mtu ?? UsualMtu(address, wish.IsEncrypted), wish.Egress.ToString());
        Network network = new(
            definition, owner, time.GetUtcNow(), wish.Labels, wish.IsOverlay ? ChooseSegment() : null)
        {
            IsEncrypted = wish.IsEncrypted,
        };
        if (address is not null)
        {
            network = network with { Leases = [SubnetParts.Give(network, own, address, KeyFor(network))!] };
        }

        // First here: what can't be made is not recorded.
        await node.MakeNetworkAsync(Here(network)!, cancellationToken);
        await PutAsync(network, cancellationToken);
        return network;
    }

    private Network Known(string id) => byId.GetValueOrDefault(id) ?? throw NotFound(id);

    /// <summary>A network as this machine has it; null where it is not here.</summary>
    public NetworkDefinition? Here(Network network) => !network.IsOverlay
        ? network.Definition
        : network.LeaseOf(own) is { } lease && Address() is { } address
            && (!network.IsEncrypted || Key() is not null)
            ? network.On(lease, address)
            : null;

    private PeerKey? KeyFor(Network network) => network.IsEncrypted ? Key() : null;

    private IPAddress RequireAddress(bool isEncrypted) => node.SharedNetworks is not { IsPossible: true }
        ? throw new BerthException(
            ErrorCode.NodeFault,
            "driver = 'overlay' needs VXLAN, which this kernel does not have: load the module vxlan.")
        : isEncrypted && Address() is not null && Key() is null
        ? throw new BerthException(
            ErrorCode.NodeFault,
            $"encrypted = true needs WireGuard, which the server's machine does not have: {Remedy}, and start the "
            + "server again. Nothing goes in clear in its place.")
        : Address() ?? throw new BerthException(
            ErrorCode.Conflict,
            "driver = 'overlay' is for networks across nodes, and this server listens for none: start it with "
            + "--node-listen, for instance '*:7071'.");

    /// <summary>What fits into the tunnels of this machine; of others the like is hoped, and they say where it isn't.
    /// </summary>
    private int UsualMtu(IPAddress? address, bool isEncrypted) => address is null
        ? NetworkDefinition.UsualMtu
        : Math.Clamp(
            node.SharedNetworks!.LargestPacket(address, isEncrypted) ?? NetworkDefinition.UsualMtu,
            NetworkDefinition.LeastMtu, NetworkDefinition.MostMtu);

    /// <summary>At random, so that servers which know nothing of each other hardly ever have the same.</summary>
    private int ChooseSegment()
    {
        HashSet<int> taken = [.. byId.Values.Select(n => n.Segment).OfType<int>()];
        int chosen;
        do
        {
            chosen = RandomNumberGenerator.GetInt32(SubnetParts.FirstSegment, SubnetParts.SegmentEnd);
        }
        while (taken.Contains(chosen));
        return chosen;
    }

    /// <summary>Each server's own machine has a part of each network.</summary>
    private async Task<bool> BeInAllAsync(CancellationToken cancellationToken)
    {
        if (Address() is not { } address)
        {
            return false;
        }

        foreach (Network network in byId.Values.Where(
            n => n.IsOverlay && (n.LeaseOf(own) is not { } lease || lease.Address != address.ToString()
                || lease.Key != (KeyFor(n)?.ToString() ?? lease.Key))))
        {
            try
            {
                await GiveAsync(network, own, address, KeyFor(network), cancellationToken);
            }
            catch (BerthException full) when (full.Code == ErrorCode.QuotaExceeded)
            {
                // What would start in it here is told so.
            }
        }

        return true;
    }

    /// <summary>A part for a machine, or another address for the part that it has. Throws <c>QuotaExceeded</c>.
    /// </summary>
    private async Task<Network> GiveAsync(
        Network network, string machine, IPAddress address, PeerKey? key, CancellationToken cancellationToken)
    {
        SubnetLease given = SubnetParts.Give(network, machine, address, key) ?? throw new BerthException(
            ErrorCode.QuotaExceeded,
            $"All {SubnetParts.Count(network.Definition.Subnet)} parts of the network '{network.Name}' are given to "
            + "machines: remove nodes that are gone with 'berth node rm', or make a network with a larger subnet.");
        Network changed = network with { Leases = [.. network.Leases.Where(l => l.Node != machine), given] };
        await PutAsync(changed, cancellationToken);
        return changed;
    }

    private async Task PutAsync(Network network, CancellationToken cancellationToken)
    {
        await store.PutAsync(network, cancellationToken);
        byId[network.Id] = network;
    }

    private async Task<bool> RemoveOnceAsync(
        Network network, Func<Network, IReadOnlyList<string>> users, CancellationToken cancellationToken)
    {
        // Nothing is let into it from here on.
        byId.TryRemove(network.Id, out _);
        try
        {
            if (users(network) is [_, ..] named)
            {
                throw new BerthException(
                    ErrorCode.Conflict,
                    $"The network '{network.Name}' is used by {string.Join(", ", named.Take(5))}"
                    + $"{(named.Count > 5 ? " and others" : "")}: remove them first.");
            }

            await store.DeleteNetworkAsync(network.Id, cancellationToken);
            return true;
        }
        catch
        {
            byId[network.Id] = network;
            throw;
        }
    }

    private async Task ReadAgainAsync(CancellationToken cancellationToken)
    {
        HashSet<string> stored = new(StringComparer.Ordinal);
        foreach (Network network in await store.AllNetworksAsync(cancellationToken))
        {
            stored.Add(network.Id);
            byId[network.Id] = network;
        }

        foreach (string gone in byId.Keys.Where(id => !stored.Contains(id)))
        {
            byId.TryRemove(gone, out _);
        }
    }
}

/// <summary>What a network is to be.</summary>
/// <param name="Subnet">Null for one that is chosen.</param>
/// <param name="IsOverlay">On several machines.</param>
/// <param name="Mtu">Null for the usual.</param>
/// <param name="IsEncrypted">Between machines.</param>
internal sealed record NetworkWish(
    string Name, bool IsOverlay, IPNetwork? Subnet, bool IsInternal, int? Mtu, EgressRules Egress,
    IReadOnlyDictionary<string, string> Labels, bool IsEncrypted = false);
