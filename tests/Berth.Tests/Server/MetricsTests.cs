using System.Globalization;
using System.Net.Http.Json;
using System.Text.RegularExpressions;
using Berth.Core.Errors;
using Berth.Server.Metrics;
using Berth.Testing.Server;
using Xunit;

namespace Berth.Tests.Server;

/// <summary>The metrics page: valid to the letter, complete, and counting.</summary>
public sealed partial class MetricsTests
{
    [Fact]
    public async Task The_page_is_valid_and_has_every_metric_of_the_table_with_its_labels()
    {
        await using ServerRig rig = await ServerRig.StartAsync();
        await rig.Client.PutAsync("/v1/functions/echo", JsonContent.Create(new { image = ServerRig.Image }));
        (await rig.Client.GetAsync("/function/echo")).Dispose();
        using HttpResponseMessage response = await rig.GetAsync("/metrics");
        Dictionary<string, Family> families = Parse(await response.Content.ReadAsStringAsync());

        Assert.Equal("text/plain; version=0.0.4; charset=utf-8", response.Content.Headers.ContentType!.ToString());
        Assert.Equal(MetricCatalog.All.Select(m => m.Name).Order(), families.Keys.Order());
        foreach (Metric metric in MetricCatalog.All)
        {
            Family family = families[metric.Name];
            Assert.Equal(metric.Type.ToString().ToLowerInvariant(), family.Type);
            Assert.NotEmpty(family.Samples);
            Assert.All(family.Samples, sample => Assert.Equal(
                metric.Labels, sample.Labels.Select(l => l.Name).Where(name => name != "le")));
            Assert.Equal(family.Samples.Count, family.Samples.DistinctBy(s => s.Key).Count());
            Assert.True(
                metric.Type != MetricType.Counter || metric.Name.EndsWith("_total", StringComparison.Ordinal),
                metric.Name);
        }
    }

    [Fact]
    public async Task Calls_and_tasks_are_counted_by_kind_and_reason()
    {
        await using ServerRig rig = await ServerRig.StartAsync();
        (await rig.SendAsync(ServerRig.Call(body: new StringContent("12345")))).Dispose();
        (await rig.SendAsync(ServerRig.Call(["false"]))).Dispose();
        rig.Node.FailNextStart(new BerthException(ErrorCode.NodeFault, "The disk broke."));
        await rig.FinishAsync(body: new StringContent("123"));

        Dictionary<string, Family> families = Parse(await rig.Client.GetStringAsync("/metrics"));

        Assert.Equal(1, Value("berth_runs_total", "call", "completed"));
        Assert.Equal(1, Value("berth_runs_total", "call", "exit_code"));
        Assert.Equal(1, Value("berth_runs_total", "task", "completed"));
        Assert.Equal(1, Value("berth_tasks_submitted_total"));
        Assert.Equal(1, Value("berth_runs_retried_total"));
        Assert.Equal(8, Value("berth_run_bytes_total", "in"));
        Assert.Equal(8, Value("berth_run_bytes_total", "out"));
        Assert.True(Value("berth_run_cpu_seconds_total", "user") > 0, "No CPU time was counted.");
        Assert.True(Value("berth_store_commits_total") > 0, "No commit was counted.");
        Assert.Equal(0, Value("berth_runs_running"));
        Assert.Equal(16, Value("berth_runs_places"));
        Assert.Equal(2, Histogram(families["berth_run_duration_seconds"], "call", "total"));
        Assert.Equal(1, Histogram(families["berth_run_duration_seconds"], "task", "run"));
        Assert.Equal(1, Histogram(families["berth_store_accept_duration_seconds"]));

        double Value(string name, params string[] labels) => families[name].Samples
            .Single(s => s.Labels.Select(l => l.Value).SequenceEqual(labels)).Value;
    }

    [Fact]
    public async Task What_waits_and_runs_now_is_told()
    {
        await using ServerRig rig = await ServerRig.StartAsync(o => o with { MaxRunning = 1 });
        var run = await rig.SubmitAsync(["sleep", "600"]);
        await Eventually.RunAsync(rig, run.Id, r => r.State == "running");
        await rig.SubmitAsync();

        Dictionary<string, Family> families = Parse(await rig.Client.GetStringAsync("/metrics"));

        Assert.Equal(1, families["berth_runs_running"].Samples.Single().Value);
        Assert.Equal(
            [("queued", 1d), ("starting", 0d), ("running", 1d)],
            families["berth_tasks"].Samples.Select(s => (s.Labels.Single().Value, s.Value)));
        Assert.Equal(1, families["berth_sandboxes"].Samples.Single(s => s.Labels.Single().Value == "running").Value);
        Assert.True(families["berth_tasks_oldest_queued_seconds"].Samples.Single().Value >= 0, "An age is negative.");
    }

    [Fact]
    public async Task Refusals_are_counted()
    {
        await using ServerRig rig = await ServerRig.StartAsync(o => o with { MaxRunning = 1, WaitingCallsLimit = 0 });
        var run = await rig.SubmitAsync(["sleep", "600"]);
        await Eventually.RunAsync(rig, run.Id, r => r.State == "running");

        using HttpResponseMessage refused = await rig.SendAsync(ServerRig.Call());
        Dictionary<string, Family> families = Parse(await rig.Client.GetStringAsync("/metrics"));

        await refused.ProblemAsync(429, "queue_full");
        Assert.NotEmpty(refused.Headers.GetValues("Retry-After"));
        Assert.Equal(1, families["berth_runs_refused_total"].Samples.Single().Value);
    }

    /// <summary>Checks the buckets of one histogram; returns its count.</summary>
    private static double Histogram(Family family, params string[] labels)
    {
        List<Sample> samples =
        [
            .. family.Samples.Where(
                s => s.Labels.Where(l => l.Name != "le").Select(l => l.Value).SequenceEqual(labels)),
        ];
        List<Sample> buckets = [.. samples.Where(s => s.Name.EndsWith("_bucket", StringComparison.Ordinal))];
        double count = samples.Single(s => s.Name.EndsWith("_count", StringComparison.Ordinal)).Value;
        Assert.Equal("+Inf", buckets[^1].Labels.Single(l => l.Name == "le").Value);
        Assert.Equal(count, buckets[^1].Value);
        Assert.Equal(buckets.Select(b => b.Value).Order(), buckets.Select(b => b.Value));
        double[] bounds = [.. buckets[..^1].Select(b =>
            double.Parse(b.Labels.Single(l => l.Name == "le").Value, CultureInfo.InvariantCulture))];
        Assert.Equal(bounds.Order().Distinct(), bounds);
        Assert.True(
            samples.Single(s => s.Name.EndsWith("_sum", StringComparison.Ordinal)).Value >= 0, "A sum is negative.");
        return count;
    }

    /// <summary>Reads Prometheus' text format 0.0.4 as strictly as it is written down: HELP, then TYPE, then the
    /// samples of the family and of no other, each line well formed.</summary>
    private static Dictionary<string, Family> Parse(string text)
    {
        Assert.EndsWith("\n", text, StringComparison.Ordinal);
        Dictionary<string, Family> families = [];
        string? helped = null;
        Family? family = null;
        foreach (string line in text[..^1].Split('\n'))
        {
            if (HelpLine().Match(line) is { Success: true } help)
            {
                helped = help.Groups["name"].Value;
            }
            else if (TypeLine().Match(line) is { Success: true } type)
            {
                Assert.Equal(helped, type.Groups["name"].Value);
                family = new Family(type.Groups["type"].Value, []);
                Assert.True(families.TryAdd(helped!, family), $"{helped} is there twice.");
            }
            else
            {
                Match sample = SampleLine().Match(line);
                Assert.True(sample.Success, $"'{line}' is no sample.");
                string name = sample.Groups["name"].Value;
                Assert.True(
                    family is not null && IsOf(helped!, family.Type, name), $"'{line}' stands in the family {helped}.");
                family.Samples.Add(new Sample(
                    name,
                    [
                        .. sample.Groups["label"].Captures.Zip(
                            sample.Groups["value"].Captures, (l, v) => (l.Value, v.Value)),
                    ],
                    double.Parse(sample.Groups["number"].Value, NumberStyles.Float, CultureInfo.InvariantCulture)));
            }
        }

        return families;
    }

    private static bool IsOf(string family, string type, string name) => type == "histogram"
        ? name == family + "_bucket" || name == family + "_sum" || name == family + "_count"
        : name == family;

    [GeneratedRegex(@"\A# HELP (?<name>[a-zA-Z_:][a-zA-Z0-9_:]*) .+\z", RegexOptions.ExplicitCapture)]
    private static partial Regex HelpLine();

    [GeneratedRegex(
        @"\A# TYPE (?<name>[a-zA-Z_:][a-zA-Z0-9_:]*) (?<type>counter|gauge|histogram)\z",
        RegexOptions.ExplicitCapture)]
    private static partial Regex TypeLine();

    [GeneratedRegex(
        """
        \A(?<name>[a-zA-Z_:][a-zA-Z0-9_:]*)
        (\{((?<label>[a-zA-Z_][a-zA-Z0-9_]*)="(?<value>([^"\\\n]|\\["\\n])*)"(,(?!\})|(?=\})))+\})?
        [ ](?<number>[-+]?[0-9.]+([eE][-+]?[0-9]+)?)\z
        """,
        RegexOptions.ExplicitCapture | RegexOptions.IgnorePatternWhitespace)]
    private static partial Regex SampleLine();

    private sealed record Family(string Type, List<Sample> Samples);

    private sealed record Sample(string Name, IReadOnlyList<(string Name, string Value)> Labels, double Value)
    {
        public string Key => Name + string.Join(',', Labels);
    }
}
