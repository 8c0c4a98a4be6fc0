using System.Numerics;

namespace Berth.Core.Placement;

/// <summary>
/// What must be ended so that a request fits: batch runs of lower priority, on one node, and none of them that could be
/// spared. Of several nodes the one whose highest victim is lowest, then with the fewest, then the next in turn.
/// </summary>
internal sealed record Preemption(string Node, IReadOnlyList<PlacedRun> Evicted, IReadOnlyList<string> Gpus)
{
    /// <param name="candidates">Nodes that only lack room.</param>
    /// <param name="origin">Slot whose turn is first.</param>
    public static Preemption? Find(
        PlacementIndex index, ReadOnlySpan<ulong> candidates, PlacementRequest request, int origin)
    {
        if (!request.Evicts || !index.HasBatchBelow(request.Priority))
        {
            return null;
        }

        (int Highest, int Count, int Turn) least = (int.MaxValue, int.MaxValue, int.MaxValue);
        Preemption? best = null;
        for (int i = 0; i < candidates.Length; i++)
        {
            for (ulong word = candidates[i]; word != 0; word &= word - 1)
            {
                int slot = (i << 6) + BitOperations.TrailingZeroCount(word);
                if (Of(index.Slots[slot]!, request) is not { } found)
                {
                    continue;
                }

                int turn = slot - origin;
                (int, int, int) cost = (
                    found.Evicted.Max(run => run.Priority), found.Evicted.Count,
                    turn < 0 ? turn + index.Slots.Count : turn);
                if (cost.CompareTo(least) < 0)
                {
                    least = cost;
                    best = found;
                }
            }
        }

        return best;
    }

    /// <summary>On one node that lacks room; null where even all of them would not make enough.</summary>
    private static Preemption? Of(NodeEntry node, PlacementRequest request)
    {
        if (node.FreeMillicores + node.BatchMillicores < request.Resources.Millicores
            || node.FreeMemory + node.BatchMemory < request.Resources.Memory.Bytes)
        {
            return null;
        }

        // Those spared first are those that count most.
        List<PlacedRun> evicted =
        [
            .. node.Runs.Values.Select(held => held.Run)
                .Where(run => run.IsBatch && run.Priority < request.Priority)
                .OrderByDescending(run => run.Priority).ThenBy(run => run.Id, StringComparer.Ordinal),
        ];
        Room room = new(node, request, evicted);
        if (evicted.Count == 0 || !room.IsEnough)
        {
            return null;
        }

        foreach (PlacedRun run in evicted.ToArray())
        {
            room.Spare(run);
            if (room.IsEnough)
            {
                evicted.Remove(run);
            }
            else
            {
                room.Free(run);
            }
        }

        return new Preemption(node.Node.Name, evicted, room.Gpus);
    }

    /// <summary>What would be free.</summary>
    private sealed class Room
    {
        private readonly NodeEntry node;
        private readonly PlacementRequest request;
        private readonly GpuQuery? gpus;
        private readonly HashSet<string> freed = new(StringComparer.Ordinal);
        private long millicores;
        private long memory;
        private long disk;
        private int places;

        public Room(NodeEntry node, PlacementRequest request, IReadOnlyList<PlacedRun> evicted)
        {
            this.node = node;
            this.request = request;
            gpus = request.Gpus is null ? null : GpuQuery.Of(request);
            millicores = node.FreeMillicores;
            memory = node.FreeMemory;
            disk = node.FreeDisk;
            places = (node.Node.Places ?? int.MaxValue) - node.TakenPlaces;
            foreach (PlacedRun run in evicted)
            {
                Free(run);
            }
        }

        public bool IsEnough => millicores >= request.Resources.Millicores && (places > 0 || !request.TakesPlace)
            && memory >= request.Resources.Memory.Bytes && disk >= request.Resources.Disk.Bytes
            && gpus?.Fits(node, freed) != false;

        public IReadOnlyList<string> Gpus => gpus?.Choose(node, freed) ?? [];

        public void Free(PlacedRun run) => Change(run, +1);

        public void Spare(PlacedRun run) => Change(run, -1);

        private void Change(PlacedRun run, int sign)
        {
            millicores += sign * run.Resources.Millicores;
            memory += sign * run.Resources.Memory.Bytes;
            disk += sign * run.Resources.Disk.Bytes;
            places += run.TakesPlace ? sign : 0;
            foreach (string gpu in run.Gpus)
            {
                _ = sign > 0 ? freed.Add(gpu) : freed.Remove(gpu);
            }
        }
    }
}
