using Berth.Core.Resources;

namespace Berth.Core.Scaling;

/// <summary>A revision that wants one more instance.</summary>
/// <param name="Each">Bytes that it is expected to take.</param>
/// <param name="Own">Bytes that its instances have.</param>
/// <param name="Count">Its instances, those being started among them.</param>
/// <param name="IsWaitedFor">Whether a call waits for it, or a deployment.</param>
public readonly record struct MemoryClaim(long Each, long Own, int Count, bool IsWaitedFor);

/// <summary>Another revision that has instances.</summary>
/// <param name="Bytes">Of all of them.</param>
/// <param name="Count">Those that are not ending.</param>
/// <param name="Idle">Of those, without calls and not kept by its settings.</param>
public readonly record struct MemoryHolder(long Bytes, int Count, int Idle);

public enum MemoryStep
{
    /// <summary>There is room.</summary>
    Start,

    /// <summary>What it takes is on its way, or nobody has to give way for it.</summary>
    Wait,

    /// <summary>Another one has to give an instance up.</summary>
    GiveUp,
}

/// <param name="Holder">Which of the holders gives one up; of no meaning otherwise.</param>
public readonly record struct MemoryVerdict(MemoryStep Step, int Holder);

/// <summary>
/// Shares the memory of all instances among revisions. An eighth is kept for first instances, so that however one
/// grows, another comes up; past that the richest gives up an idle instance, and for a first instance also one that has
/// calls, which then ends with its last. Pure.
/// </summary>
public static class MemoryShare
{
    private const int ReservedPart = 8;

    /// <summary>Three quarters of a machine's memory.</summary>
    public static ByteSize DefaultBudget(ByteSize machine) => ByteSize.FromBytes(machine.Bytes / 4 * 3);

    /// <summary>What second and further instances may fill.</summary>
    public static long Shared(long budget) => budget - (budget / ReservedPart);

    /// <param name="used">Bytes of all instances.</param>
    /// <param name="leaving">Of those, of instances that end.</param>
    /// <param name="busy">Of those that end, of the ones that have calls, for however long.</param>
    /// <param name="budget">Bytes that all may have.</param>
    public static MemoryVerdict Decide(
        MemoryClaim claim, IReadOnlyList<MemoryHolder> others, long used, long leaving, long busy, long budget)
    {
        bool isFirst = claim is { Count: 0, IsWaitedFor: true };
        long room = isFirst ? budget : Shared(budget);
        // One alone may be larger than all are to be: refused, it never ran.
        if (used == 0 || used + claim.Each <= room)
        {
            return new MemoryVerdict(MemoryStep.Start, -1);
        }

        if (!claim.IsWaitedFor || used - (leaving - busy) + claim.Each <= room)
        {
            return new MemoryVerdict(MemoryStep.Wait, -1);
        }

        // An idle one ends now; a call that one ends with may last.
        int giver = Richest(others, h => h.Idle > 0 && (isFirst || h.Bytes > claim.Own + claim.Each));
        if (giver < 0 && isFirst && used - leaving + claim.Each > room)
        {
            giver = Richest(others, h => h.Count > 1);
        }

        return new MemoryVerdict(giver < 0 ? MemoryStep.Wait : MemoryStep.GiveUp, giver);
    }

    private static int Richest(IReadOnlyList<MemoryHolder> holders, Func<MemoryHolder, bool> gives)
    {
        int richest = -1;
        for (int i = 0; i < holders.Count; i++)
        {
            if (gives(holders[i]) && (richest < 0 || holders[i].Bytes > holders[richest].Bytes))
            {
                richest = i;
            }
        }

        return richest;
    }
}
