using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Runs;
using Berth.Server.Nodes;

namespace Berth.Server.Runs;

/// <summary>Starts programs that serve many calls. Each is a run, listed while it lives and recorded with all it used
/// after its end.</summary>
internal sealed class InstanceStart(RunRooms rooms, CallRegister calls)
{
    /// <param name="room">What it takes of the server's own machine, where it runs there.</param>
    /// <exception cref="BerthException">What keeps the program from running.</exception>
    public async Task<LiveInstance> BeginAsync(
        RunSpec spec, int? listen, string caller, OwnRoom room, CancellationToken cancellationToken)
    {
        RunMoment now = rooms.Clock.Moment;
        Run run = Run.Accepted(RunId.New(now.At), RunKind.Instance, spec, caller, now, StoredBody.None) with
        {
            State = RunState.Starting,
            Generation = 1,
            Attempts = 1,
        };
        using NodeFleet.InstancePlace? place = await ReserveAsync(run, room, cancellationToken);
        CallEntry entry = calls.Add(run with { Node = place?.Node ?? rooms.Node.Info.Name });
        using CancellationTokenSource any = CancellationTokenSource.CreateLinkedTokenSource(
            cancellationToken, entry.Waiting.Token);
        try
        {
            AttemptSpec order = rooms.Order(run, left: null) with { Listen = listen, IsInstance = true };
            IAttempt attempt = place is null
                ? await rooms.Node.StartAsync(order, any.Token)
                : await place.StartAsync(order, any.Token);
            return Begin(entry, attempt);
        }
        catch (Exception error)
        {
            EndReason reason = error is OperationCanceledException ? EndReason.Canceled : StartFault.ReasonOf(error);
            Close(entry, new RunEnd(reason, null, null, error.Message, RunUsage.None), TimeSpan.Zero);
            throw;
        }
    }

    /// <summary>Null where the server's own machine is the only one.</summary>
    private async Task<NodeFleet.InstancePlace?> ReserveAsync(
        Run run, OwnRoom room, CancellationToken cancellationToken)
    {
        if (rooms.Fleet is { } fleet)
        {
            return await fleet.ReserveAsync(run, room, cancellationToken);
        }

        await room.TakeAsync(cancellationToken);
        return null;
    }

    private LiveInstance Begin(CallEntry entry, IAttempt attempt)
    {
        DateTimeOffset now = rooms.Time.GetUtcNow();
        AttemptPreparation preparation = attempt.Preparation;
        entry.Run = entry.Run with
        {
            State = RunState.Running,
            StartedAt = now,
            Timings = RunTimings.None with { Prepare = preparation.Prepare, Start = preparation.Start },
        };
        rooms.Events.Publish(entry.Run.Id, 2, RunPresentation.StartedEvent(entry.Run, now));
        LiveInstance live = new(
            attempt, rooms.Logs.AppendBoth(entry.Run.Id), (end, ran) => Close(entry, end, ran));
        entry.Begin(live.Stop);
        return live;
    }

    private void Close(CallEntry entry, RunEnd end, TimeSpan ran)
    {
        entry.Run = entry.Run with
        {
            State = RunTransitions.TerminalStateOf(end.Reason),
            EndedAt = rooms.Time.GetUtcNow(),
            End = end,
            Timings = entry.Run.Timings with { Run = ran },
            LastEvent = entry.Run.StartedAt is null ? 2 : 3,
        };
        calls.Close(entry);
    }
}
