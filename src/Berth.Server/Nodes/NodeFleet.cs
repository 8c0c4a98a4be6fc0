using System.Collections.Concurrent;
using Berth.Api.Links;
using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Placement;
using Berth.Core.Networks;
using Berth.Core.Resources;
using Berth.Core.Runs;
using Berth.Oci.Images;
using Berth.Server.Functions;
using Berth.Server.Runs;

namespace Berth.Server.Nodes;

/// <summary>
/// All nodes as one: gives each attempt of a call, task, instance or container to one of them.
/// </summary>
internal sealed partial class NodeFleet(
    INode own, NodeRegister register, NodeIndex index, TimeProvider time)
{
    private readonly INode own = own;
    private readonly NodeIndex index = index;

    /// <summary>Nodes that ready themselves for a function when it is deployed; others do with their first
    /// call.</summary>
    private const int MostHinted = 8;

    /// <summary>Decisions that are remembered for who asks why.</summary>
    private const int MostRemembered = 4096;

    private readonly ConcurrentDictionary<string, PlacementPlan> remembered = new(StringComparer.Ordinal);
    private readonly ConcurrentQueue<string> order = new();

    /// <summary>What was placed and has not ended.</summary>
    private readonly ConcurrentDictionary<IAttempt, PlacementPlan> placed = new();

    /// <summary>How often a node's work was ended, by name.</summary>
    private readonly ConcurrentDictionary<string, int> moves = new(StringComparer.Ordinal);

    private readonly string ownName = own.Info.Name;
    private readonly NodeConstraint[] here = [NodeConstraint.Parse($"{NodeAttributes.Node}={own.Info.Name}")];
    private readonly NodeConstraint[] elsewhere = [NodeConstraint.Parse($"{NodeAttributes.Node}!={own.Info.Name}")];

    /// <summary>Networks that are on several machines; set before anything runs.</summary>
    public INetworkLeases? Networks { get; set; }

    /// <inheritdoc cref="NodeIndex.Places"/>
    public int Places => index.Places;

    /// <summary>As <see cref="INode.StartAsync(AttemptSpec, CancellationToken)"/>, on the node that suits it best.
    /// Throws <c>NoNode</c> where none does.</summary>
    /// <param name="mayWait">Whether it waits for room, where that is all it lacks.</param>
    public async Task<IAttempt> StartAsync(
        Run run, AttemptSpec spec, bool mayWait, CancellationToken cancellationToken)
    {
        if (index.IsOwnAlone && run.Spec is { Placement: null, Mounts: null })
        {
            return await own.StartAsync(spec, cancellationToken);
        }

        NodeRefusals refusals = new(mayWait, time);
        while (true)
        {
            PlacementPlan plan;
            try
            {
                plan = await PlaceAsync(
                    run,
                    () => index.PlaceAsync(
                        refusals.Beside(RequestOf(run)), mayWait && !refusals.Any, cancellationToken),
                    cancellationToken);
            }
            catch (BerthException nowhere) when (nowhere.Code == ErrorCode.NoNode && refusals.Any)
            {
                await refusals.RestAsync(cancellationToken);
                continue;
            }

            try
            {
                return await BeginAsync(plan, spec, cancellationToken);
            }
            catch (BerthException full) when (full.Code == ErrorCode.NoNode && refusals.Take(plan.Node!, full))
            {
                // It knows its room better than this server does. Elsewhere there may be some.
            }
        }
    }

    /// <summary>Finds a node for a program that serves many calls. It takes memory of its node and no place: it waits
    /// more than it works. Throws <c>NoNode</c> where none takes it.</summary>
    /// <param name="room">What it takes of the server's own machine, where it goes there.</param>
    public async Task<InstancePlace> ReserveAsync(Run run, OwnRoom room, CancellationToken cancellationToken)
    {
        if (index.IsOwnAlone && run.Spec is { Placement: null, Mounts: null })
        {
            await room.TakeAsync(cancellationToken);
            return new InstancePlace(this, null);
        }

        InstancePlace place = new(this, await PlaceAsync(
            run, () => PlaceInstanceAsync(RequestOfInstance(run), room, cancellationToken), cancellationToken));
        try
        {
            if (place.Node == ownName)
            {
                await room.TakeAsync(cancellationToken);
            }

            return place;
        }
        catch
        {
            place.Dispose();
            throw;
        }
    }

    private PlacementRequest RequestOfInstance(Run run)
    {
        PlacementRequest request = InstanceRequest(IdOf(run), run.Caller, run.Spec);
        if (placed.Values.Any(p => !p.Request.TakesPlace && p.Request.Group == request.Group))
        {
            // The first is wanted soon. That its node has the image would draw all others there, and one loss end all.
            request = request with { Image = null, Revision = null };
        }

        return request;
    }

    /// <summary>Whether some node would take another instance of this now.</summary>
    public bool CouldTake(RunSpec instance) => index.Choice(InstanceRequest("", "", instance)) is not null;

    /// <summary>How a node is for new work.</summary>
    /// <param name="node">Null for the server's own.</param>
    public NodeAvailability StateOf(string? node) => index.StateOf(node ?? ownName);

    /// <summary>Others first where the server's own machine has no room for more instances.</summary>
    private async Task<PlacementPlan> PlaceInstanceAsync(
        PlacementRequest request, OwnRoom room, CancellationToken cancellationToken)
    {
        if (!room.Has())
        {
            try
            {
                return await index.PlaceAsync(
                    request with { Constraints = [.. request.Constraints, .. elsewhere] }, mayWait: false,
                    cancellationToken);
            }
            catch (BerthException nowhere) when (nowhere.Code == ErrorCode.NoNode)
            {
                // Then it waits here for others to give way.
            }
        }

        return await index.PlaceAsync(request, mayWait: true, cancellationToken);
    }

    /// <summary>Refuses nothing, where the server has just begun, that nodes may take which are about to dial it.
    /// </summary>
    private async Task<T> ExpectAsync<T>(
        IReadOnlyList<NodeConstraint> constraints, Func<Task<T>> place, CancellationToken cancellationToken)
    {
        while (true)
        {
            Task changed = register.LinksChanged;
            TimeSpan left = register.DiallingLeft;
            // Before it is placed: a node that comes between the two is expected no more, and may have it.
            bool isExpected = left > TimeSpan.Zero && register.ExpectsOne(constraints);
            try
            {
                return await place();
            }
            catch (BerthException nowhere) when (nowhere.Code == ErrorCode.NoNode && isExpected)
            {
                await Task.WhenAny(changed, Task.Delay(left, time, cancellationToken));
                cancellationToken.ThrowIfCancellationRequested();
            }
        }
    }

    private async Task<IAttempt> BeginAsync(
        PlacementPlan plan, AttemptSpec spec, CancellationToken cancellationToken)
    {
        int before = moves.GetValueOrDefault(plan.Node!);
        try
        {
            IAttempt attempt = await OrderAsync(
                plan,
                await BeThereAsync(
                    spec with { Yields = spec.Yields || !spec.IsContainer }, plan.Node!, cancellationToken),
                cancellationToken);
            Remember(Told(plan));
            if (attempt is RemoteContainer container)
            {
                Keep(container, plan);
            }
            else
            {
                placed[attempt] = plan;
                _ = ForgetAsync(attempt, plan);
                FetchAhead(plan, spec.Sandbox.Image);
            }

            if (moves.GetValueOrDefault(plan.Node!) != before)
            {
                // It was only being started when the node's work was ended.
                attempt.Stop(EndReason.PlatformFault, TimeSpan.Zero);
            }

            return attempt;
        }
        catch
        {
            Release(plan);
            throw;
        }
    }

    /// <summary>Says that a program like this is to be expected soon, to the node that it would go to now.</summary>
    public void Expect(Run run)
    {
        if (index.IsOwnAlone)
        {
            own.Expect(RunRooms.Shape(run.Spec, network: null));
        }
        else if (index.Choice(RequestOf(run)) is { } name)
        {
            Hint(name, RunRooms.Shape(run.Spec, network: null));
        }
    }

    /// <summary>Says that many like this are to be expected, to the nodes that may have them: they fetch the image and
    /// ready a sandbox.</summary>
    public void ExpectMany(RunSpec spec)
    {
        foreach (string name in index.Suiting(RequestOf("", "", spec), MostHinted))
        {
            Hint(name, RunRooms.Shape(spec, network: null));
        }
    }

    /// <summary>Calls back once, when a node could take what was refused.</summary>
    /// <returns>Ends that.</returns>
    public IDisposable Watch(Run run, Action come) => index.Watch(RequestOf(run), come);

    /// <summary>Why a run's last attempt went where it went, while that is remembered: the attempt may be over by the
    /// time that somebody asks. Null where there was nothing to decide.</summary>
    public string? Explain(Run run) => remembered.GetValueOrDefault(IdOf(run))?.Explain();

    /// <summary>The first of the constraints that the server's own machine does not meet; null where it meets all.
    /// </summary>
    public NodeConstraint? FirstUnmetHere(PlacementRules rules) =>
        index.FirstUnmet(ownName, rules.Constraints);

    /// <summary>Attempts that a node has now, containers of this server's among them.</summary>
    public int RunningOn(NodeEntry node) => node.Node?.Running + containers.GetValueOrDefault(node.Name)
        ?? (node.IsOwn ? own.Status().Sandboxes.Count(s => s.State == "running") : 0);

    /// <summary>Ends what a node still has, as a fault of the platform: tasks run again elsewhere. Containers are their
    /// own keeper's to end, but for those that are just being started.</summary>
    public int Move(string node)
    {
        int moved = 0;
        moves.AddOrUpdate(node, 1, static (_, count) => count + 1);
        foreach ((IAttempt attempt, PlacementPlan plan) in placed)
        {
            if (plan.Node == node && !attempt.Spec.IsContainer)
            {
                attempt.Stop(EndReason.PlatformFault, TimeSpan.Zero);
                moved++;
            }
        }

        return moved;
    }

    /// <summary>A machine of another kind would refuse images that were checked for this one's. What needs something of
    /// the server's own machine is bound to it.</summary>
    private PlacementRequest RequestOf(Run run) => RequestOf(IdOf(run), run.Caller, run.Spec) with
    {
        IsBatch = run.Kind == RunKind.Task && RunPriority.GivesWay(run.Spec.Priority),
    };

    private bool IsShared(RunSpec spec) => spec.Bridge is { } use && Networks?.IsOverlay(use) == true;

    /// <summary>Whether it needs something of the server's own machine.</summary>
    private bool IsBound(RunSpec spec) =>
        (spec.Network != NetworkMode.None && !IsShared(spec)) || spec.Runtime is not null;

    private PlacementRequest RequestOf(string id, string caller, RunSpec spec)
    {
        PlacementRules? rules = spec.Placement;
        IReadOnlyList<NodeConstraint> constraints = rules?.Constraints ?? [];
        bool isShared = IsShared(spec);
        bool isBound = IsBound(spec);
        return new PlacementRequest(
            id, caller,
            new NodeResources(spec.Limits.Cpu.Millicores, spec.Limits.Memory, default))
        {
            Architecture = PlatformChoice.Here.Architecture,
            Constraints =
            [
                .. constraints, .. isBound ? here : [], .. spec.HostFolders.Select(NodeConstraint.OfHostFolder),
            ],
            Features =
            [
                .. spec.Mounts is null ? Array.Empty<string>() : [NodeSnapshots.Mounts],
                .. isShared && Networks!.IsEncrypted(spec.Bridge!) ? [NodeFacts.Encryption] : Array.Empty<string>(),
            ],
            Tolerations = rules?.Tolerations ?? [],
            Group = spec.Labels.GetValueOrDefault(FunctionLabels.Function) ?? spec.Digest.Text,
            Network = isShared ? NodeSnapshots.OverlayNetwork : null,
            Spread = new SpreadRule(rules?.Spread, MaxSkew: null),
            Image = spec.Digest.Text,
            Revision = spec.Digest.Text,
            Strategy = PlacementStrategy.Spread,
            Priority = spec.Priority,
            Evicts = !RunPriority.GivesWay(spec.Priority),
            Volumes = [.. spec.Volumes.Where(name => Volumes?.Find(name)?.Node is not null)],
        };
    }

    private PlacementRequest InstanceRequest(string id, string caller, RunSpec spec)
    {
        PlacementRequest request = RequestOf(id, caller, spec);
        return request with
        {
            Resources = new NodeResources(0, request.Resources.Memory, default),
            Features = [.. request.Features, NodeSnapshots.Instances],
            TakesPlace = false,
        };
    }

    /// <summary>A network on several machines has a part of its addresses on each. Throws <c>NotFound</c>,
    /// <c>QuotaExceeded</c>.</summary>
    private async Task<AttemptSpec> BeThereAsync(
        AttemptSpec spec, string node, CancellationToken cancellationToken) =>
        spec.Sandbox.Bridge is { Overlay: not null } network && node != ownName
            ? spec with
            {
                Sandbox = spec.Sandbox with
                {
                    Bridge = await (Networks ?? throw new InvalidOperationException("Nothing keeps networks here."))
                        .LeaseAsync(network.Id, register.Get(node), cancellationToken),
                },
            }
            : spec;

    private void Hint(string name, SandboxSpec shape)
    {
        if (name == ownName)
        {
            own.Expect(shape);
        }
        else if (register.Find(name)?.Node is { } node)
        {
            node.Expect(shape);
        }
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
        Release(plan);
    }

    /// <summary>Where an instance is to be, counted as taken until it was disposed or the instance has ended.</summary>
    /// <param name="plan">Null where there was nothing to decide.</param>
    internal sealed class InstancePlace(NodeFleet fleet, PlacementPlan? plan) : IDisposable
    {
        private bool isTaken;

        /// <summary>Name of the node.</summary>
        public string Node => plan?.Node ?? fleet.ownName;

        /// <summary>As <see cref="INode.StartAsync(AttemptSpec, CancellationToken)"/>, once.</summary>
        public Task<IAttempt> StartAsync(AttemptSpec spec, CancellationToken cancellationToken)
        {
            isTaken = true;
            return plan is null
                ? fleet.own.StartAsync(spec, cancellationToken)
                : fleet.BeginAsync(plan, spec, cancellationToken);
        }

        public void Dispose()
        {
            if (!isTaken && plan is not null)
            {
                fleet.Release(plan);
            }
        }
    }
}

/// <summary>What an instance takes of the server's own machine beyond what is counted of every node.</summary>
/// <param name="Has">Whether there is room now.</param>
/// <param name="TakeAsync">Takes it, or waits for it.</param>
internal sealed record OwnRoom(Func<bool> Has, Func<CancellationToken, Task> TakeAsync);
