using System.Collections.Concurrent;
using Berth.Api.Links;
using Berth.Api.Nodes;
using Berth.Core.Containers;
using Berth.Core.Errors;
using Berth.Core.Placement;
using Berth.Core.Runs;
using Berth.Server.Nodes;

namespace Berth.Server.Containers;

/// <summary>
/// Containers and the machines that have them. A pass starts elsewhere what was on a node that is lost, where its
/// policy wants it started and it has no volume, and ends what a node comes back with that is not its any more.
/// </summary>
internal sealed class ContainerNodes(ContainerRooms rooms, ContainerIndex index) : IAsyncDisposable
{
    private static readonly TimeSpan Period = TimeSpan.FromSeconds(1);

    /// <summary>The link over which each node was asked last what it keeps.</summary>
    private readonly ConcurrentDictionary<string, NodeLink> lookedAt = new(StringComparer.Ordinal);

    private readonly CancellationTokenSource stop = new();
    private Task passing = Task.CompletedTask;

    /// <summary>The machines; set before anything runs.</summary>
    public NodeRooms? Machines { get; set; }

    public void Start()
    {
        if (Machines is not null)
        {
            passing = Task.Run(PassAsync, CancellationToken.None);
        }
    }

    /// <summary>Where a container that was just made is to be. Throws <c>NoNode</c>, and <c>InvalidRequest</c> where a
    /// path can't be said to that node.</summary>
    /// <param name="refusals">Nodes that refused it just now; null for none.</param>
    public async Task<string?> ChooseAsync(
        Container container, NodeRefusals? refusals, CancellationToken cancellationToken)
    {
        string? node = Machines is null
            ? null
            : await Machines.Fleet.ChooseContainerAsync(
                ContainerOrders.SpecOf(container), refusals, cancellationToken);
        return node is not null && ContainerOrders.FirstUnsaid(container) is { } path
            ? throw new BerthException(
                ErrorCode.InvalidRequest,
                $"'{Quoted.Of(path)}' can't be mounted on the node '{node}': on nodes other than the server's own "
                + "machine such a path has no ':', no control characters and at most 1,024 characters. Choose another "
                + "path, or leave out what places the container elsewhere.")
            : node;
    }

    /// <summary>Where it is to start: where it is, unless it can go elsewhere and has to. Throws <c>NoNode</c>.
    /// </summary>
    public async Task<string?> HomeOfAsync(Container container, CancellationToken cancellationToken)
    {
        if (container.Node is not { } node)
        {
            return null;
        }

        NodeFleet fleet = Machines!.Fleet;
        bool isFresh = IsFresh(container);
        bool isFree = isFresh || container.Spec.CanMove;
        return (isFree && !await fleet.IsReadyAsync(node, cancellationToken))
            || (isFresh && !fleet.HasRoom(ContainerOrders.SpecOf(container), node))
            ? await ChooseAsync(container, null, cancellationToken)
            : node;
    }

    /// <summary>Whether its node has nothing of it yet that would be missed.</summary>
    public static bool IsFresh(Container container) =>
        container is { State: ContainerState.Created, HasFiles: false, Spec.HasNoVolumes: true };

    /// <summary>Room for a start; null on the server's own machine. Throws <c>NoNode</c>.</summary>
    public async Task<NodeFleet.InstancePlace?> ReserveAsync(Container container, Run run) => container.Node is null
        ? null
        : await Machines!.Fleet.ReserveContainerAsync(
            run, container.Node, CancellationToken.None);

    /// <summary>What is counted of a container's node for the start that it waits for; null for nothing, or where the
    /// node takes nothing new. The caller holds the entry's gate.</summary>
    /// <param name="node">Where it is to start.</param>
    public NodeFleet.InstancePlace? TakeRoom(ContainerEntry entry, string? node)
    {
        NodeFleet.InstancePlace? room = entry.Room;
        entry.Room = null;
        if (room is not null && room.Node == node && Machines!.Fleet.StateOf(node) == NodeAvailability.Ready)
        {
            return room;
        }

        room?.Dispose();
        return null;
    }

    /// <summary>No start comes for what a container has of its node after a program's end; a node that can't be told
    /// keeps it a while longer. The caller holds the entry's gate.</summary>
    public async Task GiveRoomBackAsync(ContainerEntry entry)
    {
        entry.Room?.Dispose();
        entry.Room = null;
        if (entry.Record is not { Node: { } name, Run: { } run } || RemoteOf(name) is not { } node)
        {
            return;
        }

        try
        {
            await node.DropAsync(new DropOrder($"{run}-1", null), stop.Token);
        }
        catch (Exception fault) when (fault is BerthException or IOException or OperationCanceledException)
        {
            Log.NotLookedAt(rooms.Logger, name, fault.Message);
        }
    }

    /// <summary>The node that has it. Throws <c>NodeFault</c> where that can't be reached.</summary>
    public INode NodeOf(Container container) => container.Node is not { } name ? rooms.Node
        : RemoteOf(name) ?? throw Unreached(container, name);

    public RemoteContainer Adopt(Container record, Run run)
    {
        NodeRooms machines = Machines ?? throw new InvalidOperationException("There are no other machines here.");
        Log.Adopted(rooms.Logger, record.Name, record.Node!);
        // Its network does not matter any more: the node has it.
        return RemoteContainer.Adopt(
            ContainerOrders.OrderOf(record, run, network: null),
            new NodePaths(record.Node!, machines.Register, rooms.Time),
            joined => _ = machines.Fleet.AdoptAsync(run, joined, stop.Token));
    }

    /// <summary>Removes its layer, and these volumes that were made for it alone. On a node that can't be reached that
    /// is done when it comes back.</summary>
    public async Task RemoveFilesAsync(Container container, IReadOnlyList<string> volumes)
    {
        if (container.Node is not { } name)
        {
            await rooms.Node.Storage.RemoveLayerAsync(container.Id.Text, CancellationToken.None);
            foreach (string volume in volumes)
            {
                await rooms.Node.Storage.RemoveVolumeAsync(volume, CancellationToken.None);
            }

            return;
        }

        if (RemoteOf(name) is not { } node)
        {
            return;
        }

        try
        {
            await node.DropAsync(new DropOrder(null, container.Id.Text), stop.Token);
            foreach (string volume in volumes)
            {
                await node.RemoveVolumeAsync(volume, stop.Token);
            }
        }
        catch (Exception fault) when (fault is BerthException or OperationCanceledException)
        {
            Log.NotLookedAt(rooms.Logger, name, fault.Message);
        }
    }

    /// <summary>A start may have come to more on a node than is known of it here: the next pass asks.</summary>
    public void LookAgain(string? node)
    {
        if (node is not null)
        {
            lookedAt.TryRemove(node, out _);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await stop.CancelAsync();
        await passing;
        stop.Dispose();
    }

    private async Task PassAsync()
    {
        using PeriodicTimer timer = new(Period, rooms.Time);
        try
        {
            while (await timer.WaitForNextTickAsync(stop.Token))
            {
                MoveLost();
                foreach (NodeEntry entry in Machines!.Register.All)
                {
                    await LookAsync(entry);
                }
            }
        }
        catch (OperationCanceledException)
        {
            // The end.
        }
    }

    private void MoveLost()
    {
        DateTimeOffset now = rooms.Time.GetUtcNow();
        foreach (ContainerEntry entry in index.All)
        {
            Container record = entry.Record;
            if (entry.Live?.Attempt is RemoteContainer { LostAt: { } at } lost && now - at >= rooms.MoveAfter
                && record is { Spec.CanMove: true, Stopped: false }
                && Machines!.Fleet.CouldMove(ContainerOrders.SpecOf(record), lost.Node))
            {
                Log.Moved(rooms.Logger, record.Name, lost.Node);
                lost.GiveUp(
                    $"Node '{lost.Node}' was lost at {at:u}: it is started elsewhere, without the files it had.");
                LookAgain(lost.Node);
            }
        }
    }

    /// <summary>Once over each link: what is kept there and is not to be there goes.</summary>
    private async Task LookAsync(NodeEntry entry)
    {
        if (entry.Node is not { Link: { HasContainers: true, Closed.IsCancellationRequested: false } link } node
            || (lookedAt.TryGetValue(entry.Name, out NodeLink? last) && last == link))
        {
            return;
        }

        lookedAt[entry.Name] = link;
        try
        {
            KeptReport kept = await node.KeptAsync(stop.Token);
            if (kept.Volumes is [_, ..])
            {
                // One that somebody uses by its name has a record.
                await rooms.Homes.RefreshAsync(stop.Token);
            }

            // After it was asked: what was begun before that is known here.
            HashSet<string> attempts = new(StringComparer.Ordinal);
            HashSet<string> layers = new(StringComparer.Ordinal);
            HashSet<string> volumes = new(StringComparer.Ordinal);
            foreach (Container record in index.All.Select(e => e.Record).Where(r => r.Node == entry.Name))
            {
                layers.Add(record.Id.Text);
                volumes.UnionWith(record.Spec.Mounts.Select(m => m.Source));
                if (record.State.IsLive())
                {
                    attempts.Add($"{record.Run}-1");
                }
            }

            string[] programs = [.. (kept.Attempts ?? []).Where(a => !attempts.Contains(a))];
            string[] left = [.. (kept.Layers ?? []).Where(l => !layers.Contains(l))];
            string[] nobodys =
            [
                .. (kept.Volumes ?? []).Where(
                    v => ContainerName.IsAnonymousVolume(v) && !volumes.Contains(v) && rooms.Homes.Find(v) is null),
            ];
            if (programs.Length + left.Length + nobodys.Length > 0)
            {
                Log.Fenced(rooms.Logger, entry.Name, programs.Length, left.Length, nobodys.Length);
            }

            foreach (DropOrder order in programs.Select(p => new DropOrder(p, null))
                .Concat(left.Select(l => new DropOrder(null, l))))
            {
                await node.DropAsync(order, stop.Token);
            }

            // What had them is gone by now.
            foreach (string volume in nobodys)
            {
                await node.RemoveVolumeAsync(volume, stop.Token);
            }
        }
        catch (Exception fault) when (
            fault is BerthException or IOException
            || (fault is OperationCanceledException && !stop.IsCancellationRequested))
        {
            lookedAt.TryRemove(entry.Name, out _);
            Log.NotLookedAt(rooms.Logger, entry.Name, fault.Message);
        }
    }

    private RemoteNode? RemoteOf(string name) =>
        Machines?.Register.Find(name)?.Node is { Link.Closed.IsCancellationRequested: false } node ? node : null;

    /// <summary>Its node has its files and refused it.</summary>
    public static BerthException Full(Container container, string node, BerthException refusal) => new(
        ErrorCode.NoNode,
        $"The files of the container {container.Name} are on the node '{node}', and other work came first there. "
        + refusal.Message, refusal)
    {
        RetryAfter = refusal.RetryAfter,
    };

    private static BerthException Unreached(Container container, string node) => new(
        ErrorCode.NodeFault,
        $"The container {container.Name} is on the node '{node}', which can't be reached now: try again when 'berth "
        + "node ls' has it as ready.")
    {
        RetryAfter = TimeSpan.FromSeconds(5),
    };
}
