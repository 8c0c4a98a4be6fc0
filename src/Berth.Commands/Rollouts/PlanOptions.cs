using System.CommandLine;
using System.Globalization;
using Berth.Api.Rollouts;
using Berth.Commands.Runs;
using Berth.Core.Errors;

namespace Berth.Commands.Rollouts;

/// <summary>The options that make a plan, for a rollout and for a deployment that begins one.</summary>
internal sealed class PlanOptions
{
    private readonly Option<string?> steps;
    private readonly Option<bool> blueGreen = new("--blue-green")
    {
        Description = "Give the new revision all calls at once, and judge it for an interval before it is kept",
    };

    private readonly Option<string?> interval = Named(
        "--interval", "TIME", "Judge each step for this time at least (default 1m)");

    private readonly Option<string?> successRate = Named(
        "--success-rate", "PERCENT", "How many of its calls must succeed (default 99)");

    private readonly Option<string?> latency = Named(
        "--latency-p95", "TIME",
        "What 95 of 100 calls may take: a time such as 200ms, or a multiple of what the old takes, such as 1.2x");

    private readonly Option<string?> minCalls = Named(
        "--min-calls", "N",
        "Calls of the new revision without which no step is passed; by default one failure alone must not decide");

    private readonly Option<string?> maxWait = Named(
        "--max-wait", "TIME", "Roll back a step that has not had enough calls in this time; it waits if not given");

    /// <param name="name">Of the option that has the steps.</param>
    public PlanOptions(string name, string description) => steps = Named(name, "PERCENT,...", description);

    public void AddTo(Command command)
    {
        foreach (Option option in (Option[])[steps, blueGreen, interval, successRate, latency, minCalls, maxWait])
        {
            command.Add(option);
        }
    }

    /// <summary>Null where none of them was given.</summary>
    public RolloutRequest? Read(Session session)
    {
        RolloutRequest plan = new(
            Steps: Steps(session), Interval: session.Get(interval),
            MinCalls: RunSettings.Parse(session, minCalls, RunSettings.ParseCount),
            SuccessRate: RunSettings.Parse(session, successRate, ParsePercent), LatencyP95: session.Get(latency),
            MaxWait: session.Get(maxWait));
        return plan == new RolloutRequest() ? null : plan;
    }

    /// <summary>As <see cref="Read"/>, where the steps have been left out of what asks for no plan.</summary>
    public RolloutRequest? ReadWithSteps(Session session) => Read(session) is not { } plan ? null
        : plan.Steps is not null ? plan
        : throw new BerthException(
            ErrorCode.InvalidRequest,
            $"A plan was given but no steps: add '{steps.Name} 5,25,50' or '{blueGreen.Name}'.");

    private int[]? Steps(Session session)
    {
        string? text = session.Get(steps);
        if (!session.Get(blueGreen))
        {
            return text is null ? null : [.. text.Split(',').Select(ParseStep)];
        }

        return text is null ? [100] : throw new BerthException(
            ErrorCode.InvalidRequest, $"{steps.Name} and {blueGreen.Name} can't be given together.");
    }

    private int ParseStep(string text) => int.TryParse(
        text.Trim().TrimEnd('%'), NumberStyles.None, CultureInfo.InvariantCulture, out int percent)
        ? percent
        : throw new BerthException(
            ErrorCode.InvalidRequest,
            $"'{text}' is no step: write whole percents with commas between, for instance {steps.Name} 5,25,50.");

    private static double ParsePercent(string text) => double.TryParse(
        text.TrimEnd('%'), NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double percent)
        ? percent
        : throw new BerthException(ErrorCode.InvalidRequest, $"'{text}' is no percentage: write for instance 99.5.");

    private static Option<string?> Named(string name, string value, string description) =>
        new(name) { HelpName = value, Description = description };
}
