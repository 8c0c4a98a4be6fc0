using Berth.Core.Errors;
using Berth.Core.Resources;

namespace Berth.Core.Rollouts;

/// <summary>How a new revision gets its calls little by little, and what it must show on the way. Blue/green is the
/// plan whose one step is 100.</summary>
/// <param name="Steps">Percents of the calls, rising. After the last one the revision has all of them.</param>
/// <param name="Interval">How long each step is judged, at least.</param>
/// <param name="MinCalls">Calls of the new revision without which no step is passed.</param>
/// <param name="SuccessRate">Percent of its calls that must succeed, over 0 to 100.</param>
/// <param name="Latency">Null where times are not judged.</param>
/// <param name="MaxWait">How long a step waits for enough calls before it is rolled back; null for as long as it
/// takes.</param>
public sealed record RolloutPlan(
    IReadOnlyList<int> Steps, TimeSpan Interval, int MinCalls, decimal SuccessRate, LatencyBudget? Latency,
    TimeSpan? MaxWait)
{
    public const int MaxSteps = 20;

    /// <summary>Calls of the revisions before without which their times before it are no measure.</summary>
    public const int BaselineCalls = 20;

    public const int MaxMinCalls = 1_000_000;
    public const decimal DefaultSuccessRate = 99;

    private const int LeastDefaultCalls = 20;
    private const int MostDefaultCalls = 1000;
    private static readonly TimeSpan LeastInterval = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan MostInterval = TimeSpan.FromDays(30);

    public static IReadOnlyList<int> Canary { get; } = [5, 25, 50];

    public static IReadOnlyList<int> BlueGreen { get; } = [100];

    public static TimeSpan DefaultInterval { get; } = TimeSpan.FromMinutes(1);

    /// <summary>So many that one failure alone is within the budget, where that is not too many to wait for.</summary>
    public static int DefaultMinCalls(decimal successRate) => successRate >= 100
        ? LeastDefaultCalls
        : (int)Math.Clamp(Math.Ceiling(100 / (100 - successRate)), LeastDefaultCalls, MostDefaultCalls);

    /// <summary>How many of <paramref name="calls"/> may fail.</summary>
    public long FailuresAllowed(long calls) => (long)Math.Floor(calls * (100 - SuccessRate) / 100);

    /// <returns>The plan itself.</returns>
    /// <exception cref="BerthException">InvalidRequest, naming what can't be and what could.</exception>
    public RolloutPlan Check()
    {
        if (Steps.Count is 0 or > MaxSteps || Steps[0] < 1 || Steps[^1] > 100
            || Steps.Zip(Steps.Skip(1)).Any(pair => pair.First >= pair.Second))
        {
            throw Refuse(
                $"The steps {string.Join(',', Steps.Take(MaxSteps + 1))} can't be: 1 to {MaxSteps} whole percents, "
                + "each higher than the one before, the last at most 100.");
        }

        Require(Interval >= LeastInterval && Interval <= MostInterval, "The interval", Interval, "1s to 30d");
        if (MinCalls is < 1 or > MaxMinCalls)
        {
            throw Refuse($"{MinCalls} calls can't be the least that are judged: 1 to {MaxMinCalls:N0}.");
        }

        if (SuccessRate is <= 0 or > 100)
        {
            throw Refuse(FormattableString.Invariant(
                $"A success rate of {SuccessRate} % can't be: more than 0 and at most 100."));
        }

        if (MaxWait is { } wait)
        {
            Require(wait >= Interval && wait <= MostInterval, "The longest wait", wait, "the interval to 30d");
        }

        return this;
    }

    private static void Require(bool holds, string what, TimeSpan value, string range)
    {
        if (!holds)
        {
            throw Refuse($"{what} {Duration.Format(value)} can't be: {range}.");
        }
    }

    private static BerthException Refuse(string why) => new(ErrorCode.InvalidRequest, why);
}
