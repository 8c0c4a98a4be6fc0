using System.Globalization;
using System.Text;

namespace Berth.Server.Metrics;

/// <summary>One figure of a family.</summary>
/// <param name="Value">Of a histogram, the sum of what was recorded.</param>
/// <param name="Buckets">Of a histogram, its cumulative counts.</param>
internal sealed record MetricSample(Metric Metric, string[] Labels, double Value, long[]? Buckets);

/// <summary>Gathers figures; writes them in Prometheus' text format 0.0.4.</summary>
internal sealed class MetricText
{
    public const string MediaType = "text/plain; version=0.0.4; charset=utf-8";

    private readonly StringBuilder text = new(16 * 1024);
    private readonly List<MetricSample> samples = [];
    private Metric? current;
    private bool isNamed;

    /// <summary>Everything gathered, in order.</summary>
    public IReadOnlyList<MetricSample> Samples => samples;

    /// <summary>Begins a family; its samples must follow before the next family begins.</summary>
    public MetricText Begin(Metric metric)
    {
        current = metric;
        isNamed = false;
        return this;
    }

    public MetricText Sample(double value, params ReadOnlySpan<string> labels)
    {
        Line("", labels, null, value);
        samples.Add(new MetricSample(current!, labels.ToArray(), value, null));
        return this;
    }

    /// <summary>A family of one sample without labels.</summary>
    public void Single(Metric metric, double value) => Begin(metric).Sample(value);

    public void Sample(Histogram histogram, params ReadOnlySpan<string> labels)
    {
        long[] counts = histogram.Cumulative();
        for (int i = 0; i < Histogram.Bounds.Length; i++)
        {
            Line("_bucket", labels, Format(Histogram.Bounds[i]), counts[i]);
        }

        Line("_bucket", labels, "+Inf", counts[^1]);
        Line("_sum", labels, null, histogram.Sum);
        Line("_count", labels, null, counts[^1]);
        samples.Add(new MetricSample(current!, labels.ToArray(), histogram.Sum, counts));
    }

    public override string ToString() => text.ToString();

    /// <summary>With the first sample: of what there is nothing to tell of, nothing is told.</summary>
    private void Name(Metric metric)
    {
        string help = metric.Help
            .Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\n", "\\n", StringComparison.Ordinal);
        text.Append("# HELP ").Append(metric.Name).Append(' ').Append(help);
        text.Append("\n# TYPE ").Append(metric.Name).Append(' ');
        text.Append(metric.Type.ToString().ToLowerInvariant()).Append('\n');
        isNamed = true;
    }

    private void Line(string suffix, ReadOnlySpan<string> labels, string? bound, double value)
    {
        Metric metric = current ?? throw new InvalidOperationException("No family was begun.");
        if (!isNamed)
        {
            Name(metric);
        }

        if (labels.Length != metric.Labels.Length)
        {
            throw new InvalidOperationException(
                $"{metric.Name} has {metric.Labels.Length} labels, not {labels.Length}.");
        }

        text.Append(metric.Name).Append(suffix);
        char separator = '{';
        for (int i = 0; i < labels.Length; i++)
        {
            Label(separator, metric.Labels[i], labels[i]);
            separator = ',';
        }

        if (bound is not null)
        {
            Label(separator, "le", bound);
            separator = ',';
        }

        text.Append(separator == '{' ? "" : "}").Append(' ').Append(Format(value)).Append('\n');
    }

    private void Label(char separator, string name, string value) =>
        text.Append(separator).Append(name).Append("=\"").Append(value
            .Replace("\\", "\\\\", StringComparison.Ordinal)
            .Replace("\"", "\\\"", StringComparison.Ordinal)
            .Replace("\n", "\\n", StringComparison.Ordinal)).Append('"');

    private static string Format(double value) => value.ToString("R", CultureInfo.InvariantCulture);
}
