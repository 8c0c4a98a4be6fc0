using System.Buffers;
using System.Globalization;
using System.Text.Json;
using Berth.Server.Metrics;

namespace Berth.Server.Telemetry;

/// <summary>The figures of /metrics in OTLP's JSON: the same names, cumulative since the server's start.</summary>
internal static class MetricDocument
{
    // AGGREGATION_TEMPORALITY_CUMULATIVE
    private const int Cumulative = 2;

    public static byte[] Write(MetricText figures, string node, DateTimeOffset started, DateTimeOffset now)
    {
        ArrayBufferWriter<byte> buffer = new();
        using (Utf8JsonWriter json = new(buffer))
        {
            using (OtlpJson.Begin(json, "resourceMetrics", "scopeMetrics", "metrics", node))
            {
                foreach (IGrouping<Metric, MetricSample> family in figures.Samples.GroupBy(s => s.Metric))
                {
                    WriteFamily(json, family.Key, family, OtlpJson.Nanoseconds(started), OtlpJson.Nanoseconds(now));
                }
            }
        }

        return buffer.WrittenSpan.ToArray();
    }

    private static void WriteFamily(
        Utf8JsonWriter json, Metric metric, IEnumerable<MetricSample> samples, string started, string now)
    {
        json.WriteStartObject();
        json.WriteString("name", metric.Name);
        json.WriteString("description", metric.Help);
        json.WriteStartObject(metric.Type switch
        {
            MetricType.Counter => "sum",
            MetricType.Gauge => "gauge",
            _ => "histogram",
        });
        if (metric.Type != MetricType.Gauge)
        {
            json.WriteNumber("aggregationTemporality", Cumulative);
        }

        if (metric.Type == MetricType.Counter)
        {
            json.WriteBoolean("isMonotonic", true);
        }

        json.WriteStartArray("dataPoints");
        foreach (MetricSample sample in samples)
        {
            json.WriteStartObject();
            json.WriteStartArray("attributes");
            foreach ((string label, string value) in metric.Labels.Zip(sample.Labels))
            {
                OtlpJson.Attribute(json, label, value);
            }

            json.WriteEndArray();
            json.WriteString("startTimeUnixNano", started);
            json.WriteString("timeUnixNano", now);
            WriteValue(json, sample);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static void WriteValue(Utf8JsonWriter json, MetricSample sample)
    {
        if (sample.Buckets is not { } counts)
        {
            json.WriteNumber("asDouble", sample.Value);
            return;
        }

        json.WriteString("count", counts[^1].ToString(CultureInfo.InvariantCulture));
        json.WriteNumber("sum", sample.Value);
        json.WriteStartArray("bucketCounts");
        long below = 0;
        foreach (long count in counts)
        {
            json.WriteStringValue((count - below).ToString(CultureInfo.InvariantCulture));
            below = count;
        }

        json.WriteEndArray();
        json.WriteStartArray("explicitBounds");
        foreach (double bound in Histogram.Bounds)
        {
            json.WriteNumberValue(bound);
        }

        json.WriteEndArray();
    }
}
