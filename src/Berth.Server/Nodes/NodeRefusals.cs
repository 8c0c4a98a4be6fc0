using Berth.Api.Links;
using Berth.Core.Errors;
using Berth.Core.Placement;

namespace Berth.Server.Nodes;

/// <summary>
/// The nodes that refused one run: what each has is its own to judge, and other servers gave it work that this one has
/// not heard of. The run goes to others, and to none of them twice before another heartbeat has come.
/// </summary>
internal sealed class NodeRefusals(bool mayWait, TimeProvider time)
{
    private const int MostNodes = 8;
    private const int MostRounds = 3;

    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(1);

    private readonly List<string> nodes = [];
    private BerthException? last;
    private int taken;
    private int rounds;

    /// <summary>Whether any has refused it since the last rest.</summary>
    public bool Any => nodes.Count > 0;

    /// <summary>The same for other nodes than those.</summary>
    public PlacementRequest Beside(PlacementRequest request) => Any ? request with { RefusedBy = [.. nodes] } : request;

    /// <summary>Takes one in. False where there were so many that the last is the answer.</summary>
    public bool Take(string node, BerthException refusal)
    {
        nodes.Add(node);
        last = refusal;
        return ++taken < MostNodes;
    }

    /// <summary>No other node is left. Who may wait does so until all have told how they do; then the planner knows
    /// that they are full, and it waits for room in its line. Throws <c>NoNode</c> where it may not, or has often
    /// enough.</summary>
    public async Task RestAsync(CancellationToken cancellationToken)
    {
        if (!mayWait || ++rounds > MostRounds)
        {
            throw End();
        }

        nodes.Clear();
        await Task.Delay(LinkProtocol.HeartbeatPeriod, time, cancellationToken);
    }

    /// <summary>Says that all have refused it.</summary>
    public BerthException End() => new(
        ErrorCode.NoNode,
        $"No node takes it: other work came first on {string.Join(", ", nodes)}. {last!.Message} 'berth node ls' shows "
        + "the nodes.", last)
    {
        RetryAfter = Soon,
    };
}
