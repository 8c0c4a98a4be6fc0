using System.Collections.Concurrent;
using Berth.Api.Nodes;
using Berth.Core.Containers;
using Berth.Core.Errors;
using Berth.Core.Placement;
using Berth.Core.Runs;
using Berth.Server.Containers;

namespace Berth.Server.Nodes;

// Named volumes: what has one goes to the machine that has it, and one that is new becomes the machine's.
internal sealed partial class NodeFleet
{
    /// <summary>Volumes of what was placed, by attempt, until it is released.</summary>
    private readonly ConcurrentDictionary<string, VolumeHold> having = new(StringComparer.Ordinal);

    /// <summary>What has volumes and was placed from here.</summary>
    public VolumeUsers VolumeUsers { get; } = new();

    /// <summary>Which node has which volume; set before anything runs.</summary>
    public VolumeHomes? Volumes
    {
        get;
        set
        {
            field = value;
            index.VolumesOn = value!.On;
            value.Changed = names =>
            {
                foreach (NodeEntry node in names.Select(register.Find).OfType<NodeEntry>())
                {
                    register.Note(node);
                }
            };
        }
    }

    /// <summary>Whether the server's own node is the only one.</summary>
    public bool IsAlone => index.IsOwnAlone;

    /// <summary>Name of a node that may have a new volume and meets the rules. Throws <c>NoNode</c>, which says who
    /// refused it for what.</summary>
    public async Task<string> ChooseForVolumeAsync(
        string name, string caller, PlacementRules rules, CancellationToken cancellationToken)
    {
        PlacementRequest request = new($"volume {name}", caller, default)
        {
            Constraints = rules.Constraints,
            Tolerations = rules.Tolerations,
            Features = [NodeSnapshots.Mounts],
            Strategy = PlacementStrategy.Spread,
            TakesPlace = false,
            Evicts = false,
        };
        PlacementPlan plan = await index.PlaceAsync(request, mayWait: false, cancellationToken);
        index.Release(plan.Node!, request.Id);
        return plan.Node!;
    }

    /// <summary>Volumes that are new become the chosen node's. Where another server was faster with one, the attempt
    /// goes where that is.</summary>
    /// <param name="place">Chooses a node, by what is known of volumes then.</param>
    private async Task<PlacementPlan> PlaceAsync(
        Run run, Func<Task<PlacementPlan>> place, CancellationToken cancellationToken)
    {
        // By name: two servers that are first with the same volumes then don't divide them.
        string[] names = [.. run.Spec.Volumes.Order(StringComparer.Ordinal)];
        IReadOnlyList<NodeConstraint> constraints = run.Spec.Placement?.Constraints ?? [];
        if (names.Length == 0)
        {
            return await ExpectAsync(constraints, place, cancellationToken);
        }

        IDisposable? hold = VolumeUsers.Take(names);
        try
        {
            while (true)
            {
                PlacementPlan plan = await ExpectAsync(constraints, place, cancellationToken);
                bool stays = false;
                try
                {
                    stays = await SettleAsync(run, names, plan.Node!, cancellationToken);
                }
                finally
                {
                    if (!stays)
                    {
                        index.Release(plan.Node!, plan.Request.Id);
                    }
                }

                if (stays)
                {
                    having[plan.Request.Id] = new VolumeHold(hold, names, plan.Node!, run.Caller);
                    hold = null;
                    return plan;
                }
            }
        }
        catch (BerthException refusal) when (refusal.Code == ErrorCode.NoNode)
        {
            throw new BerthException(refusal.Code, refusal.Message + WhereAre(names), refusal)
            {
                RetryAfter = refusal.RetryAfter,
            };
        }
        finally
        {
            hold?.Dispose();
        }
    }

    /// <summary>Whether all of them are that node's, those among them that were nobody's before.</summary>
    private async Task<bool> SettleAsync(Run run, string[] names, string node, CancellationToken cancellationToken)
    {
        VolumeHomes homes = Volumes ?? throw new InvalidOperationException("Nothing keeps volumes here.");
        foreach (string name in names)
        {
            if ((await homes.SettleAsync(name, node, run.Caller, cancellationToken)).Node != node)
            {
                return false;
            }
        }

        return true;
    }

    private void Release(PlacementPlan plan)
    {
        index.Release(plan.Node!, plan.Request.Id);
        if (having.TryRemove(plan.Request.Id, out VolumeHold? held))
        {
            held.Hold.Dispose();
        }
    }

    /// <summary>Another server may have removed a volume before it could know of a use that this one began: then the
    /// use made it again, and so does this.</summary>
    public async Task ReclaimVolumesAsync(CancellationToken cancellationToken)
    {
        foreach (VolumeHold held in having.Values)
        {
            foreach (string name in held.Names.Where(n => Volumes?.Find(n) is null))
            {
                await Volumes!.SettleAsync(name, held.Node, held.Caller, cancellationToken);
            }
        }
    }

    /// <summary>For people: which node has each, and how that is.</summary>
    private string WhereAre(string[] names) => string.Concat(names.Select(name => Volumes?.Find(name)?.Node switch
    {
        null => "",
        { } node => $" The volume '{name}' is on node {node}{HowIs(node)}.",
    }));

    private string HowIs(string name) => register.Find(name) switch
    {
        null => ", which there is no more",
        { IsOwn: false, Record.IsServers: true } => ", another server's own machine: that server runs what uses it",
        { Availability: not NodeAvailability.Ready } node => $", which is {register.StateOf(node)}",
        { Record.IsCordoned: true } => ", which is cordoned",
        _ => "",
    };

    private sealed record VolumeHold(IDisposable Hold, string[] Names, string Node, string Caller);
}
