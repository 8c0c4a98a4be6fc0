using Berth.Api.Nodes;
using Berth.Core.Containers;
using Berth.Core.Errors;
using Berth.Core.Faults;
using Berth.Core.Runs;
using Berth.Server.Logs;
using Berth.Server.Nodes;
using Microsoft.Extensions.Logging;

namespace Berth.Server.Containers;

/// <summary>
/// Owns every container: its record, its program while it runs, and what follows when that ends. Start after the task
/// manager, stop before it. A container is named by its name, its id, or the beginning of its id.
/// </summary>
internal sealed class ContainerManager : IAsyncDisposable
{
    private readonly ContainerRooms rooms;
    private readonly ContainerIndex index;
    private readonly ContainerStarts starts;
    private readonly ContainerNodes nodes;
    private volatile bool accepting;

    public ContainerManager(ContainerRooms rooms)
    {
        this.rooms = rooms;
        index = new ContainerIndex();
        nodes = new ContainerNodes(rooms, index);
        starts = new ContainerStarts(rooms, nodes, RemoveEndedAsync);
        Volumes = new VolumeKeeper(rooms, index);
        Drains = new ContainerDrains(rooms, index);
    }

    public VolumeKeeper Volumes { get; }

    /// <summary>What leaves machines that are to be switched off.</summary>
    public ContainerDrains Drains { get; }

    /// <summary>The machines; set before anything runs.</summary>
    public NodeRooms? Machines
    {
        set
        {
            nodes.Machines = value;
            Volumes.Nodes = value;
            Drains.Machines = value;
        }
    }

    /// <summary>What containers run, which must stay for as long as they are there.</summary>
    public IReadOnlyCollection<Core.Images.Digest> Images() => [.. index.All.Select(e => e.Record.Spec.Digest)];

    /// <summary>Reads the records, tells what the last server left, and starts what its policy says.</summary>
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        List<ContainerEntry> toStart = [];
        foreach (Container record in await rooms.Store.AllContainersAsync(cancellationToken))
        {
            ContainerEntry entry = new(record, rooms.Time);
            if (record is { Node: not null, Run: not null } && record.State.IsLive())
            {
                index.Add(entry);
                await starts.AdoptAsync(entry, cancellationToken);
                continue;
            }

            (Container next, bool isStarted) = ContainerSteps.Recover(
                record, await LostExitAsync(record, cancellationToken), rooms.Time.GetUtcNow());
            if (next != record)
            {
                Log.FoundEnded(rooms.Logger, record.Name);
                await rooms.SettleAsync(entry, next, cancellationToken);
            }

            index.Add(entry);
            if (isStarted)
            {
                toStart.Add(entry);
            }
        }

        await Volumes.SweepAsync(cancellationToken);
        foreach (ContainerEntry entry in index.All.Where(
            e => e.Record is { State: ContainerState.Exited, Spec.AutoRemove: true }))
        {
            await RemoveEndedAsync(entry);
        }

        accepting = true;
        nodes.Start();
        // One after the other, beside everything else: the server answers meanwhile.
        _ = Task.Run(() => StartAllAsync(toStart), CancellationToken.None);
    }

    /// <summary>Ends every program, each with its grace but none with more than <paramref name="limit"/>.</summary>
    public async Task StopAsync(TimeSpan limit, CancellationToken hurry)
    {
        accepting = false;
        starts.ServerStops = true;
        List<ContainerEntry> live = [.. index.All.Where(e => e.Live is not null)];
        if (live.Count > 0)
        {
            Log.StoppingAll(rooms.Logger, live.Count);
        }

        foreach (ContainerEntry entry in index.All)
        {
            entry.Waiting?.Cancel();
        }

        Task[] ends = [.. live.Select(entry => EndForServerAsync(entry, limit, hurry))];
        // A store that can't be written must not keep the server.
        starts.GiveUp.CancelAfter(limit + rooms.Runs.Options.LeaseSlack);
        await Task.WhenAll(ends).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    public async ValueTask DisposeAsync()
    {
        await nodes.DisposeAsync();
        starts.Dispose();
    }

    public async Task<Container> CreateAsync(
        ContainerSpec spec, string? name, string caller, CancellationToken cancellationToken)
    {
        ThrowUnlessAccepting();
        string chosen = name is null ? index.InventName() : ContainerName.Check(name, "container");
        Container container = Container.New(ContainerId.New(), chosen, spec, caller, rooms.Time.GetUtcNow());
        container = container with { Node = await nodes.ChooseAsync(container, null, cancellationToken) };
        await Volumes.SettleAsync(container, cancellationToken);
        ContainerEntry entry = new(container, rooms.Time);
        // Before it is durable, so that its volumes count as used from the first moment.
        index.Add(entry);
        try
        {
            await rooms.Store.AddAsync(container, cancellationToken);
            CrashPoints.Reach(CrashPoint.ContainerStored);
        }
        catch
        {
            index.Remove(entry);
            throw;
        }

        return container;
    }

    /// <summary>Throws <c>NotFound</c>.</summary>
    public ContainerEntry Find(string reference) => index.Find(reference);

    /// <summary>Newest first.</summary>
    public IReadOnlyList<ContainerEntry> List() =>
        [.. index.All.OrderByDescending(e => e.Record.CreatedAt).ThenBy(e => e.Record.Id)];

    /// <summary>Nothing happens to one that runs already.</summary>
    public Task<Container> StartAsync(ContainerEntry entry, CancellationToken cancellationToken) =>
        StartAsync(entry, again: false, cancellationToken);

    private async Task<Container> StartAsync(ContainerEntry entry, bool again, CancellationToken cancellationToken)
    {
        ThrowUnlessAccepting();
        using (await entry.EnterAsync(cancellationToken))
        {
            ThrowIfRemoved(entry);
            if (!entry.Record.State.IsLive())
            {
                Cancel(entry);
                await starts.StartByHandAsync(entry, again);
            }

            return entry.Record;
        }
    }

    /// <summary>Asks the program to end, kills it after its grace, and returns when it has ended. Nothing happens to
    /// one that does not run.</summary>
    /// <param name="grace">Null for the container's own.</param>
    public async Task<Container> StopAsync(ContainerEntry entry, TimeSpan? grace, CancellationToken cancellationToken)
    {
        await AskToStopAsync(entry, grace, force: false, cancellationToken);
        return entry.Record;
    }

    public async Task<Container> RestartAsync(
        ContainerEntry entry, TimeSpan? grace, CancellationToken cancellationToken)
    {
        ThrowUnlessAccepting();
        bool ran = entry.Record.State.IsLive();
        await StopAsync(entry, grace, cancellationToken);
        return await StartAsync(entry, ran, cancellationToken);
    }

    /// <summary>Sends a signal to the program. Throws <c>Conflict</c> where none runs.</summary>
    public async Task<Container> KillAsync(ContainerEntry entry, int signal, CancellationToken cancellationToken)
    {
        const int SigKill = 9;
        using (await entry.EnterAsync(cancellationToken))
        {
            LiveContainer live = LiveOf(entry);
            if (signal != SigKill)
            {
                live.Attempt.Signal(signal);
                return entry.Record;
            }

            live.StopAsked = true;
            live.Attempt.Stop(EndReason.Canceled, TimeSpan.Zero);
            live.Attempt.Resume();
            await rooms.SaveAsync(entry, ContainerSteps.Stop(entry.Record), cancellationToken);
        }

        return entry.Record;
    }

    public async Task<Container> PauseAsync(ContainerEntry entry, CancellationToken cancellationToken)
    {
        using (await entry.EnterAsync(cancellationToken))
        {
            Container next = ContainerSteps.Pause(entry.Record);
            LiveOf(entry).Attempt.Pause();
            await rooms.SaveAsync(entry, next, cancellationToken);
            return next;
        }
    }

    public async Task<Container> ResumeAsync(ContainerEntry entry, CancellationToken cancellationToken)
    {
        using (await entry.EnterAsync(cancellationToken))
        {
            Container next = ContainerSteps.Resume(entry.Record);
            LiveOf(entry).Attempt.Resume();
            await rooms.SaveAsync(entry, next, cancellationToken);
            return next;
        }
    }

    public async Task<Container> RenameAsync(ContainerEntry entry, string name, CancellationToken cancellationToken)
    {
        ContainerName.Check(name, "container");
        using (await entry.EnterAsync(cancellationToken))
        {
            ThrowIfRemoved(entry);
            await rooms.SaveAsync(entry, entry.Record with { Name = name }, cancellationToken);
            return entry.Record;
        }
    }

    /// <summary>Removes it with its writable layer and its log.</summary>
    /// <param name="force">Ends its program first; without, a running one is a <c>Conflict</c>.</param>
    /// <param name="volumes">The volumes made for it alone, too.</param>
    public async Task RemoveAsync(ContainerEntry entry, bool force, bool volumes, CancellationToken cancellationToken)
    {
        if (force)
        {
            await AskToStopAsync(entry, TimeSpan.Zero, force: true, cancellationToken);
        }

        using (await entry.EnterAsync(cancellationToken))
        {
            if (entry.Removed)
            {
                return;
            }

            if (entry.Record.State is ContainerState.Running or ContainerState.Paused or ContainerState.Restarting)
            {
                throw ContainerSteps.Refuse(entry.Record, "stop it first, or remove it with force");
            }

            await RemoveLockedAsync(entry, volumes);
        }
    }

    public IAsyncEnumerable<LogLine> LogsAsync(
        ContainerEntry entry, LogQuery query, CancellationToken cancellationToken) => rooms.Logs.ReadAsync(
        entry.Record.Id.Text, query,
        _ => Task.FromResult(entry.Record.State is not (ContainerState.Created or ContainerState.Exited)),
        cancellationToken);

    /// <summary>Runs a program beside the container's own. Throws <c>Conflict</c> unless it runs. The caller holds the
    /// gate only where the container's program is there.</summary>
    public async Task<IExecution> ExecuteAsync(
        ContainerEntry entry, ExecutionSpec spec, CancellationToken cancellationToken)
    {
        if (entry.Live is null && entry.Record.State.IsLive())
        {
            // It is being started, by who holds the gate.
            (await entry.EnterAsync(cancellationToken)).Dispose();
        }

        LiveContainer live = LiveOf(entry);
        return entry.Record.State == ContainerState.Paused
            ? throw ContainerSteps.Refuse(entry.Record, "nothing can run in it before it is resumed")
            : await live.Attempt.ExecuteAsync(spec, cancellationToken);
    }

    /// <summary>Runs Berth's own tool in the container's files, whether its program runs or not.</summary>
    public async Task<ToolRun> RunToolAsync(
        ContainerEntry entry, IReadOnlyList<string> command, CancellationToken cancellationToken)
    {
        IDisposable turn = await entry.EnterAsync(cancellationToken);
        try
        {
            ThrowIfRemoved(entry);
            if (entry.Live is not null)
            {
                ExecutionSpec spec = new(
                    command, new Dictionary<string, string>(), SandboxTool.User, "/", Terminal: null);
                IExecution execution = await ExecuteAsync(entry, spec, cancellationToken);
                return new ToolRun(execution, turn);
            }

            if (entry.Record is { State: ContainerState.Created, HasFiles: false })
            {
                // It can't start elsewhere any more.
                await rooms.SaveAsync(entry, entry.Record with { HasFiles = true }, cancellationToken);
            }

            AttemptSpec order = ContainerOrders.OrderOfTool(
                entry.Record, command, RunId.New(rooms.Time.GetUtcNow()));
            return new ToolRun(await nodes.NodeOf(entry.Record).StartAsync(order, cancellationToken), turn);
        }
        catch
        {
            turn.Dispose();
            throw;
        }
    }

    /// <summary>Throws <c>Conflict</c> where no program runs, <c>NodeFault</c> where its node can't be reached.
    /// </summary>
    public static LiveContainer LiveOf(ContainerEntry entry)
    {
        LiveContainer live = entry.Live ?? throw ContainerSteps.Refuse(entry.Record, "start it first");
        (live.Attempt as RemoteContainer)?.RequireReached();
        return live;
    }

    private async Task StartAllAsync(List<ContainerEntry> entries)
    {
        foreach (ContainerEntry entry in entries)
        {
            try
            {
                using (await entry.EnterAsync(CancellationToken.None))
                {
                    if (!entry.Removed && entry.Record.State == ContainerState.Exited)
                    {
                        await starts.StartWithServerAsync(entry);
                    }
                }
            }
            catch (Exception error)
            {
                Log.StartFailed(rooms.Logger, entry.Record.Name, error);
            }
        }
    }

    /// <param name="force">Whether one that can't be reached is given up; it is a <c>NodeFault</c> otherwise.</param>
    private async Task AskToStopAsync(
        ContainerEntry entry, TimeSpan? grace, bool force, CancellationToken cancellationToken)
    {
        LiveContainer? live;
        using (await entry.EnterAsync(cancellationToken))
        {
            live = entry.Live;
            if (live?.Attempt is RemoteContainer { LostAt: not null } lost)
            {
                if (!force)
                {
                    lost.RequireReached();
                }

                lost.GiveUp($"It was removed while its node '{lost.Node}' could not be reached.");
            }

            Cancel(entry);
            bool wasWaiting = entry.Record.State == ContainerState.Restarting;
            Container next = ContainerSteps.Stop(entry.Record);
            if (live is not null)
            {
                live.StopAsked = true;
            }

            if (next != entry.Record)
            {
                await rooms.SaveAsync(entry, next, cancellationToken);
                CrashPoints.Reach(CrashPoint.ContainerStopStored);
            }

            if (wasWaiting)
            {
                await nodes.GiveRoomBackAsync(entry);
            }

            if (live is null)
            {
                rooms.Logs.Complete(entry.Record.Id.Text);
            }
        }

        if (live is not null)
        {
            await live.EndAsync(
                entry.Record.Spec, EndReason.Canceled, grace ?? entry.Record.Spec.Grace, rooms.Time)
                .WaitAsync(cancellationToken);
        }
    }

    private async Task EndForServerAsync(ContainerEntry entry, TimeSpan limit, CancellationToken hurry)
    {
        if (entry.Live is { Attempt: RemoteContainer } elsewhere)
        {
            await elsewhere.LeaveAsync();
            entry.Broadcast.Complete();
        }
        else if (entry.Live is { } live)
        {
            TimeSpan grace = entry.Record.Spec.Grace < limit ? entry.Record.Spec.Grace : limit;
            await using CancellationTokenRegistration now = hurry.Register(
                () => live.Attempt.Stop(EndReason.PlatformFault, TimeSpan.Zero));
            await live.EndAsync(entry.Record.Spec, EndReason.PlatformFault, grace, rooms.Time);
        }
    }

    private async Task RemoveEndedAsync(ContainerEntry entry)
    {
        try
        {
            using (await entry.EnterAsync(CancellationToken.None))
            {
                if (!entry.Removed && entry.Record.State == ContainerState.Exited)
                {
                    await RemoveLockedAsync(entry, volumes: true);
                }
            }
        }
        catch (Exception error)
        {
            Log.EndFailed(rooms.Logger, entry.Record.Name, error);
        }
    }

    // The record goes last: cut off in between, what is left still has a name to be removed by.
    private async Task RemoveLockedAsync(ContainerEntry entry, bool volumes)
    {
        Container record = entry.Record;
        if (!volumes)
        {
            await Volumes.LeaveAsync(record, CancellationToken.None);
        }

        await nodes.RemoveFilesAsync(record, volumes ? Volumes.OwnOf(record) : []);
        CrashPoints.Reach(CrashPoint.ContainerLayerRemoved);

        rooms.Logs.Complete(record.Id.Text);
        rooms.Logs.Delete(record.Id.Text);
        await rooms.Store.DeleteAsync(record.Id, CancellationToken.None);
        CrashPoints.Reach(CrashPoint.ContainerDeleted);
        index.Remove(entry);
        entry.Remove();
        nodes.LookAgain(record.Node);
    }

    /// <summary>What a start of which the server was killed came to: its run knows, where it had ended.</summary>
    private async Task<ContainerExit> LostExitAsync(Container record, CancellationToken cancellationToken)
    {
        RunEnd? end = record.State.IsLive() && record.Run is { } id
            ? (await rooms.Runs.Store.FindAsync(id, cancellationToken))?.End
            : null;
        return end is null
            ? new ContainerExit(EndReason.PlatformFault, null, null, RunSentences.LostWithServer)
            : new ContainerExit(end.Reason, end.ExitCode, end.Signal, end.Detail);
    }

    private static void Cancel(ContainerEntry entry)
    {
        entry.Waiting?.Cancel();
        entry.Waiting = null;
    }

    private static void ThrowIfRemoved(ContainerEntry entry)
    {
        if (entry.Removed)
        {
            throw ContainerIndex.NotFound(entry.Record.Name);
        }
    }

    private void ThrowUnlessAccepting()
    {
        if (!accepting)
        {
            throw Runs.CallStart.ShuttingDown(null);
        }
    }
}
