using System.Collections.Concurrent;
using System.Net;
using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Networks;
using Berth.Node.Linux;
using Microsoft.Extensions.Logging;

namespace Berth.Node.Networks;

// Vocabulary: a network is a bridge with rules in a namespace of its own; an endpoint is a sandbox's place in it; a
// cable connects a network with the machine.

/// <summary>
/// The networks of this machine: each made at its first use, looked after every few seconds, and gone with this process
/// whatever ends it. The header type of this room.
/// </summary>
internal sealed class NodeNetworks : IAsyncDisposable
{
    private static readonly TimeSpan RepairPeriod = TimeSpan.FromSeconds(5);

    private static readonly TimeSpan TryPause = TimeSpan.FromMilliseconds(100);
    private const int MostTries = 50;

    /// <summary>What others set for the whole machine takes a process to ask for.</summary>
    private const int PassesPerPolicy = 12;

    private readonly TimeProvider time;
    private readonly ILogger logger;
    private readonly HostSide host;
    private readonly ConcurrentDictionary<string, NetworkRoom> rooms = new(StringComparer.Ordinal);

    /// <summary>Ids of those that were taken away, which are never given again: what is prepared late makes none anew.
    /// </summary>
    private readonly ConcurrentDictionary<string, bool> gone = new(StringComparer.Ordinal);
    private readonly SemaphoreSlim making = new(1);
    private readonly CancellationTokenSource stopping = new();
    private readonly Task repairing;
    private readonly ForwardPolicy forwarding;
    private readonly Underlay underlay;
    private readonly EncryptedUnderlay encrypted;
    private readonly NetworkShares shares;
    private int passes;

    public NodeNetworks(string instance, ReadinessPoller poller, TimeProvider time, ILogger logger)
    {
        this.time = time;
        this.logger = logger;
        host = new HostSide(instance);
        underlay = new Underlay(instance);
        encrypted = new EncryptedUnderlay(instance, underlay, poller, time, logger);
        shares = new NetworkShares(() => rooms.Values, underlay, encrypted, time, logger);
        forwarding = new ForwardPolicy(host.Prefix, poller);
        repairing = Task.Run(RepairAsync, CancellationToken.None);
    }

    /// <summary>Those that are on several machines, as servers tell of them.</summary>
    public ISharedNetworks Shares => shares;

    /// <summary>Takes away what a killed server left: all but one kind of thing goes by itself.</summary>
    public Task SweepAsync() => forwarding.RemoveAsync();

    /// <summary>Makes a network where there is none yet. Throws BerthException (NodeFault).</summary>
    public async Task EnsureAsync(NetworkDefinition definition, CancellationToken cancellationToken) =>
        await FindAsync(definition, cancellationToken);

    /// <summary>A sandbox's place. Throws BerthException: NodeFault, Conflict.</summary>
    /// <param name="address">Null for any.</param>
    public async Task<Endpoint> AttachAsync(
        NetworkDefinition definition, IPAddress? address, CancellationToken cancellationToken)
    {
        NetworkRoom room = await FindAsync(definition, cancellationToken);
        shares.Use(definition);
        await shares.HearAsync(definition, cancellationToken);
        try
        {
            return room.Take(address);
        }
        catch (Exception error) when (error is LinuxException or ObjectDisposedException)
        {
            throw Fault(definition, error);
        }
    }

    /// <summary>Nothing happens where there is none. Programs that are in it still reach nothing any more.</summary>
    private async Task RemoveAsync(string id, CancellationToken cancellationToken)
    {
        await making.WaitAsync(cancellationToken);
        try
        {
            if (rooms.TryRemove(id, out NetworkRoom? room))
            {
                await room.DisposeAsync();
            }
        }
        finally
        {
            making.Release();
        }
    }

    /// <summary>Takes away all but these.</summary>
    public async Task KeepAsync(IReadOnlySet<string> ids, CancellationToken cancellationToken)
    {
        foreach (string id in rooms.Keys.Where(id => !ids.Contains(id)))
        {
            gone[id] = true;
            await RemoveAsync(id, cancellationToken);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await stopping.CancelAsync();
        await repairing;
        foreach (string id in rooms.Keys)
        {
            await RemoveAsync(id, CancellationToken.None);
        }

        host.Dispose();
        await encrypted.DisposeAsync();
        underlay.Dispose();
        await forwarding.RemoveAsync();
        stopping.Dispose();
        making.Dispose();
    }

    private async Task<NetworkRoom> FindAsync(NetworkDefinition definition, CancellationToken cancellationToken)
    {
        if (rooms.TryGetValue(definition.Id, out NetworkRoom? found))
        {
            return found;
        }

        await making.WaitAsync(cancellationToken);
        try
        {
            ObjectDisposedException.ThrowIf(stopping.IsCancellationRequested, this);
            if (rooms.TryGetValue(definition.Id, out found))
            {
                return found;
            }

            if (gone.ContainsKey(definition.Id))
            {
                throw new BerthException(
                    ErrorCode.NotFound, $"The network '{definition.Name}' was removed: 'berth network ls' lists them.");
            }

            if (!definition.IsInternal)
            {
                await forwarding.EnsureAsync(cancellationToken);
            }

            shares.Use(definition);
            NetworkRoom made = new(await MakeAsync(definition, cancellationToken), logger);
            rooms[definition.Id] = made;
            shares.Begin(made.Network);
            Log.NetworkMade(logger, definition.Name, definition.Subnet.ToString());
            return made;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException
            or System.Net.Sockets.SocketException)
        {
            throw Fault(definition, error);
        }
        finally
        {
            making.Release();
        }
    }

    private async Task<BridgeNetwork> MakeAsync(NetworkDefinition definition, CancellationToken cancellationToken)
    {
        bool isEncrypted = definition.Overlay is { IsEncrypted: true };
        if (isEncrypted)
        {
            await encrypted.EnsureAsync(cancellationToken);
        }

        for (int tries = 1; ; tries++)
        {
            try
            {
                return BridgeNetwork.Make(definition, host, isEncrypted ? encrypted : underlay);
            }
            catch (LinuxException left) when (left.Errno == Errno.Exists && tries < MostTries)
            {
                // What a killed process had goes with its namespace, which the kernel takes its time for.
                await Task.Delay(TryPause, time, cancellationToken);
            }
        }
    }

    private static BerthException Fault(NetworkDefinition definition, Exception error) => new(
        ErrorCode.NodeFault,
        $"The network '{definition.Name}' could not be made on this machine, so nothing starts in it: {error.Message} "
        + "'berth doctor' says what the kernel lacks.",
        error);

    private async Task RepairAsync()
    {
        using PeriodicTimer timer = new(RepairPeriod, time);
        try
        {
            while (await timer.WaitForNextTickAsync(stopping.Token))
            {
                await RepairOnceAsync(stopping.Token);
            }
        }
        catch (OperationCanceledException)
        {
            // The end.
        }
    }

    /// <summary>One pass: what somebody took away is made again.</summary>
    public async Task RepairOnceAsync(CancellationToken cancellationToken)
    {
        try
        {
            BridgeNetwork[] networks = [.. rooms.Values.Select(room => room.Network)];
            if (networks.Length == 0)
            {
                return;
            }

            underlay.Repair();
            await RepairEncryptionAsync(cancellationToken);
            host.Repair([.. networks.Select(n => n.Cable).OfType<Cable>()]);
            foreach (BridgeNetwork network in networks)
            {
                if (network.Repair())
                {
                    Log.NetworkRepaired(logger, network.Definition.Name);
                }
            }

            if (++passes % PassesPerPolicy == 0)
            {
                await LookFurtherAsync(networks, cancellationToken);
            }

            foreach (NetworkRoom room in rooms.Values.Where(r => !r.IsUsed && shares.IsOver(r.Network.Definition)))
            {
                await RemoveAsync(room.Network.Definition.Id, cancellationToken);
            }
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            Log.NetworkRepairFailed(logger, error);
        }
    }

    /// <summary>Networks that need none go on without.</summary>
    private async Task RepairEncryptionAsync(CancellationToken cancellationToken)
    {
        try
        {
            await encrypted.RepairAsync(cancellationToken);
        }
        catch (LinuxException error)
        {
            Log.NetworkRepairFailed(logger, error);
        }
    }

    /// <summary>What takes more than a look, every now and then.</summary>
    private async Task LookFurtherAsync(BridgeNetwork[] networks, CancellationToken cancellationToken)
    {
        if (networks.Any(n => !n.Definition.IsInternal))
        {
            await forwarding.EnsureAsync(cancellationToken);
        }

        foreach (BridgeNetwork network in networks)
        {
            network.Renew();
        }
    }
}
