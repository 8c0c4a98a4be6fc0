using Berth.Core.Rollouts;
using Berth.Core.Runs;

namespace Berth.Core.Functions;

/// <summary>What a function does with a call, fixed for as long as a revision lives.</summary>
/// <param name="Run">Each call, before its request adds arguments, labels and what it tells of itself.</param>
/// <param name="PassArguments">Calls may bring arguments, which come after the revision's own.</param>
/// <param name="MaxRunning">Calls of this revision that may run at once; 0 for the server's places.</param>
/// <param name="MaxWaiting">Calls that may wait for one of them; more are refused.</param>
/// <param name="Service">How its program answers over HTTP; null where each call is a program of its own.</param>
/// <param name="Results">Whether a result answers further calls; null where each call is executed.</param>
public sealed record FunctionSpec(
    RunSpec Run, bool PassArguments, int MaxRunning, int MaxWaiting, ServiceSpec? Service = null,
    ResultPolicy? Results = null)
{
    public const int DefaultMaxWaiting = 1000;
}

/// <summary>One state of a function's settings. Never changes.</summary>
/// <param name="Number">1 for the first; never used again while the function lives.</param>
/// <param name="Caller">Name of the token that deployed it.</param>
public sealed record Revision(int Number, FunctionSpec Spec, DateTimeOffset CreatedAt, string Caller);

/// <summary>A named image with settings, which callers need to know the name of alone. Immutable: a change makes a new
/// one (<see cref="FunctionSteps"/>), which the store makes true.</summary>
/// <param name="Name">By <see cref="FunctionName"/>'s rule.</param>
/// <param name="Revisions">Those that are kept, oldest first; never empty.</param>
/// <param name="Traffic">Who gets the calls.</param>
/// <param name="Before">Who got them before the last change; null where nothing was changed yet.</param>
/// <param name="Rollout">The newest one, under way or ended; null where there was none.</param>
/// <param name="Reach">Who reaches it beside those with a token; null for nobody.</param>
public sealed record Function(
    string Name, DateTimeOffset CreatedAt, IReadOnlyList<Revision> Revisions, TrafficSplit Traffic,
    TrafficSplit? Before, Rollout? Rollout = null, FunctionEdge? Reach = null)
{
    public FunctionEdge Edge => Reach ?? FunctionEdge.None;

    public Revision Newest => Revisions[^1];

    /// <summary>Null where it never was or is not kept any more.</summary>
    public Revision? Find(int number) => Revisions.FirstOrDefault(r => r.Number == number);
}
