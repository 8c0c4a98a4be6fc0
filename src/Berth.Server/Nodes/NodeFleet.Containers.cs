using System.Collections.Concurrent;
using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Nodes;
using Berth.Core.Placement;
using Berth.Core.Resources;
using Berth.Core.Runs;

namespace Berth.Server.Nodes;

// Where containers go. They take memory of their node, as instances do, and no place: they last. What a container has
// on the server's own machine is not counted here, as ever.
internal sealed partial class NodeFleet
{
    /// <summary>Programs of containers that this server has on other nodes, by name.</summary>
    private readonly ConcurrentDictionary<string, int> containers = new(StringComparer.Ordinal);

    /// <summary>Where a container goes that has no files anywhere yet: the server's own machine where nothing else was
    /// asked for and that takes it. A server that has just begun waits for nodes that may have it. Throws
    /// <c>NoNode</c>.</summary>
    /// <returns>Null for the server's own.</returns>
    /// <param name="spec">Of its runs.</param>
    /// <param name="refusals">Nodes that refused it just now; null for none.</param>
    public async Task<string?> ChooseContainerAsync(
        RunSpec spec, NodeRefusals? refusals, CancellationToken cancellationToken)
    {
        IReadOnlyList<NodeConstraint> constraints = spec.Placement?.Constraints ?? [];
        try
        {
            return await ExpectAsync(
                constraints, () => Task.FromResult(ChooseContainer(spec, refusals)), cancellationToken);
        }
        catch (BerthException nowhere) when (nowhere.Code == ErrorCode.NoNode)
        {
            throw new BerthException(nowhere.Code, nowhere.Message + HowAreNamed(constraints), nowhere)
            {
                RetryAfter = nowhere.RetryAfter,
            };
        }
    }

    private string? ChooseContainer(RunSpec spec, NodeRefusals? refusals)
    {
        if (StaysHere(spec))
        {
            return null;
        }

        if (IsBound(spec) && spec.Placement is { } rules && FirstUnmetHere(rules) is { } unmet)
        {
            throw new BerthException(
                ErrorCode.InvalidRequest,
                $"The container has something of the server's own machine '{ownName}' (its network, one that is there "
                + $"alone, or a runtime), which does not meet '{unmet.Text}': leave one of the two "
                + "out.");
        }

        PlacementRequest request = ContainerRequest("", "", spec);
        request = refusals?.Beside(request) ?? request;
        if (IsHereFirst(spec, request))
        {
            return null;
        }

        string? node = index.Choice(request)
            ?? throw (refusals is { Any: true } ? refusals.End() : index.WhyNot(request));
        return node == ownName ? null : node;
    }

    /// <summary>Whether a container that can leave its node would find another now.</summary>
    public bool CouldMove(RunSpec spec, string from) => index.Choice(
        ContainerRequest("", "", spec) with
        {
            Constraints =
            [
                .. ContainerRequest("", "", spec).Constraints,
                NodeConstraint.Parse($"{NodeAttributes.Node}!={from}"),
            ],
        }) is not null;

    /// <summary>Whether a node has room for a container, as far as is known here.</summary>
    public bool HasRoom(RunSpec spec, string node)
    {
        PlacementRequest request = ContainerRequest("", "", spec);
        return index.Choice(request with { Constraints = [.. request.Constraints, On(node)] }) is not null;
    }

    /// <summary>Whether a node takes containers; where the server has just begun, once the node has dialled it.
    /// </summary>
    public async Task<bool> IsReadyAsync(string node, CancellationToken cancellationToken)
    {
        while (true)
        {
            Task changed = register.LinksChanged;
            TimeSpan left = register.DiallingLeft;
            bool isExpected = left > TimeSpan.Zero && register.ExpectsOne([On(node)]);
            bool isReady = index.StateOf(node) == NodeAvailability.Ready;
            if (isReady || !isExpected)
            {
                return isReady;
            }

            await Task.WhenAny(changed, Task.Delay(left, time, cancellationToken));
            cancellationToken.ThrowIfCancellationRequested();
        }
    }

    /// <summary>Takes room for a container's start until that is disposed or its program has ended. Throws
    /// <c>NoNode</c>.</summary>
    /// <param name="node">Where its files are; null for the server's own machine.</param>
    public async Task<InstancePlace> ReserveContainerAsync(
        Run run, string? node, CancellationToken cancellationToken)
    {
        if (node is null)
        {
            return new InstancePlace(this, null);
        }

        PlacementRequest request = ContainerRequest(IdOf(run), run.Caller, run.Spec);
        request = request with { Constraints = [.. request.Constraints, On(node)] };
        return new InstancePlace(
            this,
            await ExpectAsync(
                [On(node)], () => index.PlaceAsync(request, mayWait: false, cancellationToken), cancellationToken));
    }

    /// <summary>Counts a container that a server before this one left on its node, as far as there is room.</summary>
    public async Task AdoptAsync(Run run, RemoteContainer container, CancellationToken cancellationToken)
    {
        PlacementRequest request = ContainerRequest(IdOf(run), run.Caller, run.Spec) with
        {
            Constraints = [On(container.Node)],
            Tolerations = [],
            Evicts = false,
        };
        try
        {
            Keep(container, await index.PlaceAsync(request, mayWait: false, cancellationToken));
        }
        catch (BerthException none) when (none.Code == ErrorCode.NoNode)
        {
            // It runs there all the same, be the node cordoned or full.
            Keep(container, null);
        }
    }

    private static NodeConstraint On(string node) => NodeConstraint.Parse($"{NodeAttributes.Node}={node}");

    /// <summary>For people: how those nodes are that were asked for by their names, where they take nothing.</summary>
    private string HowAreNamed(IReadOnlyList<NodeConstraint> constraints) => string.Concat(constraints
        .Where(c => c is { Key: NodeAttributes.Node, Kind: ConstraintKind.In })
        .SelectMany(c => c.Values).Distinct(StringComparer.Ordinal).Select(name => register.Find(name) switch
        {
            null => $" There is no node '{name}'.",
            { IsOwn: false, Record.IsServers: true } =>
                $" The node '{name}' is another server's own machine: that server runs what is to be there.",
            { IsOwn: false, Availability: NodeAvailability.Lost } node =>
                $" The node '{name}' is {register.StateOf(node)}: it has no link to this server.",
            { Record.IsCordoned: true } => $" The node '{name}' is cordoned.",
            _ => "",
        }));

    private bool StaysHere(RunSpec spec) => spec.Placement is null
        && (IsBound(spec) || spec.HostFolders.Any() || index.IsOwnAlone) && !HasVolumeElsewhere(spec);

    private bool HasVolumeElsewhere(RunSpec spec) =>
        spec.Volumes.Any(name => Volumes?.Find(name)?.Node is { } home && home != ownName);

    /// <summary>Nothing was said, and there is room here.</summary>
    private bool IsHereFirst(RunSpec spec, PlacementRequest request) =>
        spec.Placement is not { Constraints.Count: > 0 } and not { Spread: not null }
        && index.Choice(request with { Constraints = [.. request.Constraints, .. here] }) is not null;

    private PlacementRequest ContainerRequest(string id, string caller, RunSpec spec)
    {
        PlacementRequest request = RequestOf(id, caller, spec);
        return request with
        {
            Resources = new NodeResources(0, request.Resources.Memory, default),
            Features = [.. request.Features, NodeSnapshots.Containers],
            TakesPlace = false,
        };
    }

    /// <summary>Counts it on its node until it has ended.</summary>
    private void Keep(RemoteContainer container, PlacementPlan? plan)
    {
        containers.AddOrUpdate(container.Node, 1, static (_, count) => count + 1);
        if (plan is not null)
        {
            placed[container] = plan;
            _ = ForgetContainerAsync(container);
        }

        _ = LeaveAsync(container);
    }

    /// <summary>The room of a program that has ended, which its next start is to have; null where it had none. Who does
    /// not take it disposes it.</summary>
    public InstancePlace? KeepRoom(RemoteContainer container) =>
        placed.TryRemove(container, out PlacementPlan? plan) ? new InstancePlace(this, plan) : null;

    private async Task ForgetContainerAsync(RemoteContainer container)
    {
        await container.Disposed.Task;
        KeepRoom(container)?.Dispose();
    }

    private async Task LeaveAsync(RemoteContainer container)
    {
        await container.Completion;
        containers.AddOrUpdate(container.Node, 0, static (_, count) => count - 1);
    }
}
