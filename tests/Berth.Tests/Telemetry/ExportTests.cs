using System.Text.Json;
using Berth.Testing.Server;
using Berth.Tests.Server;
using Xunit;

namespace Berth.Tests.Telemetry;

/// <summary>What an OTLP collector is told of runs and figures, and that nobody waits for it.</summary>
public sealed class ExportTests
{
    private const string Trace = "0af7651916cd43dd8448eb211c80319c";
    private const string CallerSpan = "b7ad6b7169203331";

    [Fact]
    public async Task A_call_is_a_span_in_the_callers_trace_with_its_phases_below_it()
    {
        await using Collector collector = await Collector.StartAsync();
        await using ServerRig rig = await StartAsync(collector);
        using HttpRequestMessage request = ServerRig.Call(
            ["env"], null, "call", ("traceparent", $"00-{Trace}-{CallerSpan}-01"));

        using HttpResponseMessage answer = await rig.SendAsync(request);
        string told = (await answer.Content.ReadAsStringAsync(TestContext.Current.CancellationToken)).Trim();
        await Eventually.HoldsAsync("five spans arrive", () => Spans(collector).Count == 5);

        List<JsonElement> spans = Spans(collector);
        JsonElement call = spans.Single(s => Text(s, "name") == $"call {ServerRig.Image}");
        Assert.All(spans, s => Assert.Equal(Trace, Text(s, "traceId")));
        Assert.Equal(CallerSpan, Text(call, "parentSpanId"));
        Assert.Equal(1, call.GetProperty("status").GetProperty("code").GetInt32());
        Assert.Contains(Text(call, "spanId"), told, StringComparison.Ordinal);
        Assert.Equal(
            ["place", "prepare", "start", "program"],
            spans.Where(s => Text(s, "parentSpanId") == Text(call, "spanId"))
                .OrderBy(s => long.Parse(Text(s, "startTimeUnixNano"))).Select(s => Text(s, "name")));
        Assert.All(collector.Messages, m => Assert.Equal("secret", m.Key));
        Assert.All(
            collector.Messages, m => Assert.Contains(m.Path, (string[])["/v1/traces", "/v1/metrics"]));
    }

    [Fact]
    public async Task A_failed_task_is_a_span_with_its_reason()
    {
        await using Collector collector = await Collector.StartAsync();
        await using ServerRig rig = await StartAsync(collector);
        using HttpRequestMessage request = ServerRig.Call(["false"], null, "tasks");

        using HttpResponseMessage answer = await rig.SendAsync(request);
        await Eventually.HoldsAsync("its span arrives", () => Spans(collector).Count > 0);

        JsonElement task = Spans(collector)[0];
        Assert.Equal(2, task.GetProperty("status").GetProperty("code").GetInt32());
        Assert.NotEqual("completed", Attribute(task, "berth.reason"));
        Assert.False(task.TryGetProperty("parentSpanId", out _));
    }

    [Fact]
    public async Task Figures_are_those_of_the_metrics_page()
    {
        await using Collector collector = await Collector.StartAsync();
        await using ServerRig rig = await StartAsync(collector);
        await Eventually.HoldsAsync("figures arrive", () => Metrics(collector).Any());

        string page = await rig.Client.GetStringAsync("/metrics", TestContext.Current.CancellationToken);
        List<JsonElement> metrics = [.. Metrics(collector)];
        string[] names = [.. metrics.Select(m => Text(m, "name")).Distinct()];
        JsonElement phases = metrics.First(m => Text(m, "name") == "berth_run_duration_seconds")
            .GetProperty("histogram");

        Assert.Equal(page.Split("# TYPE ").Skip(1).Select(p => p.Split(' ')[0]).Order(), names.Order());
        Assert.All(
            phases.GetProperty("dataPoints").EnumerateArray(),
            p => Assert.Equal(
                p.GetProperty("explicitBounds").GetArrayLength() + 1, p.GetProperty("bucketCounts").GetArrayLength()));
    }

    [Fact]
    public async Task A_collector_that_fails_costs_spans_and_no_call()
    {
        await using Collector collector = await Collector.StartAsync();
        collector.Status = 503;
        await using ServerRig rig = await StartAsync(collector);
        for (int i = 0; i < 20; i++)
        {
            using HttpRequestMessage request = ServerRig.Call(["true"]);
            using HttpResponseMessage answer = await rig.SendAsync(request);
            Assert.True(answer.IsSuccessStatusCode);
        }

        await Eventually.HoldsAsync("they are counted", () => rig.Server.Rooms.Telemetry.Dropped == 20);

        Assert.Contains(
            "berth_otlp_runs_total{outcome=\"dropped\"} 20",
            await rig.Client.GetStringAsync("/metrics", TestContext.Current.CancellationToken),
            StringComparison.Ordinal);
    }

    private static Task<ServerRig> StartAsync(Collector collector) => ServerRig.StartAsync(o => o with
    {
        OtlpEndpoint = collector.Address,
        OtlpHeaders = [new("x-key", "secret")],
        OtlpInterval = TimeSpan.FromSeconds(1),
    });

    private static List<JsonElement> Spans(Collector collector) =>
        [.. collector.All("resourceSpans", "scopeSpans", "spans")];

    private static IEnumerable<JsonElement> Metrics(Collector collector) =>
        collector.All("resourceMetrics", "scopeMetrics", "metrics");

    private static string Text(JsonElement element, string name) => element.GetProperty(name).GetString()!;

    private static string Attribute(JsonElement span, string key) => Text(
        span.GetProperty("attributes").EnumerateArray().Single(a => Text(a, "key") == key).GetProperty("value"),
        "stringValue");
}
