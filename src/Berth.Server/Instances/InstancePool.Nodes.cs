using Berth.Core.Errors;
using Berth.Core.Placement;

namespace Berth.Server.Instances;

/// <summary>The part of a pool that is about the nodes that its instances are on.</summary>
internal sealed partial class InstancePool
{
    /// <summary>Takes in how the nodes are: an instance on a silent one gets no calls, and one whose node takes nothing
    /// new goes on until another has its place. <see cref="Scale"/> does what follows from that.</summary>
    /// <param name="stateOf">How a node is, by name; null for the server's own.</param>
    public void Settle(Func<string?, NodeAvailability> stateOf)
    {
        Instance[] all;
        lock (gate)
        {
            all = [.. ready];
        }

        // Nodes have a lock of their own, which is not taken under this one.
        NodeAvailability[] states = [.. all.Select(i => stateOf(i.Live.Node))];
        bool isLeft = states.Any(IsClosed) && couldStart();
        lock (gate)
        {
            for (int i = 0; i < all.Length; i++)
            {
                all[i].IsSilent = states[i] is NodeAvailability.Suspect or NodeAvailability.Lost;
                all[i].IsLeaving = isLeft && IsClosed(states[i]);
            }

            Serve();
        }
    }

    /// <summary>What no node took before may be tried at once.</summary>
    public void Hope()
    {
        lock (gate)
        {
            if (trouble?.Code == ErrorCode.NoNode)
            {
                failures = 0;
                restUntil = TimeSpan.Zero;
            }
        }
    }

    private static bool IsClosed(NodeAvailability state) =>
        state is NodeAvailability.Cordoned or NodeAvailability.Draining;

    /// <summary>Those that others have come for get no more calls. The caller holds the gate.</summary>
    private void Relieve(List<Instance> surplus)
    {
        foreach (Instance instance in ready.Where(i => i is { IsLeaving: true, IsDraining: false }).ToArray())
        {
            instance.IsDraining = true;
            if (instance.Running == 0)
            {
                surplus.Add(instance);
            }
        }
    }
}
