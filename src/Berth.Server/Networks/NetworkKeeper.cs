using System.Collections.Concurrent;
using System.Globalization;
using Berth.Api.Nodes;
using Berth.Core.Containers;
using Berth.Core.Errors;
using Berth.Core.Networks;
using Berth.Server.Access;
using Berth.Server.Store;

namespace Berth.Server.Networks;

/// <summary>
/// All networks of the server. A network belongs to who made it: only its runs, functions and containers are in it.
/// What makes one on a machine is the node's; this is the record, and who may use it.
/// </summary>
internal sealed class NetworkKeeper(INetworkStore store, INode node, TimeProvider time)
{
    /// <summary>Each takes a namespace and a cable of a machine once it is used.</summary>
    public const int MaxNetworks = 1000;

    private readonly ConcurrentDictionary<string, Network> byId = new(StringComparer.Ordinal);
    private readonly SemaphoreSlim changing = new(1);

    /// <summary>By name.</summary>
    public IReadOnlyList<Network> All => [.. byId.Values.OrderBy(n => n.Name, StringComparer.Ordinal)];

    /// <summary>Reads them.</summary>
    public async Task StartAsync(CancellationToken cancellationToken) => await ReadAgainAsync(cancellationToken);

    /// <summary>Takes in what other servers have changed.</summary>
    public async Task RefreshAsync(CancellationToken cancellationToken)
    {
        await changing.WaitAsync(cancellationToken);
        try
        {
            await ReadAgainAsync(cancellationToken);
            await node.KeepNetworksAsync(byId.Keys.ToHashSet(StringComparer.Ordinal), cancellationToken);
        }
        finally
        {
            changing.Release();
        }
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

    /// <summary>The network of what was let into it before. Throws <c>NotFound</c> where it is gone.</summary>
    public NetworkDefinition Resolve(NetworkUse use) =>
        byId.TryGetValue(use.Id, out Network? found) ? found.Definition : throw NotFound(use.Name);

    /// <summary>The same; null where it is gone.</summary>
    public NetworkDefinition? Find(NetworkUse use) => byId.GetValueOrDefault(use.Id)?.Definition;

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

        NetworkDefinition definition = new(
            ContainerId.New().Text[..12], wish.Name,
            wish.Subnet ?? SubnetChoice.Choose([.. byId.Values.Select(n => n.Definition.Subnet)])
                ?? throw new BerthException(
                    ErrorCode.QuotaExceeded, "Every subnet is taken: remove networks, or give --subnet."),
            wish.IsInternal, wish.Mtu, wish.Egress.ToString());
        Network network = new(definition, owner, time.GetUtcNow(), wish.Labels);
        // First here: what can't be made is not recorded.
        await node.MakeNetworkAsync(definition, cancellationToken);
        await store.PutAsync(network, cancellationToken);
        byId[network.Id] = network;
        return network;
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
internal sealed record NetworkWish(
    string Name, System.Net.IPNetwork? Subnet, bool IsInternal, int Mtu, EgressRules Egress,
    IReadOnlyDictionary<string, string> Labels);
