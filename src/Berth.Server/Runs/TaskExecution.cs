using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Faults;
using Berth.Core.Runs;
using Berth.Server.Nodes;
using Berth.Server.Spool;
using Berth.Server.Store;

namespace Berth.Server.Runs;

/// <summary>
/// One attempt of a task, from the claim to the stored end. Holds the claim: whatever happens, the run is reported on,
/// or the report is refused because somebody else holds it by then.
/// </summary>
internal sealed class TaskExecution
{
    /// <summary>A program that is over by then has its start and its end stored together.</summary>
    private static readonly TimeSpan Brief = TimeSpan.FromMilliseconds(25);

    private readonly RunRooms rooms;
    private readonly ClaimedRun claimed;
    private readonly Action releasePlace;
    private readonly List<RunEvent> unsaved = [];
    private readonly CancellationTokenSource interrupted = new();
    private readonly Lock gate = new();
    private Run run;
    private IAttempt? attempt;
    private volatile RunProgress? progress;
    private bool cancelled;
    private bool handingBack;
    private bool givingWay;
    private volatile GivenWay? gaveWayTo;
    private volatile bool placeReleased;

    /// <param name="waited">How long the run waited.</param>
    /// <param name="taken">Tells of the claim.</param>
    public TaskExecution(
        RunRooms rooms, ClaimedRun claimed, TimeSpan waited, RunEvent taken, Action releasePlace)
    {
        this.rooms = rooms;
        this.claimed = claimed;
        this.releasePlace = releasePlace;
        TimeSpan queue = waited > TimeSpan.Zero ? waited : TimeSpan.Zero;
        run = claimed.Run with { Timings = RunTimings.None with { Queue = queue } };
        ClaimedAt = taken.At;
        unsaved.Add(taken);
    }

    public RunId Id => claimed.Run.Id;

    public int Generation => claimed.Run.Generation;

    public string Caller => claimed.Run.Caller;

    public int Priority => claimed.Run.Spec.Priority;

    public DateTimeOffset ClaimedAt { get; }

    public bool HasPlace => !placeReleased;

    /// <summary>Whether it is to be ended when others wait for its place.</summary>
    // A call that an instance has is soon over, and its program goes on anyway.
    public bool IsPreemptible => RunPriority.GivesWay(Priority) && claimed.Run.Spec.Service is null;

    /// <summary>Whether it was told to give its place up.</summary>
    public bool IsLeaving => Volatile.Read(ref givingWay);

    /// <summary>Whether it has a program.</summary>
    public bool HasBegun => Volatile.Read(ref attempt) is not null;

    /// <summary>Whether no node took it.</summary>
    public bool WasDeferred { get; private set; }

    /// <summary>Newest progress, before it is stored.</summary>
    public RunProgress? Progress => progress;

    /// <summary>Somebody asked for the end; that was made durable before.</summary>
    public void Cancel() => Interrupt(ref cancelled, EndReason.Canceled, run.Spec.Grace);

    /// <summary>The server stops and can't wait any longer.</summary>
    public void HandBack() => Interrupt(ref handingBack, EndReason.PlatformFault, TimeSpan.Zero);

    /// <summary>Others wait for its place.</summary>
    /// <param name="cause">Null where it is not known which of them will have it.</param>
    /// <returns>How long its end may take.</returns>
    public TimeSpan GiveWay(GivenWay? cause)
    {
        if (!IsLeaving)
        {
            gaveWayTo = cause;
            Interrupt(ref givingWay, EndReason.PlatformFault, run.Spec.Grace);
        }

        return run.Spec.Grace;
    }

    /// <summary>Runs the attempt. Completes when its end is stored; faults only when <paramref name="giveUp"/> ends the
    /// tries to store it, or when the store can't take it at all.</summary>
    public async Task RunAsync(CancellationToken giveUp)
    {
        try
        {
            await AttemptAsync(giveUp);
        }
        catch (Exception error) when (!giveUp.IsCancellationRequested)
        {
            // Whatever it was, the run is reported on: nobody else would until the next start of a server.
            Log.AttemptFailed(rooms.Logger, run.Id, error);
            ReleasePlace();
            await EndAsync(Failure(EndReason.PlatformFault, RunSentences.Unexpected), null, giveUp);
        }
        finally
        {
            ReleasePlace();
            rooms.Results?.Forget(Id);
            interrupted.Dispose();
        }
    }

    private async Task AttemptAsync(CancellationToken giveUp)
    {
        RunMoment now = rooms.Clock.Moment;
        if (RunSteps.IsOverAge(run, now))
        {
            rooms.Deferred?.Forget(Id);
            await rooms.SaveAsync(RunSteps.Expire(run, now.At, rooms.Options.ResultRetention), giveUp);
            return;
        }

        if (await StartAsync(giveUp) is { } started)
        {
            await FollowAsync(started, giveUp);
        }
    }

    /// <summary>The attempt once its program runs; null when it does not come about, which is stored then.</summary>
    private async Task<IAttempt?> StartAsync(CancellationToken giveUp)
    {
        using CancellationTokenSource limit = new(rooms.Options.StartLimit, rooms.Time);
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(
            limit.Token, interrupted.Token);
        RunEnd failure;
        try
        {
            return await rooms.StartAsync(claimed, run, either.Token);
        }
        catch (OperationCanceledException) when (interrupted.IsCancellationRequested)
        {
            failure = Failure(cancelled ? EndReason.Canceled : EndReason.PlatformFault, null);
        }
        catch (OperationCanceledException) when (limit.IsCancellationRequested)
        {
            failure = Failure(
                EndReason.PlatformFault,
                $"No sandbox could be readied within {RunSentences.Span(rooms.Options.StartLimit)}.");
        }
        catch (BerthException fault) when (fault.Code == ErrorCode.NoNode)
        {
            WasDeferred = true;
            ReleasePlace();
            await DeferAsync(fault.Message, giveUp);
            return null;
        }
        catch (BerthException fault)
        {
            failure = Failure(StartFault.ReasonOf(fault.Code), fault.Message) with { RetryAfter = fault.RetryAfter };
        }

        ReleasePlace();
        await EndAsync(failure, null, giveUp);
        return null;
    }

    /// <summary>It waits until a node takes it. The event is written once for each reason.</summary>
    private async Task DeferAsync(string why, CancellationToken giveUp)
    {
        RunMoment now = rooms.Clock.Moment;
        bool isTold = rooms.Deferred?.Told(Id) == why;
        RunChange change = RunSteps.Defer(
            run, now, RunSteps.DeferralOf(run, now),
            isTold ? [] : [new RunEvent(now.At, RunEventTypes.Waiting, run.Attempts - 1, why)]);
        SaveOutcome outcome = await rooms.SaveAsync(change, giveUp);
        if (outcome.Applied)
        {
            rooms.Ledger.Wait(1);
            rooms.Deferred?.Keep(outcome.Current ?? change.Next, why);
        }
        else if (outcome.Current is { CancelRequested: true } asked && asked.Generation == run.Generation)
        {
            run = run with { CancelRequested = true };
            await EndAsync(Failure(EndReason.Canceled, null), null, giveUp);
        }
    }

    private async Task FollowAsync(IAttempt live, CancellationToken giveUp)
    {
        await using SpoolWriter result = rooms.Spool.WriteResult(run.Id, run.Generation, run.Spec.OutputLimit);
        CrashPoints.Reach(CrashPoint.AttemptStarted);
        RunEnd end;
        await using (live)
        {
            if (Adopt(live) is { } reason)
            {
                live.Stop(reason, TimeSpan.Zero);
            }

            DateTimeOffset now = rooms.Time.GetUtcNow();
            AttemptPreparation preparation = live.Preparation;
            RunTimings timings = run.Timings with { Prepare = preparation.Prepare, Start = preparation.Start };
            unsaved.Add(new RunEvent(
                now, RunEventTypes.Started, run.Attempts,
                preparation.Equal is { } equal ? RunSentences.Answered(equal)
                    : preparation.Instance is { } instance ? RunSentences.Taken(instance, preparation.Prepare)
                    : RunSentences.Started(preparation.Prepare, preparation.Start, preparation.Prepared)
                    + (rooms.Fleet?.Explain(run) is { } placement ? " " + placement : "")));
            rooms.Deferred?.Forget(Id);
            RunChange start = RunSteps.Start(run, preparation.Node ?? rooms.Node.Info.Name, timings, now, [.. unsaved]);
            run = start.Next;
            AttemptStreams streams = new(rooms, run, live, claimed.InlineInput, result);
            using CancellationTokenSource noReport = new();
            Task reporting = ReportAsync(start, live, noReport.Token, giveUp);
            end = await CompleteAsync(live, streams, noReport);
            CrashPoints.Reach(CrashPoint.AttemptReported);
            ReleasePlace();
            await reporting;
            run = run with { Progress = progress };
        }

        await EndAsync(end, result, giveUp);
    }

    /// <summary>The truth about the attempt, or that there is none to be had.</summary>
    private async Task<RunEnd> CompleteAsync(IAttempt live, AttemptStreams streams, CancellationTokenSource noReport)
    {
        TimeSpan lease = run.Spec.Timeout + run.Spec.Grace + rooms.Options.LeaseSlack;
        AttemptReport report;
        try
        {
            report = await live.Completion.WaitAsync(lease, rooms.Time);
            await streams.Completion.WaitAsync(rooms.Options.LeaseSlack, rooms.Time);
        }
        catch (TimeoutException)
        {
            await noReport.CancelAsync();
            live.Stop(EndReason.PlatformFault, TimeSpan.Zero);
            return Failure(EndReason.PlatformFault, RunSentences.NoReport(rooms.Options.LeaseSlack));
        }

        run = run with { Timings = run.Timings with { Run = report.RunTime } };
        RunEnd end = new(
            report.Reason, report.ExitCode, report.Signal, report.Detail, report.Usage, report.Answer,
            report.RetryAfter);
        if (streams.OutputPassed && end.Reason is not (EndReason.Canceled or EndReason.TimedOut))
        {
            return end with { Reason = EndReason.OutputLimit, Detail = RunSentences.OutputLimit(run.Spec.OutputLimit) };
        }

        return streams.Fault is { } fault ? end with { Reason = EndReason.PlatformFault, Detail = fault } : end;
    }

    private async Task EndAsync(RunEnd end, SpoolWriter? result, CancellationToken giveUp)
    {
        RunMoment now = rooms.Clock.Moment;
        RunChange change = await WithResultAsync(Decide(end, now), end, now, result);
        CrashPoints.Reach(CrashPoint.ResultKept);
        SaveOutcome outcome = await rooms.SaveAsync(change, giveUp);
        if (outcome is { Applied: false, Current: { CancelRequested: true } current }
            && current.Generation == run.Generation
            && change.Next.State == RunState.Queued)
        {
            // It would have been tried again, but somebody asked for its end meanwhile.
            run = run with { CancelRequested = true };
            change = Decide(end with { Reason = EndReason.Canceled }, now);
            outcome = await rooms.SaveAsync(change, giveUp);
        }

        CrashPoints.Reach(CrashPoint.EndStored);
        if (!outcome.Applied)
        {
            Log.ReportRefused(rooms.Logger, run.Id, run.Generation);
        }
        else if (change.Next.State == RunState.Succeeded && result is not null && rooms.Results is { } results)
        {
            await results.KeepAsync(change.Next, result.Inline);
        }
        else if (change.Next.State == RunState.Queued)
        {
            rooms.Ledger.Wait(1);
            CrashPoints.Reach(CrashPoint.RetryStored);
            if (givingWay)
            {
                rooms.Ledger.Preempted();
            }
            else if (!handingBack)
            {
                rooms.Ledger.Retried();
            }
        }
    }

    private RunChange Decide(RunEnd end, RunMoment now)
    {
        if (end.Reason == EndReason.PlatformFault && givingWay && !run.CancelRequested)
        {
            return WithUnsaved(RunSteps.GiveWay(
                run, end, now, gaveWayTo is { } cause ? (cause.Run, cause.Node) : null));
        }

        // While the server stops, an instance may be gone before its calls are handed back.
        return end.Reason == EndReason.PlatformFault
            && (handingBack || (rooms.IsStopping && run.Spec.Service is not null))
            ? WithUnsaved(RunSteps.HandBack(run, end, now))
            : RunSteps.End(run, end, now, NextRandom(), rooms.Options.ResultRetention, [.. unsaved]);
    }

    private RunChange WithUnsaved(RunChange change) => change with { Events = [.. unsaved, .. change.Events] };

    private async Task<RunChange> WithResultAsync(RunChange change, RunEnd end, RunMoment now, SpoolWriter? result)
    {
        if (result is null || !change.Next.State.IsTerminal())
        {
            return change;
        }

        try
        {
            StoredBody body = await result.CommitAsync(CancellationToken.None);
            return change with { Next = change.Next with { Result = body }, InlineResult = result.Inline };
        }
        catch (Exception error) when (error is IOException or BerthException)
        {
            string detail = $"Its result could not be kept: {error.Message}";
            return Decide(end with { Reason = EndReason.PlatformFault, Detail = detail }, now);
        }
    }

    /// <summary>Stores the start, and the newest progress at most once a second, until the program's end. What is over
    /// in a moment has all of it stored with its end, in one write instead of two.</summary>
    private async Task ReportAsync(
        RunChange start, IAttempt live, CancellationToken noReport, CancellationToken giveUp)
    {
        // Not of the clock that tests move: it is how long the kernel takes.
        Task over = live.Completion;
        await over.WaitAsync(Brief, TimeProvider.System, noReport)
            .ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        bool isStored = !over.IsCompleted;
        if (isStored)
        {
            unsaved.Clear();
            await SaveStartAsync(start, giveUp);
        }

        long? told = null;
        try
        {
            await foreach (ProgressReport report in live.Progress.ReadAllAsync(noReport))
            {
                progress = new RunProgress(report.Percent, report.Message);
                if (told is { } last && rooms.Time.GetElapsedTime(last) < TimeSpan.FromSeconds(1))
                {
                    continue;
                }

                told = rooms.Time.GetTimestamp();
                RunChange change = RunSteps.Report(start.Next, progress, rooms.Time.GetUtcNow());
                if (isStored)
                {
                    await rooms.SaveAsync(change, giveUp);
                }
                else
                {
                    unsaved.AddRange(change.Events);
                }
            }
        }
        catch (OperationCanceledException) when (noReport.IsCancellationRequested)
        {
            return;
        }
    }

    private async Task SaveStartAsync(RunChange start, CancellationToken giveUp)
    {
        SaveOutcome stored = await rooms.SaveAsync(start, giveUp);
        CrashPoints.Reach(CrashPoint.StartStored);
        if (stored.Current is { CancelRequested: true })
        {
            // Asked between the claim and now, when there was no attempt to stop.
            Cancel();
        }
    }

    private void Interrupt(ref bool wish, EndReason reason, TimeSpan grace)
    {
        IAttempt? live;
        lock (gate)
        {
            wish = true;
            live = attempt;
        }

        if (live is null)
        {
            try
            {
                interrupted.Cancel();
            }
            catch (ObjectDisposedException)
            {
                // It has just ended.
                return;
            }
        }
        else
        {
            live.Stop(reason, grace);
        }
    }

    /// <summary>Takes the started attempt over; gives the reason for which it must end at once, if any.</summary>
    private EndReason? Adopt(IAttempt started)
    {
        lock (gate)
        {
            attempt = started;
            return cancelled ? EndReason.Canceled : handingBack || givingWay ? EndReason.PlatformFault : null;
        }
    }

    private void ReleasePlace()
    {
        if (!placeReleased)
        {
            placeReleased = true;
            releasePlace();
        }
    }

    private static RunEnd Failure(EndReason reason, string? detail) => new(reason, null, null, detail, RunUsage.None);

    private static double NextRandom() =>
        System.Security.Cryptography.RandomNumberGenerator.GetInt32(1 << 30) / (double)(1 << 30);
}
