using Berth.Api.Nodes;
using Berth.Core.Containers;
using Berth.Server.Logs;
using Berth.Server.Runs;
using Berth.Server.Store;
using Microsoft.Extensions.Logging;

namespace Berth.Server.Containers;

/// <summary>What the parts of the container manager work with, given once.</summary>
/// <param name="Runs">Of the task manager: each start of a container is a run.</param>
/// <param name="Homes">Where named volumes are.</param>
/// <param name="MoveAfter">A node that comes back within this goes on with what it has.</param>
/// <param name="MostRunning">Programs of containers that may run at once.</param>
internal sealed record ContainerRooms(
    RunRooms Runs, IContainerStore Store, LogStore Logs, VolumeHomes Homes, int MostRunning, TimeSpan MoveAfter,
    ILogger Logger)
{
    public TimeProvider Time => Runs.Time;

    public INode Node => Runs.Node;

    /// <summary>Makes a step true. While the store can't be written it is tried again: what has happened has happened.
    /// </summary>
    public async Task SettleAsync(ContainerEntry entry, Container next, CancellationToken giveUp)
    {
        ContainerTransitions.Require(entry.Record.State, next.State);
        await Runs.PersistAsync(
            async () =>
            {
                await Store.SaveAsync(next, giveUp);
                return true;
            },
            fault => Log.StepNotStored(Logger, next.Name, fault), giveUp);
        entry.Become(next);
    }

    /// <summary>Makes a step true that somebody asked for, or refuses it.</summary>
    public async Task SaveAsync(ContainerEntry entry, Container next, CancellationToken cancellationToken)
    {
        ContainerTransitions.Require(entry.Record.State, next.State);
        await Store.SaveAsync(next, cancellationToken);
        entry.Become(next);
    }
}
