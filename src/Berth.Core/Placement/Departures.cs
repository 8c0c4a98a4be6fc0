using Berth.Core.Resources;

namespace Berth.Core.Placement;

/// <summary>
/// What is being ended for something else and is not over yet. The room that it leaves belongs to what it is ended for
/// from the decision on; what it has beyond that is nobody's until it is over. Not thread-safe: the index's owner.
/// </summary>
public sealed class Departures(PlacementIndex index)
{
    /// <summary>What leaves, by its id.</summary>
    private readonly Dictionary<string, (PlacementPlan Plan, PlacedRun Run)> leaving = new(StringComparer.Ordinal);

    /// <summary>What they leave for, by its id, with how many are still there.</summary>
    private readonly Dictionary<string, (PlacementPlan Plan, int Left)> causes = new(StringComparer.Ordinal);

    public int Count => leaving.Count;

    /// <summary>To be called at once with a plan that evicts, when the index has taken it in.</summary>
    public void Begin(PlacementPlan plan)
    {
        if (index.Entry(plan.Node!) is not { } entry)
        {
            return;
        }

        causes[plan.Request.Id] = (plan, plan.Evicted.Count);
        foreach (PlacedRun run in plan.Evicted)
        {
            leaving[run.Id] = (plan, run);
            index.Add(plan.Node!, new PlacedRun(
                Mark(run.Id), run.Tenant,
                new NodeResources(
                    Least(run.Resources.Millicores, entry.FreeMillicores),
                    ByteSize.FromBytes(Least(run.Resources.Memory.Bytes, entry.FreeMemory)),
                    ByteSize.FromBytes(Least(run.Resources.Disk.Bytes, entry.FreeDisk))),
                run.Priority, IsBatch: false, Group: null, [.. run.Gpus.Except(plan.Gpus, StringComparer.Ordinal)],
                run.TakesPlace && entry.HasPlace));
        }
    }

    /// <summary>Something is over. Returns what it left for where nothing else is left of that; null otherwise, also
    /// where it was not leaving.</summary>
    public PlacementPlan? End(string id)
    {
        if (!leaving.Remove(id, out (PlacementPlan Plan, PlacedRun Run) gone))
        {
            return null;
        }

        index.Release(gone.Plan.Node!, Mark(id));
        string cause = gone.Plan.Request.Id;
        int left = causes[cause].Left - 1;
        if (left > 0)
        {
            causes[cause] = (gone.Plan, left);
            return null;
        }

        causes.Remove(cause);
        return gone.Plan;
    }

    /// <summary>What things are ended for is no longer placed. Those that are not over yet are counted again until they
    /// are. Returns whether there were any.</summary>
    public bool Cancel(string id)
    {
        if (!causes.Remove(id, out (PlacementPlan Plan, int Left) cause))
        {
            return false;
        }

        foreach (PlacedRun run in cause.Plan.Evicted)
        {
            if (leaving.TryGetValue(run.Id, out (PlacementPlan Plan, PlacedRun Run) entry)
                && ReferenceEquals(entry.Plan, cause.Plan))
            {
                leaving.Remove(run.Id);
                index.Release(cause.Plan.Node!, Mark(run.Id));
                index.Add(cause.Plan.Node!, run);
            }
        }

        return true;
    }

    private static string Mark(string id) => "leaving " + id;

    private static long Least(long has, long free) => Math.Clamp(free, 0, has);
}
