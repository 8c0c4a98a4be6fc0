namespace Berth.Benchmarks.Rigs;

/// <summary>How what is compared takes turns: often and for short, as a machine that others use too is as fast in one
/// second as in the next, but not in a minute.</summary>
internal static class Turns
{
    public const int Count = 9;
    public const int Seconds = 2;

    /// <summary>Median; of an even number of values the upper of the two. Sorts them.</summary>
    public static double Middle(List<double> values)
    {
        values.Sort();
        return values[values.Count / 2];
    }
}
