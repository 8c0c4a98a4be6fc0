using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Runs;

namespace Berth.Server.Runs;

/// <summary>Starts programs that serve many calls. Each is a run, listed while it lives and recorded with all it used
/// after its end.</summary>
internal sealed class InstanceStart(RunRooms rooms, CallRegister calls)
{
    /// <exception cref="BerthException">What keeps the program from running.</exception>
    public async Task<LiveInstance> BeginAsync(
        RunSpec spec, int? listen, string caller, CancellationToken cancellationToken)
    {
        RunMoment now = rooms.Clock.Moment;
        Run run = Run.Accepted(RunId.New(now.At), RunKind.Instance, spec, caller, now, StoredBody.None);
        CallEntry entry = calls.Add(
            run with { State = RunState.Starting, Generation = 1, Attempts = 1, Node = rooms.Node.Info.Name });
        using CancellationTokenSource any = CancellationTokenSource.CreateLinkedTokenSource(
            cancellationToken, entry.Waiting.Token);
        try
        {
            IAttempt attempt = await rooms.Node.StartAsync(
                rooms.Order(run, left: null) with { Listen = listen }, any.Token);
            return Begin(entry, attempt);
        }
        catch (Exception error)
        {
            EndReason reason = error is OperationCanceledException ? EndReason.Canceled : StartFault.ReasonOf(error);
            Close(entry, new RunEnd(reason, null, null, error.Message, RunUsage.None), TimeSpan.Zero);
            throw;
        }
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
