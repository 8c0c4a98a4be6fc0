namespace Berth.Simulation.Sizes;

/// <summary>Replays sizes and prints a row each.</summary>
internal static class SizeReport
{
    private const int Nodes = 10_000;
    private const int Cores = 10;
    private const long DayOfCalls = 16_000_000;

    /// <param name="shares">One: of each replay's time, to try it; 1 for all of it.</param>
    public static int Print(IEnumerable<double> shares)
    {
        double share = shares.FirstOrDefault(1);
        foreach (SizeCase of in Cases())
        {
            SizeResult result = new SizeReplay(
                of with { Calls = (long)(of.Calls * share), Time = of.Time * share }, seed: 1).Run();
            Console.WriteLine(
                $"{of.Name}: {result.Placed:N0} calls in {of.Time * share}, {result.Rate:N0} placements a second, "
                + $"waited p50 {Milliseconds(result.Waits.At(0.5))}, p99 {Milliseconds(result.Waits.At(0.99))}, "
                + $"cores busy {result.Utilisation:P1} (peak {result.Peak:P1}), "
                + $"{result.Delayed:N0} times no room for the next");
        }

        return 0;
    }

    private static IEnumerable<SizeCase> Cases() =>
    [
        new("a day of 16 million calls", Nodes, Cores, DayOfCalls, TimeSpan.FromDays(1), Swing: 0.8),
        new("the same within an hour", Nodes, Cores, DayOfCalls, TimeSpan.FromHours(1), Swing: 0.8),
        new("a minute at nine tenths of all cores", Nodes, Cores, 36_000 * 60, TimeSpan.FromMinutes(1), Swing: 0),
        new("a minute of more than there is room for", Nodes, Cores, 42_000 * 60, TimeSpan.FromMinutes(1), Swing: 0),
    ];

    private static string Milliseconds(double seconds) => $"{seconds * 1000:0.###} ms";
}
