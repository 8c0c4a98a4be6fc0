using System.Text;

namespace Berth.Server.Metrics;

/// <summary>Writes docs/reference/metrics.md from the table of metrics.</summary>
public static class MetricsReference
{
    public static string Markdown()
    {
        StringBuilder text = new(
            """
            # Metrics

            `GET /metrics` tells these in Prometheus' text format. It needs a token (`Authorization: Bearer TOKEN`)
            unless the setting `metrics-open` is true. Generated from the program's own table. Counters begin at 0
            when the server starts.

            | Metric | Type | Labels | What it tells |
            |---|---|---|---|

            """);
        foreach (Metric metric in MetricCatalog.All)
        {
            string labels = string.Join(", ", metric.Labels.Select(l => $"`{l}`"));
            string type = metric.Type.ToString().ToLowerInvariant();
            text.Append($"| `{metric.Name}` | {type} | {labels} | {metric.Help} |\n");
        }

        return text.ToString();
    }
}
