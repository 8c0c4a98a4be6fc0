using Berth.Api.Nodes;
using Berth.Core.Containers;
using Berth.Core.Runs;
using Berth.Server.Nodes;

namespace Berth.Server.Containers;

/// <summary>Containers of a machine that is to be switched off: those that can be started elsewhere are, at once; the
/// others go on until they end or are ended with the rest. Of this server's own containers alone:
/// <see cref="NodeDrains"/> asks the others.</summary>
internal sealed class ContainerDrains(ContainerRooms rooms, ContainerIndex index)
{
    /// <summary>The machines; set before anything runs.</summary>
    public NodeRooms? Machines { get; set; }

    /// <summary>Ends those that can be elsewhere, each with its grace, and tells of all. The node takes nothing new by
    /// then.</summary>
    /// <returns>Both by name.</returns>
    public (IReadOnlyList<string> Moved, IReadOnlyList<StayingContainer> Staying) Begin(string node)
    {
        List<string> moved = [];
        List<StayingContainer> staying = [];
        foreach ((ContainerEntry entry, LiveContainer live) in On(node).Where(e => !e.Live.IsEvicted)
            .OrderBy(e => e.Entry.Record.Name))
        {
            if (live.Leaves is null && WhyStays(entry.Record, live, node) is { } reason)
            {
                staying.Add(new StayingContainer(entry.Record.Name, reason));
                continue;
            }

            moved.Add(entry.Record.Name);
            if (live.Leaves is null)
            {
                live.Leaves = node;
                Log.Leaves(rooms.Logger, entry.Record.Name, node);
                End(entry, live);
            }
        }

        return (moved, staying);
    }

    /// <summary>Ends what is still there; what of it is started again is its policy's.</summary>
    public void EndAll(string node)
    {
        Begin(node);
        foreach ((ContainerEntry entry, LiveContainer live) in On(node).Where(
            e => e.Live is { Leaves: null, IsEvicted: false } && e.Live.Attempt is RemoteContainer))
        {
            live.IsEvicted = true;
            End(entry, live);
        }
    }

    private IEnumerable<(ContainerEntry Entry, LiveContainer Live)> On(string node)
    {
        foreach (ContainerEntry entry in index.All)
        {
            if ((entry.Record.Node ?? rooms.Node.Info.Name) == node && entry.Live is { } live)
            {
                yield return (entry, live);
            }
        }
    }

    private void End(ContainerEntry entry, LiveContainer live) => _ = live.EndAsync(
        entry.Record.Spec, EndReason.PlatformFault, entry.Record.Spec.Grace, rooms.Time);

    /// <summary>Null where nothing keeps it.</summary>
    private string? WhyStays(Container container, LiveContainer live, string node)
    {
        if (live.Attempt is not RemoteContainer remote)
        {
            return "it is on the server's own machine";
        }

        ContainerMount? kept = container.Spec.Mounts.FirstOrDefault(m => m.Kind != MountKind.Temporary);
        return remote.LostAt is not null ? "nothing is heard of it"
            : container.Spec.Restart.Mode == RestartMode.No ? "its policy does not start it again (--restart)"
            : kept is { Kind: MountKind.Host } ? $"it has the folder {kept.Source} of its machine"
            : kept is { Anonymous: true } ? "it has a volume of its own"
            : kept is not null ? $"it has the volume '{kept.Source}'"
            : Machines!.Fleet.CouldMove(ContainerOrders.SpecOf(container), node) ? null
            : "no other node takes it now";
    }
}
