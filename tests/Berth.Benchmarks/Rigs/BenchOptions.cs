namespace Berth.Benchmarks.Rigs;

/// <summary>What to measure and with which executable.</summary>
/// <param name="Berth">Path of the published executable.</param>
/// <param name="Work">An empty folder on the disk to measure on; removed at the end of each case.</param>
/// <param name="Scale">Of the cases whose counts can be made smaller, to try them; 1 for the goals' own.</param>
internal sealed record BenchOptions(IReadOnlyList<string> Cases, string Berth, string Work, double Scale)
{
    /// <summary>A count of a case; at least 2.</summary>
    public int Scaled(int count) => Math.Max(2, (int)(count * Scale));

    public static BenchOptions? Parse(string[] args, IEnumerable<string> known)
    {
        string berth = "out/berth";
        string work = Path.Combine(Path.GetTempPath(), $"berth-bench-{Environment.ProcessId}");
        double scale = 1;
        List<string> cases = [];
        for (int i = 0; i < args.Length; i++)
        {
            switch (args[i])
            {
                case "--berth" when i + 1 < args.Length:
                    berth = args[++i];
                    break;
                case "--work" when i + 1 < args.Length:
                    work = args[++i];
                    break;
                case "--scale" when i + 1 < args.Length:
                    scale = double.Parse(args[++i], System.Globalization.CultureInfo.InvariantCulture);
                    break;
                case "all":
                    cases.AddRange(known);
                    break;
                default:
                    cases.Add(args[i]);
                    break;
            }
        }

        bool valid = cases.Count > 0 && cases.All(known.Contains);
        return valid ? new BenchOptions(cases, Path.GetFullPath(berth), Path.GetFullPath(work), scale) : null;
    }
}

/// <summary>One measured figure beside its goal.</summary>
/// <param name="Value">Ours over the reference's, or an absolute figure where the goal is one.</param>
/// <param name="AtMost">Whether smaller is better.</param>
internal sealed record Figure(string What, double Value, double Goal, bool AtMost, string Detail)
{
    public bool Met => AtMost ? Value <= Goal : Value >= Goal;

    public override string ToString() =>
        $"{(Met ? "met   " : "MISSED")} {What}: {Value:0.###} (goal {(AtMost ? "≤" : "≥")} {Goal:0.###})  {Detail}";
}

/// <summary>Latencies in milliseconds.</summary>
internal sealed class Samples
{
    private readonly List<double> values = [];

    public int Count => values.Count;

    public double P50 => At(0.50);

    public double P99 => At(0.99);

    public void Add(TimeSpan duration) => values.Add(duration.TotalMilliseconds);

    public double At(double quantile)
    {
        values.Sort();
        return values[Math.Min(values.Count - 1, (int)(quantile * values.Count))];
    }

    public override string ToString() => $"p50 {P50:0.00} ms, p99 {P99:0.00} ms, n {Count}";
}
