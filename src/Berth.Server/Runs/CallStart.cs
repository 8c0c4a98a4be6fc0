using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Runs;
using Berth.Server.Functions;

namespace Berth.Server.Runs;

/// <summary>Brings one synchronous call to the point where its program runs: a place, a sandbox, one deadline for
/// all of it.</summary>
internal sealed class CallStart(RunRooms rooms, RunPlaces places, CallRegister calls)
{
    /// <param name="own">Places of its kind, of which it needs one first; null where only the server's count.</param>
    /// <param name="ahead">What has come of its input; null where nothing is known of it.</param>
    public async Task<LiveCall> BeginAsync(
        RunSpec spec, string caller, RunPlaces? own, IInputAhead? ahead, CancellationToken cancellationToken)
    {
        RunMoment now = rooms.Clock.Moment;
        DateTimeOffset accepted = now.At;
        long from = rooms.Time.GetTimestamp();
        RunId id = RunId.New(accepted);
        Run run = Run.Accepted(id, RunKind.Call, spec, caller, now, StoredBody.None);
        CallEntry entry = calls.Add(
            run with { State = RunState.Queued, Generation = 1, Attempts = 1, Node = rooms.Node.Info.Name });
        using CancellationTokenSource deadline = new(spec.Timeout, rooms.Time);
        using CancellationTokenSource any = CancellationTokenSource.CreateLinkedTokenSource(
            cancellationToken, deadline.Token, entry.Waiting.Token);
        CallPlace place = new(spec.Labels.GetValueOrDefault(FunctionLabels.Function), caller, own, places);
        try
        {
            // Where no node takes new work there is no place to wait for: the refusal says why.
            bool isOpen = places.Places > 0 || rooms.Fleet is null;
            if (isOpen)
            {
                await place.TakeAsync(any.Token);
            }

            TimeSpan queue = rooms.Time.GetElapsedTime(from);
            entry.Run = entry.Run with { State = RunState.Starting, Timings = RunTimings.None with { Queue = queue } };
            AttemptSpec attempted = rooms.Order(entry.Run, spec.Timeout - queue) with { Ahead = ahead };
            IAttempt attempt = await rooms.PlaceAsync(entry.Run, attempted, mayWait: isOpen, any.Token);
            return Begin(entry, attempt, from, place);
        }
        catch (Exception error)
        {
            RunPlaces? line = place.WaitsFor;
            place.Release();
            BerthException? refusal = Explain(
                entry, error, line, deadline.IsCancellationRequested, cancellationToken);
            Abandon(entry, refusal, error);
            if (refusal is null)
            {
                throw;
            }

            throw refusal;
        }
    }

    private LiveCall Begin(CallEntry entry, IAttempt attempt, long from, CallPlace place)
    {
        DateTimeOffset now = rooms.Time.GetUtcNow();
        AttemptPreparation preparation = attempt.Preparation;
        entry.Run = entry.Run with
        {
            State = RunState.Running,
            StartedAt = now,
            Node = preparation.Node ?? entry.Run.Node,
            Timings = entry.Run.Timings with { Prepare = preparation.Prepare, Start = preparation.Start },
        };
        rooms.Events.Publish(entry.Run.Id, 2, RunPresentation.StartedEvent(entry.Run, now));
        ErrorStreamCopy errors = new(attempt.Error, rooms.Logs.Append(entry.Run.Id));
        LiveCall call = new(
            entry.Run.Spec, attempt, errors, from, rooms.Time, place.Release, (end, ran) => Finish(entry, end, ran));
        entry.Begin(call.Stop);
        // Ends with the program, which completes its progress.
        _ = WatchProgressAsync(entry, attempt);
        return call;
    }

    private Run Finish(CallEntry entry, RunEnd end, TimeSpan ran)
    {
        entry.Run = entry.Run with
        {
            State = RunTransitions.TerminalStateOf(end.Reason),
            EndedAt = rooms.Time.GetUtcNow(),
            End = end,
            Timings = entry.Run.Timings with { Run = ran },
            LastEvent = 3,
        };
        calls.Close(entry);
        return entry.Run;
    }

    /// <summary>What the caller is told, or null to pass the error on as it is.</summary>
    /// <param name="line">Where it waited; null once it had its place.</param>
    private static BerthException? Explain(
        CallEntry entry, Exception error, RunPlaces? line, bool late, CancellationToken cancellationToken)
    {
        if (error is not OperationCanceledException || cancellationToken.IsCancellationRequested)
        {
            return null;
        }

        if (entry.Stopped == EndReason.Canceled)
        {
            return new BerthException(ErrorCode.RunCanceled,
                $"Run {entry.Run.Id} was cancelled before its program ran.", error);
        }

        string timeout = RunSentences.Span(entry.Run.Spec.Timeout);
        return !late
            ? ShuttingDown(error)
            : line is null
                ? new BerthException(
                    ErrorCode.RunTimedOut,
                    $"No sandbox was ready for run {entry.Run.Id} within its {timeout}: raise the timeout.", error)
                : new BerthException(
                    ErrorCode.RunTimedOut,
                    $"Run {entry.Run.Id} waited all of its {timeout} for one of {line.Places:N0} places: raise the "
                    + $"timeout or {line.Knobs}.",
                    error)
                {
                    RetryAfter = TimeSpan.FromSeconds(1),
                };
    }

    public static BerthException ShuttingDown(Exception? cause) =>
        new(ErrorCode.ShuttingDown, "The server is stopping and takes nothing new: send it again in a moment.", cause)
        {
            RetryAfter = TimeSpan.FromSeconds(5),
        };

    private void Abandon(CallEntry entry, BerthException? refusal, Exception error)
    {
        if (error is BerthException { Code: ErrorCode.QueueFull })
        {
            // Refused, not run: nothing to record.
            rooms.Ledger.Refused();
            calls.Forget(entry);
            return;
        }

        EndReason reason = refusal?.Code switch
        {
            ErrorCode.RunTimedOut => EndReason.TimedOut,
            ErrorCode.RunCanceled => EndReason.Canceled,
            null when error is OperationCanceledException => EndReason.ClientGone,
            _ => StartFault.ReasonOf(refusal ?? error),
        };
        entry.Run = entry.Run with
        {
            State = RunTransitions.TerminalStateOf(reason),
            EndedAt = rooms.Time.GetUtcNow(),
            End = new RunEnd(reason, null, null, (refusal ?? error).Message, RunUsage.None),
            LastEvent = 2,
        };
        calls.Close(entry);
    }

    private static async Task WatchProgressAsync(CallEntry entry, IAttempt attempt)
    {
        await foreach (ProgressReport report in attempt.Progress.ReadAllAsync(CancellationToken.None))
        {
            entry.Progress = new RunProgress(report.Percent, report.Message);
        }
    }
}
