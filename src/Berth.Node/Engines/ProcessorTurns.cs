namespace Berth.Node.Engines;

/// <summary>
/// Which processor each of several programs is bound to that run at the same time and have a few threads each. While
/// there is a processor for each of them, they have all: that ends each sooner. From there on one processor each takes
/// less of both: threads that wake each other do so without interrupting another processor.
/// </summary>
/// <param name="processors">Their numbers.</param>
internal sealed class ProcessorTurns(IReadOnlyList<int> processors)
{
    private readonly Lock gate = new();
    private readonly int[] bound = new int[processors.Count];
    private int all;

    /// <summary>One more runs until what it got is given back.</summary>
    /// <returns>Null for one that has all processors; else the number of the one with the fewest so far.</returns>
    public int? Take()
    {
        lock (gate)
        {
            if (all++ < processors.Count)
            {
                return null;
            }

            int fewest = Array.IndexOf(bound, bound.Min());
            bound[fewest]++;
            return processors[fewest];
        }
    }

    /// <param name="processor">As <see cref="Take"/> told it.</param>
    public void Return(int? processor)
    {
        lock (gate)
        {
            all--;
            for (int i = 0; i < bound.Length; i++)
            {
                bound[i] -= processors[i] == processor ? 1 : 0;
            }
        }
    }
}
