using System.Text.RegularExpressions;
using Berth.Server.Metrics;
using Berth.Testing.Server;
using Berth.Tests.Gates;
using Xunit;

namespace Berth.Tests.Documents;

/// <summary>The rules for alarms ask for what there is, and each has its entry in the runbook.</summary>
public sealed partial class AlertRuleTests
{
    private const string Runbook = "docs/operations/runbook.md";

    private static readonly string[] Severities = ["page", "ticket"];

    private static readonly string Text =
        File.ReadAllText(Path.Combine(Repository.Root, "samples/cluster/alerts.yaml"));

    private static readonly List<Rule> Rules = Read(Text);

    [Fact]
    public void Every_alarm_has_an_entry_in_the_runbook_and_every_entry_an_alarm()
    {
        MarkdownPage runbook = MarkdownPage.All.Single(p => p.Path == Runbook);

        // None that is written in another way is passed over.
        Assert.Equal(Alarm().Count(Text), Rules.Count);
        Assert.Equal(Rules.Count, Rules.DistinctBy(r => r.Name).Count());
        Assert.Equal(
            Rules.Select(r => r.Name.ToLowerInvariant()).Order(), runbook.Anchors().Where(a => a != "runbook").Order());
        Assert.All(Rules, rule =>
        {
            Assert.Equal($"{Runbook}#{rule.Name.ToLowerInvariant()}", rule.Runbook);
            Assert.Contains(rule.Severity, Severities);
            Assert.EndsWith(".", rule.Summary, StringComparison.Ordinal);
        });
    }

    [Fact]
    public async Task Every_alarm_asks_for_figures_that_a_server_tells()
    {
        await using ServerRig rig = await ServerRig.StartAsync();
        string[] told = (await rig.Client.GetStringAsync("/metrics")).Split('\n');
        string[] known = [.. MetricCatalog.All.Select(m => m.Name)];

        foreach (Rule rule in Rules)
        {
            Match[] selectors = Selector().Matches(rule.Expression).ToArray();
            Assert.True(
                selectors.Length > 0 || rule.Name == "BerthServerDown", $"{rule.Name} asks for nothing of Berth's.");
            foreach (Match selector in selectors)
            {
                string metric = Part().Replace(selector.Groups["name"].Value, "");
                Assert.True(known.Contains(metric), $"{rule.Name}: there is no metric {metric}.");
                // Prometheus itself adds job and instance.
                string[] labels =
                [
                    .. selector.Groups["labels"].Value.Split(',', StringSplitOptions.RemoveEmptyEntries)
                        .Where(l => !l.StartsWith("job=", StringComparison.Ordinal)),
                ];
                Assert.True(
                    told.Any(line => line.StartsWith(selector.Groups["name"].Value, StringComparison.Ordinal)
                        && labels.All(l => line.Contains(l, StringComparison.Ordinal))),
                    $"{rule.Name}: no server tells {selector.Value}.");
            }
        }
    }

    [Fact]
    public void Brackets_of_every_expression_are_closed() => Assert.All(
        Rules, rule => Assert.Equal(
            rule.Expression.Count("([{".Contains), rule.Expression.Count(")]}".Contains)));

    private static List<Rule> Read(string text) =>
    [
        .. Entry().Matches(text).Select(m => new Rule(
            m.Groups["name"].Value, m.Groups["expression"].Value, m.Groups["severity"].Value,
            m.Groups["summary"].Value, m.Groups["runbook"].Value)),
    ];

    [GeneratedRegex("alert:")]
    private static partial Regex Alarm();

    [GeneratedRegex(
        @"^      - alert: (?<name>\w+)\n        expr: (?<expression>.+)\n(?:        for: \d+[smhd]\n)?"
        + @"        labels: \{ severity: (?<severity>\w+) \}\n        annotations:\n"
        + @"          summary: ""(?<summary>.+)""\n          runbook: (?<runbook>\S+)$",
        RegexOptions.Multiline)]
    private static partial Regex Entry();

    [GeneratedRegex(@"\b(?<name>(?:berth|process|dotnet)_[a-z_]+)\b(?!"")(?:\{(?<labels>[^}]*)\})?")]
    private static partial Regex Selector();

    [GeneratedRegex("_(?:bucket|sum|count)$")]
    private static partial Regex Part();

    private sealed record Rule(string Name, string Expression, string Severity, string Summary, string Runbook);
}
