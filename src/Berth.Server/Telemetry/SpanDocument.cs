using System.Buffers;
using System.Text.Json;
using Berth.Core.Runs;
using Berth.Server.Calls;
using Berth.Server.Hosting;

namespace Berth.Server.Telemetry;

/// <summary>
/// Ended runs as spans, in OTLP's JSON: one for the run, in the caller's trace, and one for each phase of its last
/// attempt. All is read from the run's record; nothing is measured for it while the run is under way.
/// </summary>
internal static class SpanDocument
{
    /// <summary>Variables of a run that say where in which trace it is.</summary>
    public const string TraceVariable = "TRACEPARENT";

    public const string CallerSpanVariable = "BERTH_PARENT_SPAN";

    public const string StateVariable = "TRACESTATE";

    // Numbers of SpanKind and StatusCode in the protocol.
    private const int Internal = 1;
    private const int Server = 2;
    private const int Consumer = 5;
    private const int Good = 1;
    private const int Failed = 2;

    public static byte[] Write(IReadOnlyList<Run> runs, string node)
    {
        ArrayBufferWriter<byte> buffer = new();
        using (Utf8JsonWriter json = new(buffer))
        {
            using (OtlpJson.Begin(json, "resourceSpans", "scopeSpans", "spans", node))
            {
                foreach (Run run in runs)
                {
                    WriteRun(json, run);
                }
            }
        }

        return buffer.WrittenSpan.ToArray();
    }

    private static void WriteRun(Utf8JsonWriter json, Run run)
    {
        TraceContext trace = TraceContext.From(run.Spec.Environment.GetValueOrDefault(TraceVariable), null);
        // The program was told this span as its parent.
        string span = trace.CallerSpan ?? trace.SpanId;
        DateTimeOffset ended = run.EndedAt ?? run.CreatedAt;
        BeginSpan(
            json, trace.TraceId, span, run.Spec.Environment.GetValueOrDefault(CallerSpanVariable),
            $"{NameOf(run.Kind)} {run.Spec.Image}", run.Kind == RunKind.Call ? Server : Consumer, run.CreatedAt, ended);
        json.WriteStartArray("attributes");
        OtlpJson.Attribute(json, "berth.run.id", run.Id.Text);
        OtlpJson.Attribute(json, "berth.run.kind", NameOf(run.Kind));
        OtlpJson.Attribute(json, "berth.image", run.Spec.Image);
        OtlpJson.Attribute(json, "berth.image.digest", run.Spec.Digest.Text);
        OtlpJson.Attribute(json, "berth.caller", run.Caller);
        OtlpJson.Attribute(json, "berth.attempts", run.Attempts);
        if (run.End is { } end)
        {
            OtlpJson.Attribute(json, "berth.reason", RunAnswer.NameOf(end.Reason));
            OtlpJson.Attribute(json, "berth.cpu_ms", (long)(end.Usage.CpuUser + end.Usage.CpuSystem).TotalMilliseconds);
            OtlpJson.Attribute(json, "berth.bytes_in", end.Usage.BytesIn);
            OtlpJson.Attribute(json, "berth.bytes_out", end.Usage.BytesOut);
            if (end.ExitCode is { } code)
            {
                OtlpJson.Attribute(json, "process.exit.code", code);
            }
        }

        json.WriteEndArray();
        json.WriteStartObject("status");
        json.WriteNumber("code", run.State == RunState.Succeeded ? Good : Failed);
        if (run.State != RunState.Succeeded && run.End?.Detail is { } detail)
        {
            json.WriteString("message", detail);
        }

        json.WriteEndObject();
        json.WriteEndObject();
        WritePhases(json, run, trace.TraceId, span);
    }

    /// <summary>They follow each other without gaps and end where the program began, and with it.</summary>
    private static void WritePhases(Utf8JsonWriter json, Run run, string trace, string parent)
    {
        if (run.StartedAt is not { } started)
        {
            return;
        }

        DateTimeOffset prepared = started - run.Timings.Start;
        DateTimeOffset placed = prepared - run.Timings.Prepare;
        Phase("place", placed - run.Timings.Queue, placed);
        Phase("prepare", placed, prepared);
        Phase("start", prepared, started);
        Phase("program", started, started + run.Timings.Run);

        void Phase(string name, DateTimeOffset from, DateTimeOffset to)
        {
            BeginSpan(json, trace, TraceContext.NewSpanId(), parent, name, Internal, from, to);
            json.WriteEndObject();
        }
    }

    private static void BeginSpan(
        Utf8JsonWriter json, string trace, string span, string? parent, string name, int kind, DateTimeOffset from,
        DateTimeOffset to)
    {
        json.WriteStartObject();
        json.WriteString("traceId", trace);
        json.WriteString("spanId", span);
        if (parent is not null)
        {
            json.WriteString("parentSpanId", parent);
        }

        json.WriteString("name", name);
        json.WriteNumber("kind", kind);
        json.WriteString("startTimeUnixNano", OtlpJson.Nanoseconds(from));
        json.WriteString("endTimeUnixNano", OtlpJson.Nanoseconds(to));
    }

    private static string NameOf(RunKind kind) => kind == RunKind.Call ? "call" : "task";
}
