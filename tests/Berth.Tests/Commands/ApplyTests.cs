using Berth.Api.Functions;
using Berth.Api.Triggers;
using Berth.Testing.Content;
using Berth.Testing.Server;
using Berth.Tests.Server;
using Xunit;

namespace Berth.Tests.Commands;

/// <summary><c>berth apply</c> and <c>berth diff</c> against a server with a node in memory.</summary>
public sealed class ApplyTests : ServedTest
{
    private readonly TemporaryFolder folder = new();

    public override async ValueTask DisposeAsync()
    {
        await base.DisposeAsync();
        folder.Dispose();
    }

    [Fact]
    public async Task A_file_is_applied_once_and_what_it_says_no_more_is_removed_when_asked_for()
    {
        await Client.Functions.DeployAsync("other", new FunctionRequest(ServerRig.Image), Token);
        string both = $"project: p\nfunctions:\n  a: {{image: {ServerRig.Image}}}\n"
            + $"  b: {{image: {ServerRig.Image}}}\n";

        await ExpectAsync(1, "would be new", both, "diff");
        await ExpectAsync(0, "a: revision 1, all to 1", both, "apply");
        await ExpectAsync(0, "a: unchanged", both, "apply");
        await ExpectAsync(0, "", both, "diff");
        string one = $"project: p\nfunctions:\n  a: {{image: {ServerRig.Image}, resources: {{memory: 64Mi}}}}\n";
        await ExpectAsync(1, "  + memory: 64Mi", one, "diff");
        await ExpectAsync(1, "b: would be removed", one, "diff", "--prune");
        await ExpectAsync(0, "a: revision 2, all to 2", one, "apply");
        await ExpectAsync(0, "b: removed", one, "apply", "--prune");

        Assert.Equal(["a", "other"], (await Client.Functions.ListAsync(Token)).Select(f => f.Name));
    }

    [Fact]
    public async Task Who_reaches_a_function_is_changed_without_a_revision_and_a_rollback_stays()
    {
        string one = $"name: a\nimage: {ServerRig.Image}\n";
        string two = one + "timeout: 9s\n";
        await ExpectAsync(0, "a: revision 1, all to 1", one, "apply");
        await ExpectAsync(
            0, "a: revision 2, all to 2", two + "traffic: {matches: ['header:X=1', 'header:X=2'], tag: next}\n",
            "apply");
        await Client.Functions.RollBackAsync("a", 1, Token);

        string open = two + "traffic: {matches: ['header:X=2'], sticky: true}\nhosts: [a.example.org]\npublic: true\n";
        await ExpectAsync(1, "  + hosts: a.example.org", open, "diff");
        await ExpectAsync(1, "a: would be reached another way", open, "diff");
        await ExpectAsync(0, "a: reached another way, revision 2 as it was", open, "apply");
        await ExpectAsync(0, "", open, "diff");
        await ExpectAsync(0, "a: unchanged", two, "apply");
        TrafficView opened = (await Client.Functions.GetAsync("a", Token)).Traffic;
        await ExpectAsync(1, "  - hosts: a.example.org", two + "hosts: []\npublic: false\n", "diff");
        await ExpectAsync(0, "a: reached another way", two + "hosts: []\npublic: false\n", "apply");
        TrafficView closed = (await Client.Functions.GetAsync("a", Token)).Traffic;

        Assert.Equal([new ShareView(1, 100)], opened.Shares);
        Assert.Equal([new MatchView("header:X=2", 2)], opened.Matches!);
        Assert.Equal((true, true), (opened.Sticky, opened.Public));
        Assert.Equal(["next"], opened.Tags!.Keys);
        Assert.Equal(["a.example.org"], opened.Hosts!);
        Assert.Null(closed.Hosts);
        Assert.Null(closed.Public);
    }

    [Fact]
    public async Task Rules_lead_to_the_new_revision_and_those_that_no_file_has_any_more_go()
    {
        string text = $"name: a\nimage: {ServerRig.Image}\n";
        await ExpectAsync(0, "a: revision 1", text + "traffic: {percent: 5, matches: ['header:X=1']}\n", "apply");
        await ExpectAsync(
            0, "a: revision 2, 95% to 1, 5% to 2",
            text + "timeout: 9s\ntraffic: {percent: 5, matches: ['cookie:b=1']}\n", "apply");

        Assert.Equal(
            [new MatchView("cookie:b=1", 2)], (await Client.Functions.GetAsync("a", Token)).Traffic.Matches!);
    }

    [Fact]
    public async Task Triggers_of_a_file_are_made_changed_and_removed_with_it()
    {
        await Client.Functions.DeployAsync("other", new FunctionRequest(ServerRig.Image), Token);
        await Client.Triggers.PutAsync("by-hand", new TriggerRequest("other", Cron: "@daily"), Token);
        string head = $"project: p\nname: a\nimage: {ServerRig.Image}\n";
        string first = head + "triggers:\n  nightly: {cron: '0 3 * * *'}\n  sent: {events: true}\n";
        string second = head + "triggers:\n  nightly: {cron: '0 4 * * *', zone: Europe/Berlin, paused: true}\n";

        await ExpectAsync(1, "trigger nightly: would be new", first, "diff");
        await ExpectAsync(0, "trigger nightly: created, fires next at", first, "apply");
        await ExpectAsync(0, "trigger sent: unchanged", first, "apply");
        await ExpectAsync(0, "", first, "diff", "--prune");
        await ExpectAsync(1, "  - cron: 0 3 * * *", second, "diff");
        await ExpectAsync(1, "trigger sent: would be removed", second, "diff", "--prune");
        await ExpectAsync(0, "trigger nightly: changed", second, "apply");
        await ExpectAsync(0, "trigger sent: removed", second, "apply", "--prune");
        IReadOnlyList<TriggerView> left = await Client.Triggers.ListAsync(Token);
        await ExpectAsync(
            0, "trigger nightly: removed", $"project: p\nname: b\nimage: {ServerRig.Image}", "apply", "--prune");

        Assert.Equal(["by-hand", "nightly"], left.Select(t => t.Name));
        Assert.Equal(("0 4 * * *", "p", true), (left[1].Spec.Cron, left[1].Spec.Project, left[1].Paused));
        Assert.Equal(["by-hand"], (await Client.Triggers.ListAsync(Token)).Select(t => t.Name));
        Assert.Equal(["b", "other"], (await Client.Functions.ListAsync(Token)).Select(f => f.Name));
    }

    [Fact]
    public async Task A_trigger_that_the_server_refuses_keeps_all_from_being_changed()
    {
        string text = $"name: a\nimage: {ServerRig.Image}\ntriggers:\n  push: {{webhook: github, secret: none}}\n";

        await ExpectAsync(64, ":4:35: trigger 'push': secret = 'none' can't be used", text, "apply");
        await ExpectAsync(
            2, "secrets = 'db' can't be used: there is no secret 'db'",
            $"name: a\nimage: {ServerRig.Image}\nsecrets: [db]\n", "diff");
        Assert.Empty(await Client.Functions.ListAsync(Token));
    }

    [Fact]
    public async Task What_the_server_refuses_is_told_with_its_place_and_nothing_is_changed()
    {
        string wrong = $"functions:\n  a: {{image: {ServerRig.Image}}}\n"
            + $"  b: {{image: {ServerRig.Image}, timeout: x}}\n";

        await ExpectAsync(64, ":3:", wrong, "apply");
        await ExpectAsync(2, "function 'b': timeout = 'x' can't be used", wrong, "diff");
        await ExpectAsync(64, "--prune removes what belongs to a project", wrong, "apply", "--prune");
        await ExpectAsync(2, "is no setting of function 'a'", "name: a\nxyzzy: 1", "diff");
        Assert.Empty(await Client.Functions.ListAsync(Token));
    }

    /// <param name="words">Among what is told; nothing for nothing at all.</param>
    private async Task ExpectAsync(int exitCode, string words, string text, string command, params string[] options)
    {
        await File.WriteAllTextAsync(folder["berth.yaml"], text, Token);
        using CommandHarness harness = new() { Handler = null };
        harness.Variables["BERTH_HOST"] = Rig.Address.ToString();
        harness.Variables["BERTH_TOKEN"] = Rig.AdminToken;

        int ended = await harness.RunAsync([command, "-f", folder["berth.yaml"], .. options]);

        string told = harness.Output + harness.Error;
        Assert.True(
            ended == exitCode
                && (words.Length == 0 ? told.Length == 0 : told.Contains(words, StringComparison.Ordinal)),
            $"{exitCode} and '{words}' were expected of {command}, but it was {ended} and: {told}");
    }
}
