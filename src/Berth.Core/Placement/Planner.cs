namespace Berth.Core.Placement;

/// <summary>Places what waits, in the order in which it is owed.</summary>
public static class Planner
{
    /// <summary>A whole decision from a snapshot: for few nodes, and for tests.</summary>
    /// <returns>A plan for each request, in the order in which they were decided.</returns>
    public static IReadOnlyList<PlacementPlan> Plan(
        IReadOnlyList<NodeSnapshot> nodes, IReadOnlyList<PlacementRequest> requests, ulong seed)
    {
        PlacementIndex index = new(seed);
        foreach (NodeSnapshot node in nodes)
        {
            index.Update(node);
        }

        PlacementQueue queue = new(index.Shares);
        foreach (PlacementRequest request in requests)
        {
            queue.Add(request);
        }

        return Round(index, queue, requests.Count);
    }

    /// <summary>One round of a pass: up to <paramref name="most"/> requests are decided. What found no node goes back
    /// to the queue when the round is over; it keeps nobody behind it from being looked at.</summary>
    public static IReadOnlyList<PlacementPlan> Round(PlacementIndex index, PlacementQueue queue, int most)
    {
        List<PlacementPlan> plans = [];
        while (plans.Count < most && queue.Take() is { } request)
        {
            plans.Add(index.Place(request));
        }

        for (int i = plans.Count - 1; i >= 0; i--)
        {
            if (plans[i].Node is null)
            {
                queue.Return(plans[i].Request);
            }
        }

        return plans;
    }
}
