namespace Berth.Core.Runs;

/// <summary>
/// Decides every step of a run: what came in and the time go in, the change to be stored comes out. The store refuses a
/// change that comes too late; then nothing has happened.
/// </summary>
public static class RunSteps
{
    private static readonly TimeSpan ShortestDeferral = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan LongestDeferral = TimeSpan.FromSeconds(60);

    /// <summary>The program runs.</summary>
    /// <param name="events">What happened since the last stored step.</param>
    public static RunChange Start(
        Run run, string node, RunTimings timings, DateTimeOffset now, IReadOnlyList<RunEvent> events) =>
        new(
            run with { State = RunState.Running, StartedAt = now, Node = node, Timings = timings },
            run.Generation, events);

    /// <summary>The program said how far it is.</summary>
    public static RunChange Report(Run run, RunProgress progress, DateTimeOffset now) => new(
        run with { Progress = progress },
        run.Generation,
        [new RunEvent(now, RunEventTypes.Progress, run.Attempts,
            FormattableString.Invariant($"{progress.Percent:0.#} %")
            + (progress.Message is null ? "" : ": " + progress.Message))]);

    /// <summary>An attempt ended: another one follows, or the run is over.</summary>
    /// <param name="earlier">Events that happened before the end and are not stored yet.</param>
    /// <param name="random">Uniform in [0, 1), for the delay before a retry.</param>
    public static RunChange End(
        Run run, RunEnd end, RunMoment now, double random, TimeSpan retention, IReadOnlyList<RunEvent> earlier)
    {
        TimeSpan? delay = run.CancelRequested ? null : run.Spec.Retry.NextDelay(run.Attempts, end, random);
        if (delay is { } wait)
        {
            RunEvent retried = new(
                now.At, RunEventTypes.Retried, run.Attempts,
                RunSentences.Retried(end, run.Attempts, run.Spec.Retry.MaxAttempts, wait));
            Run waiting = run with
            {
                State = RunState.Queued,
                Generation = run.Generation + 1,
                ReadyAt = now.Steady + wait,
                End = WithEarlier(run, end),
                Progress = null,
            };
            return new RunChange(waiting, run.Generation, [.. earlier, retried]);
        }

        string sentence = run.State == RunState.Running
            ? RunSentences.Ended(run, end)
            : RunSentences.EndedEarly(end.Reason, end.Detail);
        return Close(run, end, sentence, now.At, retention, earlier);
    }

    /// <summary>Gives a run back to the queue because this server stops. Doesn't count as an attempt, but what it used
    /// was used.</summary>
    public static RunChange HandBack(Run run, RunEnd end, RunMoment now) =>
        GiveBack(run, end, now, RunEventTypes.HandedBack, RunSentences.HandedBack);

    /// <summary>Gives a run back to the queue because its place is needed. Doesn't count as an attempt, but what it
    /// used was used.</summary>
    /// <param name="cause">What it was ended for and on which node; null where that is not known.</param>
    public static RunChange GiveWay(Run run, RunEnd end, RunMoment now, (RunId Run, string Node)? cause) =>
        GiveBack(run, end, now, RunEventTypes.Preempted, RunSentences.Preempted(run.Spec.Priority, cause));

    private static RunChange GiveBack(Run run, RunEnd end, RunMoment now, string type, string sentence) => new(
        run with
        {
            State = RunState.Queued,
            Generation = run.Generation + 1,
            Attempts = run.Attempts - 1,
            ReadyAt = now.Steady,
            End = WithEarlier(run, end),
            Progress = null,
        },
        run.Generation,
        [new RunEvent(now.At, type, run.Attempts, sentence)]);

    /// <summary>Gives a run back to the queue because no node takes it now. Doesn't count as an attempt.</summary>
    /// <param name="pause">After which it is looked at again, unless something changes.</param>
    /// <param name="events">That it waits and for what; none where that was told already.</param>
    public static RunChange Defer(Run run, RunMoment now, TimeSpan pause, IReadOnlyList<RunEvent> events) => new(
        run with
        {
            State = RunState.Queued,
            Generation = run.Generation + 1,
            Attempts = run.Attempts - 1,
            ReadyAt = now.Steady + pause,
            Timings = RunTimings.None,
        },
        run.Generation, events);

    /// <summary>A node may take it now: it is looked at at once.</summary>
    /// <param name="deferred">As <see cref="Defer"/> left it.</param>
    public static RunChange Wake(Run deferred, RunMoment now) =>
        new(deferred with { ReadyAt = now.Steady }, deferred.Generation, []);

    /// <summary>How long a run waits before it is looked at again: a quarter of what it has waited, so that many that
    /// no node takes cost little.</summary>
    public static TimeSpan DeferralOf(Run run, RunMoment now)
    {
        TimeSpan quarter = (now.At - run.CreatedAt) / 4;
        return quarter < ShortestDeferral ? ShortestDeferral
            : quarter > LongestDeferral ? LongestDeferral : quarter;
    }

    /// <summary>
    /// What becomes of a run that a server left Starting or Running when it was killed. Whether its program finished is
    /// not known; it is begun again, unless that has happened so often that the run itself may be what kills servers.
    /// </summary>
    public static RunChange Recover(Run run, RunMoment now, TimeSpan retention)
    {
        if (run.CancelRequested)
        {
            return Close(
                run, new RunEnd(EndReason.Canceled, null, null, null, RunUsage.None),
                RunSentences.EndedEarly(EndReason.Canceled, null), now.At, retention, []);
        }

        if (run.Kind == RunKind.Container || run.Attempts >= run.Spec.Retry.MaxAttempts)
        {
            string sentence = run.Kind == RunKind.Container
                ? RunSentences.LostWithServer
                : RunSentences.Poisoned(run.Attempts);
            RunEnd end = new(EndReason.PlatformFault, null, null, sentence, RunUsage.None);
            return Close(run, end, sentence, now.At, retention, []);
        }

        Run waiting = run with
        {
            State = RunState.Queued,
            Generation = run.Generation + 1,
            ReadyAt = now.Steady,
            Progress = null,
        };
        string text = RunSentences.Recovered(run.Attempts, run.Spec.Retry.MaxAttempts);
        RunEvent recovered = new(now.At, RunEventTypes.Recovered, run.Attempts, text);
        return new RunChange(waiting, run.Generation, [recovered]);
    }

    /// <summary>Ends a run that waits because somebody asked for it.</summary>
    public static RunChange CancelWaiting(Run run, DateTimeOffset now, TimeSpan retention) => Close(
        run, new RunEnd(EndReason.Canceled, null, null, null, RunUsage.None),
        "Cancelled while it waited.", now, retention, []);

    /// <summary>Whether a waiting run has passed its maximum age.</summary>
    public static bool IsOverAge(Run run, RunMoment now) => run.ExpiresAt <= now.Steady;

    /// <summary>Ends a run that waited too long.</summary>
    public static RunChange Expire(Run run, DateTimeOffset now, TimeSpan retention)
    {
        string sentence = RunSentences.Expired(run.Spec.MaxAge ?? TimeSpan.Zero);
        RunEnd end = new(EndReason.Expired, null, null, sentence, RunUsage.None);
        return Close(run, end, sentence, now, retention, []);
    }

    private static RunChange Close(
        Run run, RunEnd end, string sentence, DateTimeOffset now, TimeSpan retention, IReadOnlyList<RunEvent> earlier)
    {
        // A cancel may reach a run whose program had not begun: that is Starting → Canceled, never Succeeded.
        Run ended = run with
        {
            State = RunTransitions.TerminalStateOf(end.Reason),
            End = WithEarlier(run, end),
            EndedAt = now,
            ResultExpiresAt = now + retention,
        };
        return new RunChange(
            ended, run.Generation, [.. earlier, new RunEvent(now, RunEventTypes.Ended, run.Attempts, sentence)]);
    }

    /// <summary>The end of an attempt with what the attempts before it used: all of it is the run's.</summary>
    private static RunEnd WithEarlier(Run run, RunEnd end) =>
        end with { Usage = run.End is { } before ? before.Usage.Plus(end.Usage) : end.Usage, RetryAfter = null };
}
