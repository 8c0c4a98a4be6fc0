using System.Text.Json;
using Berth.Api.Runs;
using Berth.Core.Callbacks;
using Berth.Core.Runs;
using Berth.Server.Store;

namespace Berth.Server.Runs;

/// <summary>How runs and what happened to them are told to the outside.</summary>
internal static class RunPresentation
{
    public static RunView View(Run run)
    {
        RunEnd? end = run.State.IsTerminal() ? run.End : null;
        return new RunView(
            run.Id.Text,
            KindWord(run.Kind),
            StateWord(run.State),
            run.Spec.Image,
            run.Spec.Digest.Text,
            run.CreatedAt,
            run.StartedAt,
            run.EndedAt,
            run.Attempts,
            end is null ? null : RunSentences.Word(end.Reason),
            end?.ExitCode,
            end?.Signal,
            end?.Detail,
            run.Progress?.Percent,
            run.Progress?.Message,
            run.Node,
            end is null ? null : View(end.Usage),
            run.StartedAt is null ? null : View(run.Timings),
            run.Input.Place == BodyPlace.None ? null : run.Input.Length,
            run.Kind != RunKind.Task || !run.State.IsTerminal() ? null : run.Result.Length,
            run.Spec.Labels,
            run.Kind == RunKind.Task ? run.ResultExpiresAt : null,
            run.Spec.Runtime,
            end?.Answer?.Status);
    }

    public static UsageView View(RunUsage usage) => new(
        usage.CpuUser.TotalMilliseconds, usage.CpuSystem.TotalMilliseconds, usage.PeakMemory.Bytes, usage.BytesIn,
        usage.BytesOut);

    public static string KindWord(RunKind kind) => kind switch
    {
        RunKind.Call => "call",
        RunKind.Task => "task",
        RunKind.Container => "container",
        RunKind.Instance => "instance",
        _ => throw new ArgumentOutOfRangeException(nameof(kind), kind, "A kind without a word."),
    };

    public static string StateWord(RunState state) => state switch
    {
        RunState.Queued => "queued",
        RunState.Starting => "starting",
        RunState.Running => "running",
        RunState.Succeeded => "succeeded",
        RunState.Failed => "failed",
        RunState.Canceled => "canceled",
        _ => throw new ArgumentOutOfRangeException(nameof(state), state, "A state without a word."),
    };

    /// <summary>What a step to the end owes to the run's callback and to its destination.</summary>
    public static RunChange WithCallback(RunChange change, DateTimeOffset due)
    {
        Run next = change.Next;
        if (!next.State.IsTerminal())
        {
            return change;
        }

        Destination? destination = next.State switch
        {
            RunState.Succeeded => next.Spec.OnSuccess,
            RunState.Failed => next.Spec.OnFailure,
            _ => null,
        };
        return change with
        {
            Callback = Draft(next.Spec.Callback),
            Notice = next.Kind == RunKind.Task ? Draft(destination?.Address) : null,
            Forward = next.Kind == RunKind.Task ? destination?.Function : null,
        };

        CallbackDraft? Draft(Uri? target) => target is null ? null : new CallbackDraft(target, Body(next), due);
    }

    /// <summary>Event 1, which is told from the run.</summary>
    public static NumberedEvent AcceptedEvent(Run run) =>
        new(1, new RunEvent(run.CreatedAt, RunEventTypes.Accepted, 0, RunSentences.Accepted(run)));

    /// <summary>The events of a call, which are all told from its record: calls store nothing while they run.</summary>
    public static IReadOnlyList<NumberedEvent> CallEvents(Run run)
    {
        List<NumberedEvent> events = [AcceptedEvent(run)];
        if (run.StartedAt is { } started)
        {
            events.Add(new(2, StartedEvent(run, started)));
        }

        if (run.EndedAt is { } ended && run.End is { } end)
        {
            events.Add(new(events.Count + 1, EndedEvent(run, end, ended)));
        }

        return events;
    }

    public static RunEvent StartedEvent(Run run, DateTimeOffset at) => new(
        at, RunEventTypes.Started, run.Attempts,
        $"It waited {RunSentences.Span(run.Timings.Queue)} for a place; the sandbox took "
        + $"{RunSentences.Span(run.Timings.Prepare)} and "
        + $"the start {RunSentences.Span(run.Timings.Start)}.");

    public static RunEvent EndedEvent(Run run, RunEnd end, DateTimeOffset at) => new(
        at, RunEventTypes.Ended, run.Attempts,
        run.StartedAt is null
            ? RunSentences.EndedEarly(end.Reason, end.Detail)
            : RunSentences.Ended(run, end));

    private static byte[] Body(Run run) => JsonSerializer.SerializeToUtf8Bytes(View(run), RunJson.Default.RunView);

    private static TimingsView View(RunTimings timings) => new(
        timings.Queue.TotalMilliseconds, timings.Prepare.TotalMilliseconds, timings.Start.TotalMilliseconds,
        timings.Run.TotalMilliseconds, timings.Total.TotalMilliseconds);
}
