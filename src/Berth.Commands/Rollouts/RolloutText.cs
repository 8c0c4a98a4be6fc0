using System.Globalization;
using Berth.Api.Rollouts;
using Berth.Commands.Output;

namespace Berth.Commands.Rollouts;

/// <summary>How rollouts are told to people.</summary>
internal static class RolloutText
{
    public static bool IsUnderWay(RolloutView view) => view.State is "running" or "paused";

    /// <summary>The newest event, in one line.</summary>
    public static string Line(RolloutView view) => $"Function {view.Function}: {view.Events[^1].Detail}";

    public static void Write(Session session, RolloutView view)
    {
        DateTimeOffset now = session.Terminal.Time.GetUtcNow();
        IReadOnlyList<int> steps = view.Plan.Steps ?? [];
        TextWriter output = session.Terminal.Out;
        output.WriteLine(Text($"Rollout of revision {view.Revision} of {view.Function}, by {view.Caller}"));
        output.WriteLine($"Plan:      {Path(steps)}; {Rules(view.Plan)}");
        output.WriteLine(Text($"State:     {State(view, steps)}, {Wording.Span(now - view.Since)}"));
        output.WriteLine($"Verdict:   {view.Verdict}");
        output.WriteLine();
        Table table = new(
            new("REVISION"), new("TRAFFIC", Right: true), new("CALLS", Right: true), new("FAILED", Right: true),
            new("P50", Right: true), new("P95", Right: true));
        foreach (RolloutShare share in view.Revisions)
        {
            table.Add(
                Text($"{share.Revision}{(share.Revision == view.Revision ? " (new)" : "")}"), Text($"{share.Percent}%"),
                Text($"{share.Calls.Calls:N0}"), Text($"{share.Calls.Failed:N0}"),
                Wording.Milliseconds(share.Calls.P50Ms), Wording.Milliseconds(share.Calls.P95Ms));
        }

        table.Write(session.Terminal);
        output.WriteLine();
        foreach (RolloutEventView entry in view.Events)
        {
            output.WriteLine(EventLine(entry));
        }
    }

    public static string EventLine(RolloutEventView entry) =>
        $"{entry.At.ToUniversalTime().ToString("HH:mm:ss", CultureInfo.InvariantCulture)}   {entry.Type,-11} "
        + entry.Detail;

    private static string Path(IReadOnlyList<int> steps) => string.Join(
        " → ", steps.Append(100).Distinct().Select(percent => percent == 100 ? "all calls" : Text($"{percent}%")));

    private static string Rules(RolloutRequest plan) => string.Join(
        ", ",
        new[]
        {
            Text($"{plan.MinCalls:N0} calls and {plan.Interval} a step"),
            Text($"{plan.SuccessRate} % succeed"),
            plan.LatencyP95 is null ? null : $"p95 at most {plan.LatencyP95}",
            plan.MaxWait is null ? null : $"waits {plan.MaxWait} at most",
        }.OfType<string>());

    private static string State(RolloutView view, IReadOnlyList<int> steps) => IsUnderWay(view)
        ? Text($"{view.State} at step {view.Step} of {steps.Count} ({steps[view.Step - 1]}%)")
        : view.State.Replace('_', ' ');

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
