using System.Text.Json.Serialization;

namespace Berth.Api.Rollouts;

/// <summary>How a revision is to get its calls little by little. What is null has the default of the server.</summary>
/// <param name="Revision">The one that is to get all calls; null for the newest. Not for a deployment, whose own it
/// is.</param>
/// <param name="Steps">Percents of the calls, rising; null for 5, 25 and 50. Blue/green is 100 alone.</param>
/// <param name="Interval">How long each step is judged at least, such as <c>1m</c>.</param>
/// <param name="MinCalls">Calls of the revision without which no step is passed; null for as many as make one failure
/// alone no breach of the success rate, 20 to 1,000.</param>
/// <param name="SuccessRate">Percent of its calls that must succeed; null for 99.</param>
/// <param name="LatencyP95">What 95 of 100 calls may take at most: a time, such as <c>200ms</c>, or a multiple of what
/// the revisions before take, such as <c>1.2x</c>; null where times are not judged.</param>
/// <param name="MaxWait">How long a step waits for enough calls before it is rolled back; null for as long as it takes.
/// </param>
/// <param name="Sticky">Whether callers keep their place in the function's shares by a cookie, so that who has met the
/// revision goes on with it; null leaves it as it is. It stays so after the rollout.</param>
public sealed record RolloutRequest(
    int? Revision = null,
    IReadOnlyList<int>? Steps = null,
    string? Interval = null,
    int? MinCalls = null,
    double? SuccessRate = null,
    string? LatencyP95 = null,
    string? MaxWait = null,
    bool? Sticky = null);

/// <summary>The newest rollout of a function, under way or ended.</summary>
/// <param name="State"><c>running</c>, <c>paused</c>, <c>promoted</c>, <c>rolled_back</c> or <c>aborted</c>.</param>
/// <param name="Step">Number of the plan's step, from 1.</param>
/// <param name="Since">When the step, the pause or the end began.</param>
/// <param name="Caller">Name of the token that started it.</param>
/// <param name="Plan">All of it, with what was left to the server.</param>
/// <param name="Verdict">What was found last, with its numbers.</param>
/// <param name="Revisions">It and those before it.</param>
/// <param name="Events">What happened, oldest first.</param>
public sealed record RolloutView(
    string Function, int Revision, string State, int Step, DateTimeOffset StartedAt, DateTimeOffset Since,
    string Caller, RolloutRequest Plan, string Verdict, IReadOnlyList<RolloutShare> Revisions,
    IReadOnlyList<RolloutEventView> Events);

/// <param name="Percent">Of the calls that name no revision, now.</param>
/// <param name="Calls">In this step; after the end, in the last five minutes.</param>
public sealed record RolloutShare(int Revision, int Percent, CallFigures Calls);

/// <summary>What calls came to. Those that Berth or the caller ended are not among them.</summary>
/// <param name="Calls">That ended, synchronous ones and tasks.</param>
/// <param name="Failed">By the fault of the program or its image.</param>
/// <param name="P50Ms">Within how many milliseconds half of those that succeeded were done, within 5 %; null where none
/// did.</param>
/// <param name="P95Ms">Likewise 95 of 100.</param>
public sealed record CallFigures(long Calls, long Failed, double? P50Ms, double? P95Ms);

/// <param name="Type">Such as <c>advanced</c>.</param>
/// <param name="Detail">A sentence.</param>
public sealed record RolloutEventView(DateTimeOffset At, string Type, string Detail);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(RolloutRequest))]
[JsonSerializable(typeof(RolloutView))]
public sealed partial class RolloutJson : JsonSerializerContext;
