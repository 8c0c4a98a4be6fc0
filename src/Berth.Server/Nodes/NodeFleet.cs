using System.Collections.Concurrent;
using Berth.Api.Nodes;
using Berth.Core.Placement;
using Berth.Core.Resources;
using Berth.Core.Runs;
using Berth.Oci.Images;
using Berth.Server.Functions;

namespace Berth.Server.Nodes;

/// <summary>
/// All nodes as one: gives each attempt of a call or task to one of them. What belongs to one machine (containers,
/// instances) is given to the server's own node directly.
/// </summary>
internal sealed class NodeFleet(INode own, NodeRegister register, NodeIndex index)
{
    /// <summary>Decisions that are remembered for who asks why.</summary>
    private const int MostRemembered = 4096;

    private readonly ConcurrentDictionary<string, PlacementPlan> remembered = new(StringComparer.Ordinal);
    private readonly ConcurrentQueue<string> order = new();

    /// <summary>What was placed and has not ended.</summary>
    private readonly ConcurrentDictionary<IAttempt, PlacementPlan> placed = new();

    private readonly string ownName = own.Info.Name;
    private readonly NodeConstraint[] here = [NodeConstraint.Parse($"{NodeAttributes.Node}={own.Info.Name}")];

    /// <inheritdoc cref="NodeIndex.Places"/>
    public int Places => index.Places;

    /// <summary>As <see cref="INode.StartAsync(AttemptSpec, CancellationToken)"/>, on the node that suits it best.
    /// Throws <c>NoNode</c> where none does.</summary>
    /// <param name="mayWait">Whether it waits for room, where that is all it lacks.</param>
    public async Task<IAttempt> StartAsync(
        Run run, AttemptSpec spec, bool mayWait, CancellationToken cancellationToken)
    {
        if (index.IsOwnAlone && run.Spec.Placement is null)
        {
            return await own.StartAsync(spec, cancellationToken);
        }

        PlacementPlan plan = await index.PlaceAsync(RequestOf(run), mayWait, cancellationToken);
        try
        {
            IAttempt attempt = await NodeOf(plan.Node!).StartAsync(spec, cancellationToken);
            placed[attempt] = plan;
            Remember(plan);
            _ = ForgetAsync(attempt, plan);
            return attempt;
        }
        catch
        {
            index.Release(plan.Node!, plan.Request.Id);
            throw;
        }
    }

    /// <summary>Calls back once, when a node could take what was refused.</summary>
    /// <returns>Ends that.</returns>
    public IDisposable Watch(Run run, Action come) => index.Watch(RequestOf(run), come);

    /// <summary>The decision by which an attempt is where it is; null where there was none to make.</summary>
    public PlacementPlan? PlanOf(IAttempt attempt) => placed.GetValueOrDefault(attempt);

    /// <summary>Why a run's last attempt went where it went, while that is remembered.</summary>
    public string? Explain(Run run) => remembered.GetValueOrDefault(IdOf(run))?.Explain();

    /// <summary>The first of the constraints that the server's own machine does not meet; null where it meets all.
    /// </summary>
    public NodeConstraint? FirstUnmetHere(PlacementRules rules) =>
        index.FirstUnmet(ownName, rules.Constraints);

    /// <summary>Attempts that a node has now.</summary>
    public int RunningOn(NodeEntry node) => node.Node?.Running
        ?? (node.IsOwn ? own.Status().Sandboxes.Count(s => s.State == "running") : 0);

    /// <summary>Ends what a node still has, as a fault of the platform: tasks run again elsewhere.</summary>
    public int Move(string node)
    {
        int moved = 0;
        foreach ((IAttempt attempt, PlacementPlan plan) in placed)
        {
            if (plan.Node == node)
            {
                attempt.Stop(EndReason.PlatformFault, TimeSpan.Zero);
                moved++;
            }
        }

        return moved;
    }

    /// <summary>A machine of another kind would refuse images that were checked for this one's. What needs something of
    /// the server's own machine is bound to it.</summary>
    private PlacementRequest RequestOf(Run run)
    {
        RunSpec spec = run.Spec;
        PlacementRules? rules = spec.Placement;
        IReadOnlyList<NodeConstraint> constraints = rules?.Constraints ?? [];
        bool isBound = spec.Network != NetworkMode.None || spec.Runtime is not null;
        return new PlacementRequest(
            IdOf(run), run.Caller,
            new NodeResources(spec.Limits.Cpu.Millicores, spec.Limits.Memory, default))
        {
            Architecture = PlatformChoice.Here.Architecture,
            Constraints = isBound ? [.. constraints, .. here] : constraints,
            Tolerations = rules?.Tolerations ?? [],
            Group = spec.Labels.GetValueOrDefault(FunctionLabels.Function) ?? spec.Digest.Text,
            Spread = new SpreadRule(rules?.Spread, MaxSkew: null),
            Image = spec.Digest.Text,
            Revision = spec.Digest.Text,
            Strategy = PlacementStrategy.Spread,
        };
    }

    private static string IdOf(Run run) => $"{run.Id}-{run.Generation}";

    private void Remember(PlacementPlan plan)
    {
        remembered[plan.Request.Id] = plan;
        order.Enqueue(plan.Request.Id);
        if (order.Count > MostRemembered && order.TryDequeue(out string? oldest))
        {
            remembered.TryRemove(oldest, out _);
        }
    }

    /// <summary>It may have lost its link since it was chosen.</summary>
    private INode NodeOf(string name) =>
        name == ownName ? own : register.Get(name).Node ?? throw RemoteAttempt.Lost(name);

    private async Task ForgetAsync(IAttempt attempt, PlacementPlan plan)
    {
        await attempt.Completion;
        placed.TryRemove(attempt, out _);
        index.Release(plan.Node!, plan.Request.Id);
    }
}
