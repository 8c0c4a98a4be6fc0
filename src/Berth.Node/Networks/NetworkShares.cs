using System.Collections.Concurrent;
using System.Net;
using Berth.Api.Nodes;
using Berth.Core.Networks;
using Berth.Node.Linux;
using Microsoft.Extensions.Logging;

namespace Berth.Node.Networks;

/// <summary>What servers say of networks that are on several machines, and what is said to them. What nobody says any
/// more does not hold: its tunnels end at once, the network itself when nothing is in it.</summary>
internal sealed class NetworkShares(
    Func<IEnumerable<NetworkRoom>> rooms, Underlay underlay, EncryptedUnderlay encrypted, TimeProvider time,
    ILogger logger) : ISharedNetworks
{
    /// <summary>An order may be ahead of the word that names its network.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan FirstWord = TimeSpan.FromSeconds(3);
    private static readonly TimeSpan Look = TimeSpan.FromMilliseconds(10);

    private readonly ConcurrentDictionary<string, long> used = new(StringComparer.Ordinal);
    private volatile Dictionary<string, SharedNetwork> told = [];

    public Action Changed { get; set; } = static () => { };

    public bool IsPossible => underlay.IsPossible;

    public PeerKey? Key => IsPossible ? encrypted.Key : null;

    public int? LargestPacket(IPAddress address, bool isEncrypted) =>
        isEncrypted ? encrypted.LargestPacket(address) : underlay.LargestPacket(address);

    public IReadOnlyList<NetworkPresence> Present() =>
    [
        .. rooms().Where(r => r.Network.Definition.Overlay is not null)
            .Select(r => new NetworkPresence(r.Network.Definition.Id, r.Network.Names.Here)),
    ];

    public Task ShareAsync(IReadOnlyList<SharedNetwork> networks, CancellationToken cancellationToken)
    {
        told = networks.DistinctBy(n => n.Id).ToDictionary(n => n.Id, StringComparer.Ordinal);
        foreach (NetworkRoom room in rooms())
        {
            cancellationToken.ThrowIfCancellationRequested();
            Apply(room.Network);
        }

        return Task.CompletedTask;
    }

    /// <summary>An order asks for a network.</summary>
    public void Use(NetworkDefinition definition)
    {
        if (definition.Overlay is not null)
        {
            used[definition.Id] = time.GetTimestamp();
        }
    }

    /// <summary>Waits a little until a server has said who else is in a network, which it does as soon as a machine
    /// gets a part of it: else its first program would find nobody.</summary>
    public async Task HearAsync(NetworkDefinition definition, CancellationToken cancellationToken)
    {
        long begun = time.GetTimestamp();
        while (definition.Overlay is not null && !told.ContainsKey(definition.Id)
            && time.GetElapsedTime(begun) < FirstWord)
        {
            await Task.Delay(Look, time, cancellationToken);
        }
    }

    /// <summary>A network was made.</summary>
    public void Begin(BridgeNetwork network)
    {
        if (network.Definition.Overlay is not null)
        {
            network.Names.Changed = () => Changed();
            Apply(network);
            Changed();
        }
    }

    /// <summary>Whether nobody says anything of it any more.</summary>
    public bool IsOver(NetworkDefinition definition)
    {
        if (definition.Overlay is null || told.ContainsKey(definition.Id)
            || (used.TryGetValue(definition.Id, out long last) && time.GetElapsedTime(last) < Patience))
        {
            return false;
        }

        used.TryRemove(definition.Id, out _);
        return true;
    }

    private void Apply(BridgeNetwork network)
    {
        if (network.Definition.Overlay is not { } overlay)
        {
            return;
        }

        try
        {
            network.Share(told.GetValueOrDefault(network.Definition.Id)
                ?? new SharedNetwork(network.Definition.Id, overlay.Address, [], []));
        }
        catch (LinuxException error)
        {
            // The next pass goes on with it.
            Log.NetworkNotShared(logger, network.Definition.Name, error);
        }
    }
}
