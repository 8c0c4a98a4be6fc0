using System.Globalization;
using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Placement;
using Berth.Core.Runs;

namespace Berth.Server.Nodes;

/// <summary>What a task is ended for.</summary>
/// <param name="Run">That needs what it has.</param>
/// <param name="Node">Where both are.</param>
internal sealed record GivenWay(RunId Run, string Node);

// Tasks that give way are ended where others lack room. Only this server's own are known here one by one: what others
// have of a node is one amount, of which nothing is ended.
internal sealed partial class NodeFleet
{
    /// <summary>From the end of a program until its node knows that.</summary>
    private static readonly TimeSpan HoldSlack = TimeSpan.FromSeconds(10);

    /// <summary>Ends an attempt of a task for something else, by run and generation; set before anything runs. Returns
    /// how long that may take, null where it is over already.</summary>
    public Func<RunId, int, GivenWay, TimeSpan?> GiveWay { get; set; } = static (_, _, _) => null;

    /// <summary>Orders an attempt, once what has to give way for it was told so. A node of another machine keeps the
    /// room for it; on the server's own nothing begins before that is free.</summary>
    private async Task<IAttempt> OrderAsync(PlacementPlan plan, AttemptSpec spec, CancellationToken cancellationToken)
    {
        INode node = NodeOf(plan.Node!);
        if (plan.Evicted.Count == 0)
        {
            return await node.StartAsync(spec, cancellationToken);
        }

        Task cleared = index.ClearedAsync(plan);
        TimeSpan longest = TimeSpan.Zero;
        foreach (PlacedRun run in plan.Evicted)
        {
            (RunId id, int generation) = Read(run.Id);
            TimeSpan grace = GiveWay(id, generation, new GivenWay(spec.Run, plan.Node!)) ?? TimeSpan.Zero;
            longest = grace > longest ? grace : longest;
        }

        // A node of before judges no container: it would begin beside what has to end for it.
        if (node != own && !spec.IsContainer)
        {
            try
            {
                return await node.StartAsync(spec with { Hold = longest + HoldSlack }, cancellationToken);
            }
            catch (BerthException full) when (full.Code == ErrorCode.NoNode && !cleared.IsCompleted)
            {
                // A node of before keeps nothing.
            }
        }

        await cleared.WaitAsync(cancellationToken);
        // Its node may hear of the ends a little later.
        return await node.StartAsync(spec with { Hold = HoldSlack }, cancellationToken);
    }

    /// <summary>For people: runs are known by their own ids.</summary>
    private static PlacementPlan Told(PlacementPlan plan) => plan.Evicted.Count == 0
        ? plan
        : plan with { Evicted = [.. plan.Evicted.Select(run => run with { Id = Read(run.Id).Id.Text })] };

    /// <summary>As <see cref="IdOf"/> wrote it.</summary>
    private static (RunId Id, int Generation) Read(string attempt)
    {
        int at = attempt.LastIndexOf('-');
        return (RunId.Parse(attempt[..at]), int.Parse(attempt.AsSpan(at + 1), CultureInfo.InvariantCulture));
    }
}
