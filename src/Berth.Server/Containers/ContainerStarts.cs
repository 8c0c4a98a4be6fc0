using Berth.Api.Nodes;
using Berth.Core.Containers;
using Berth.Core.Errors;
using Berth.Core.Faults;
using Berth.Core.Resources;
using Berth.Core.Runs;
using Berth.Server.Nodes;
using Berth.Server.Runs;
using Berth.Server.Store;

namespace Berth.Server.Containers;

/// <summary>Starts the programs of containers, sees their ends, and starts them again where the policy says
/// so.</summary>
internal sealed class ContainerStarts(
    ContainerRooms rooms, ContainerNodes nodes, Func<ContainerEntry, Task> remove) : IDisposable
{
    /// <summary>Between tries to find a node for what its policy starts again.</summary>
    private static readonly TimeSpan NodePause = TimeSpan.FromSeconds(5);

    private readonly CancellationTokenSource giveUp = new();
    private int running;

    /// <summary>The server stops: what ends now is not started again.</summary>
    public bool ServerStops { get; set; }

    /// <summary>Stores nothing more that can't be stored now.</summary>
    public CancellationTokenSource GiveUp => giveUp;

    /// <summary>Starts the program because somebody asks for it. The caller holds the entry's gate. Throws what kept it
    /// from starting; then the container's record tells it too.</summary>
    /// <param name="again">Whether its program was ended to be started anew.</param>
    public async Task StartByHandAsync(ContainerEntry entry, bool again)
    {
        try
        {
            await StartAsync(entry, byPolicy: false, again);
        }
        catch
        {
            if (entry is { Record.State: ContainerState.Restarting, Waiting: null } && !ServerStops)
            {
                // It waited for a start by its policy, and waits on.
                StartLater(entry, NodePause);
            }

            throw;
        }
    }

    /// <summary>Starts by its policy what ended with the server before this one. The caller holds the entry's gate.
    /// Throws what keeps it from starting for good.</summary>
    public async Task StartWithServerAsync(ContainerEntry entry)
    {
        try
        {
            await StartAsync(entry, byPolicy: true, again: false);
        }
        catch (BerthException nowhere) when (nowhere.Code == ErrorCode.NoNode)
        {
            Log.NoNode(rooms.Logger, entry.Record.Name, nowhere.Message);
            await rooms.SettleAsync(
                entry, entry.Record with { State = ContainerState.Restarting }, giveUp.Token);
            StartLater(entry, NodePause);
        }
    }

    private async Task StartAsync(ContainerEntry entry, bool byPolicy, bool again)
    {
        Container before = entry.Record;
        RunMoment now = rooms.Runs.Clock.Moment;
        Container started = ContainerSteps.Start(before, RunId.New(now.At), now.At, byPolicy) with
        {
            Node = await nodes.HomeOfAsync(before, CancellationToken.None),
        };
        TakePlace();
        try
        {
            Run run = RunOf(started, now);
            using NodeFleet.InstancePlace? place = nodes.TakeRoom(entry, started.Node)
                ?? await nodes.ReserveAsync(started, run);
            // Others may have come first, between its end and this, where nobody else was to have its room.
            bool isPromised = again && started.Node == before.Node;
            await rooms.Runs.Store.AcceptAsync(new NewRun(run, default, null, default), CancellationToken.None);
            await rooms.SaveAsync(entry, started, CancellationToken.None);
            CrashPoints.Reach(CrashPoint.ContainerStartStored);
            if (started.Node != before.Node)
            {
                nodes.LookAgain(before.Node);
            }

            await LaunchAsync(entry, before, started, run, place, isPromised);
        }
        catch
        {
            Interlocked.Decrement(ref running);
            throw;
        }
    }

    public void Dispose() => giveUp.Dispose();

    private void TakePlace()
    {
        if (ServerStops)
        {
            throw CallStart.ShuttingDown(null);
        }

        if (Interlocked.Increment(ref running) > rooms.MostRunning)
        {
            Interlocked.Decrement(ref running);
            throw new BerthException(
                ErrorCode.QueueFull,
                $"{rooms.MostRunning:N0} containers run already: stop some, or raise max-containers.");
        }
    }

    /// <summary>The run of this start, durable before its program runs, so that what it uses is never lost.</summary>
    private Run RunOf(Container started, RunMoment now) => Run.Accepted(
        started.Run!.Value, RunKind.Container, ContainerOrders.SpecOf(started), started.Caller, now, StoredBody.None)
        with
    {
        State = RunState.Starting,
        Generation = 1,
        Attempts = 1,
        Node = started.Node ?? rooms.Node.Info.Name,
    };

    /// <summary>Goes on with a program that a server before this one left on another machine. The caller holds the
    /// entry's gate, or nobody else knows the entry.</summary>
    public async Task AdoptAsync(ContainerEntry entry, CancellationToken cancellationToken)
    {
        Container record = entry.Record;
        Run stored = await rooms.Runs.Store.FindAsync(record.Run!.Value, cancellationToken)
            ?? RunOf(record, rooms.Runs.Clock.Moment);
        // Another server may have taken it for lost: the record of the run stays as that one closed it.
        Run run = stored with { State = RunState.Running, End = null, Generation = 1 };
        Interlocked.Increment(ref running);
        Follow(entry, nodes.Adopt(record, run), record, run);
    }

    private async Task LaunchAsync(
        ContainerEntry entry, Container before, Container started, Run run, NodeFleet.InstancePlace? place,
        bool isPromised)
    {
        IAttempt attempt;
        using (CancellationTokenSource limit = new(rooms.Runs.Options.StartLimit, rooms.Time))
        {
            try
            {
                (attempt, started, run) = await OrderAsync(
                    entry, before, started, run, place, isPromised, limit.Token);
            }
            catch (Exception error)
            {
                await FailAsync(entry, before, started, run, error);
                throw;
            }
        }

        if (attempt.Completion is { IsCompleted: true } ended
            && (await ended).Reason == EndReason.EntryPointMissing)
        {
            await attempt.DisposeAsync();
            BerthException missing = new(ErrorCode.RunEntryPointMissing, (await ended).Detail!);
            await FailAsync(entry, before, started, run, missing);
            throw missing;
        }

        RunTimings timings = RunTimings.None with
        {
            Prepare = attempt.Preparation.Prepare,
            Start = attempt.Preparation.Start,
        };
        DateTimeOffset now = rooms.Time.GetUtcNow();
        Run timed = run with { Timings = timings };
        SaveOutcome saved = await rooms.Runs.SaveAsync(
            RunSteps.Start(run, run.Node!, timings, now, [RunPresentation.StartedEvent(timed, now)]),
            giveUp.Token);
        CrashPoints.Reach(CrashPoint.ContainerStartReported);
        Follow(entry, attempt, started, saved.Current ?? timed);
    }

    /// <summary>Orders it of its node; where that has no room for it and has nothing of it, of others, of each once.
    /// Throws <c>NoNode</c> where none has room.</summary>
    private async Task<(IAttempt Attempt, Container Started, Run Run)> OrderAsync(
        ContainerEntry entry, Container before, Container started, Run run, NodeFleet.InstancePlace? place,
        bool isPromised, CancellationToken cancellationToken)
    {
        bool isFree = ContainerNodes.IsFresh(before) || started.Node != before.Node;
        NodeRefusals refusals = new(mayWait: false, rooms.Time);
        while (true)
        {
            using (place)
            {
                AttemptSpec order = ContainerOrders.OrderOf(
                    started, run, rooms.Runs.NetworkOf(started.Spec.Bridge?.Use));
                order = order with { Yields = !isPromised };
                try
                {
                    IAttempt attempt = await (place?.StartAsync(order, cancellationToken)
                        ?? rooms.Node.StartAsync(order, cancellationToken));
                    return (attempt, started, run);
                }
                catch (BerthException full) when (full.Code == ErrorCode.NoNode && started.Node is { } node)
                {
                    if (!isFree || !refusals.Take(node, full))
                    {
                        throw isFree ? refusals.End() : ContainerNodes.Full(started, node, full);
                    }
                }
            }

            string? left = started.Node;
            started = started with { Node = await nodes.ChooseAsync(started, refusals, cancellationToken) };
            run = run with { Node = started.Node ?? rooms.Node.Info.Name };
            place = await nodes.ReserveAsync(started, run);
            await rooms.SaveAsync(entry, started, CancellationToken.None);
            nodes.LookAgain(left);
        }
    }

    private void Follow(ContainerEntry entry, IAttempt attempt, Container started, Run run)
    {
        LiveContainer live = new(
            attempt, run, started.Spec.OpenInput, rooms.Logs, started.Id.Text, entry.Broadcast);
        entry.Live = live;
        // So that who waits for the program finds it.
        entry.Become(entry.Record);
        _ = WatchAsync(entry, live);
        if (started.Spec.Health is { Command.Count: > 0 } check)
        {
            _ = new HealthWatch(entry, live, check, rooms.Time).RunAsync();
        }
    }

    private async Task FailAsync(ContainerEntry entry, Container before, Container started, Run run, Exception error)
    {
        EndReason reason = error is BerthException { Code: ErrorCode.RunEntryPointMissing }
            ? EndReason.EntryPointMissing
            : StartFault.ReasonOf(error);
        DateTimeOffset now = rooms.Time.GetUtcNow();
        string? last = entry.Record.Node;
        await rooms.Runs.SaveAsync(
            RunSteps.End(
                run, new RunEnd(reason, null, null, error.Message, RunUsage.None), rooms.Runs.Clock.Moment, 0,
                rooms.Runs.Options.ResultRetention, []),
            giveUp.Token);
        // That there was no room is no failure of it, and counts as none: its policy tries again.
        ContainerEnd end = before.State == ContainerState.Restarting
            && error is BerthException { Code: ErrorCode.NoNode }
            ? new ContainerEnd(before, null)
            : ContainerSteps.StartFailed(
                started, before, new ContainerExit(reason, null, null, error.Message), now);
        await rooms.SettleAsync(entry, end.Next, giveUp.Token);
        // Now that the record says where it is: each of them may have more of it.
        nodes.LookAgain(started.Node);
        nodes.LookAgain(last);
        if (end.Delay is { } delay)
        {
            StartLater(entry, delay);
        }
    }

    private async Task WatchAsync(ContainerEntry entry, LiveContainer live)
    {
        try
        {
            AttemptReport report = await live.CompleteAsync();
            if (live.Leaves is { } node)
            {
                report = report with
                {
                    Reason = EndReason.PlatformFault,
                    ExitCode = null,
                    Signal = null,
                    Detail = $"Node '{node}' was drained: it is started elsewhere, without the files it had.",
                };
            }

            RunEnd end = new(report.Reason, report.ExitCode, report.Signal, report.Detail, report.Usage);
            Run ran = live.Run with { Timings = live.Run.Timings with { Run = report.RunTime } };
            await rooms.Runs.SaveAsync(
                RunSteps.End(
                    ran, end, rooms.Runs.Clock.Moment, 0, rooms.Runs.Options.ResultRetention, []), giveUp.Token);
            CrashPoints.Reach(CrashPoint.ContainerRunStored);
            using (await entry.EnterAsync(CancellationToken.None))
            {
                await EndAsync(entry, live, end, report.RunTime);
            }
        }
        catch (Exception error)
        {
            // Whatever it was: the record says that it runs, and the next server finds that it doesn't.
            Log.EndFailed(rooms.Logger, entry.Record.Name, error);
            entry.Broadcast.Complete();
        }
        finally
        {
            Interlocked.Decrement(ref running);
            await live.Attempt.DisposeAsync();
            live.Ended.TrySetResult();
        }

        if (entry.Record is { State: ContainerState.Exited, Spec.AutoRemove: true } && !ServerStops)
        {
            await remove(entry);
        }
    }

    private async Task EndAsync(ContainerEntry entry, LiveContainer live, RunEnd end, TimeSpan ran)
    {
        ContainerExit exit = new(end.Reason, end.ExitCode, end.Signal, end.Detail);
        Container ended = entry.Record with { Stopped = entry.Record.Stopped || live.StopAsked };
        ContainerEnd next = live.Leaves is null
            ? ContainerSteps.End(ended, exit, ran, rooms.Time.GetUtcNow(), ServerStops)
            : ContainerSteps.Leave(ended, exit, rooms.Time.GetUtcNow(), ServerStops);
        entry.Live = null;
        entry.Health = null;
        await rooms.SettleAsync(entry, next.Next, giveUp.Token);
        CrashPoints.Reach(CrashPoint.ContainerEndStored);
        if (live.Attempt is RemoteContainer there)
        {
            bool isStartedThere = next.Delay is not null && live.Leaves is null;
            entry.Room = isStartedThere ? nodes.Machines!.Fleet.KeepRoom(there) : null;
            if (!isStartedThere && there.Spec.KeepRoom > TimeSpan.Zero && end.Reason != EndReason.Canceled)
            {
                await nodes.GiveRoomBackAsync(entry);
            }
        }

        // After the record, which tells those attached how it ended; within the gate, or the next start's would be
        // told of this end.
        entry.Broadcast.Complete();
        if (next.Delay is { } delay)
        {
            StartLater(entry, delay);
        }
        else
        {
            rooms.Logs.Complete(next.Next.Id.Text);
        }
    }

    /// <summary>The caller holds the entry's gate.</summary>
    private void StartLater(ContainerEntry entry, TimeSpan delay)
    {
        CancellationTokenSource waiting = new();
        entry.Waiting = waiting;
        _ = StartAfterAsync(entry, delay, waiting);
    }

    private async Task StartAfterAsync(ContainerEntry entry, TimeSpan delay, CancellationTokenSource waiting)
    {
        try
        {
            await Task.Delay(delay, rooms.Time, waiting.Token);
            using (await entry.EnterAsync(waiting.Token))
            {
                entry.Waiting = null;
                if (entry.Record.State == ContainerState.Restarting && !entry.Removed && !ServerStops)
                {
                    await StartAsync(entry, byPolicy: true, again: false);
                }
            }
        }
        catch (OperationCanceledException)
        {
            // Somebody stopped, started or removed it meanwhile.
        }
        catch (BerthException nowhere) when (nowhere.Code == ErrorCode.NoNode)
        {
            await WaitForNodeAsync(entry, nowhere);
        }
        catch (Exception error)
        {
            Log.StartFailed(rooms.Logger, entry.Record.Name, error);
            await GiveUpRestartAsync(entry, error);
        }
    }

    private async Task WaitForNodeAsync(ContainerEntry entry, BerthException nowhere)
    {
        using (await entry.EnterAsync(CancellationToken.None))
        {
            if (entry.Record.State == ContainerState.Restarting && !entry.Removed && !ServerStops
                && entry.Waiting is not { IsCancellationRequested: false })
            {
                Log.NoNode(rooms.Logger, entry.Record.Name, nowhere.Message);
                StartLater(entry, NodePause);
            }
        }
    }

    /// <summary>A start that was refused, or that failed beyond what its policy covers, is the end of it.</summary>
    private async Task GiveUpRestartAsync(ContainerEntry entry, Exception error)
    {
        using (await entry.EnterAsync(CancellationToken.None))
        {
            if (entry.Record.State == ContainerState.Restarting
                && entry.Waiting is not { IsCancellationRequested: false })
            {
                await nodes.GiveRoomBackAsync(entry);
                await rooms.SettleAsync(
                    entry,
                    entry.Record with
                    {
                        State = ContainerState.Exited,
                        Exit = new ContainerExit(EndReason.PlatformFault, null, null, error.Message),
                    },
                    giveUp.Token);
            }
        }
    }
}
