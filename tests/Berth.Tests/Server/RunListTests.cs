using Berth.Api.Runs;
using Berth.Testing.Server;
using Xunit;

namespace Berth.Tests.Server;

/// <summary>Lists of runs: every filter, page after page.</summary>
public sealed class RunListTests(RunListTests.Fixture fixture) : IClassFixture<RunListTests.Fixture>
{
    [Theory]
    [InlineData("kind=call", "call-good call-bad")]
    [InlineData("kind=task", "task-good task-bad task-off task-other")]
    [InlineData("state=succeeded", "call-good task-good task-other")]
    [InlineData("state=failed", "call-bad task-bad")]
    [InlineData("state=canceled", "task-off")]
    [InlineData("state=queued", "")]
    [InlineData("image=demo/other:2", "task-other")]
    [InlineData("image=demo/echo:1", "call-good call-bad task-good task-bad task-off")]
    [InlineData("image=DIGEST", "call-good call-bad task-good task-bad task-off")]
    [InlineData("image=demo/nothing:1", "")]
    [InlineData("label=team%3Da", "call-good task-good")]
    [InlineData("label=team%3Da&label=name%3Dtask-good", "task-good")]
    [InlineData("label=team%3Dz", "")]
    [InlineData("kind=task&state=succeeded&image=demo/echo:1&label=team%3Da", "task-good")]
    [InlineData("", "call-good call-bad task-good task-bad task-off task-other")]
    public async Task A_filter_gives_what_matches_and_nothing_else(string query, string expected)
    {
        RunPage page = await fixture.Rig.RunsAsync(
            query.Replace("DIGEST", fixture.Rig.Digest.Text, StringComparison.Ordinal));

        Assert.Equal(
            expected.Split(' ', StringSplitOptions.RemoveEmptyEntries).Order(),
            page.Runs.Select(run => run.Labels["name"]).Order());
        Assert.Null(page.Next);
    }

    [Theory]
    [InlineData("", 1)]
    [InlineData("", 2)]
    [InlineData("", 4)]
    [InlineData("kind=task", 1)]
    [InlineData("kind=task", 3)]
    public async Task Page_after_page_gives_every_run_once_newest_first(string filter, int limit)
    {
        RunPage all = await fixture.Rig.RunsAsync(filter);
        List<string> seen = [];
        string? cursor = null;
        do
        {
            string from = cursor is null ? "" : "&cursor=" + cursor;
            RunPage page = await fixture.Rig.RunsAsync($"{filter}&limit={limit}{from}");
            Assert.InRange(page.Runs.Count, 1, limit);
            seen.AddRange(page.Runs.Select(run => run.Id));
            cursor = page.Next;
        }
        while (cursor is not null);

        Assert.Equal(all.Runs.Select(run => run.Id), seen);
        Assert.Equal(all.Runs.OrderByDescending(run => run.CreatedAt).Select(run => run.Id), seen);
    }

    [Theory]
    [InlineData("kind=batch", "kind", "call, task")]
    [InlineData("state=done", "state", "succeeded")]
    [InlineData("state=1", "state", "succeeded")]
    [InlineData("limit=0", "limit", "1 to 1000")]
    [InlineData("limit=1001", "limit", "1 to 1000")]
    [InlineData("limit=-1", "limit", "1 to 1000")]
    [InlineData("limit=many", "limit", "1 to 1000")]
    [InlineData("limit=1&limit=2", "limit", "more than once")]
    [InlineData("cursor=x", "cursor", "'next'")]
    [InlineData("cursor=", "cursor", "'next'")]
    [InlineData("label=team", "label", "NAME=VALUE")]
    [InlineData("label=%3Da", "label", "NAME=VALUE")]
    [InlineData("label=a%3Db&label=a%3Dc", "label", "each name once")]
    [InlineData("status=failed", "status", "kind, state, image, label, limit, cursor")]
    public async Task A_filter_that_cannot_be_is_refused_by_name(string query, string name, string told)
    {
        using HttpResponseMessage response = await fixture.Rig.GetAsync("/v1/runs?" + query);

        Problem problem = await response.ProblemAsync(400, "invalid_request");
        Assert.Contains(name, problem.Detail, StringComparison.Ordinal);
        Assert.Contains(told, problem.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_call_has_its_story_too()
    {
        RunPage calls = await fixture.Rig.RunsAsync("label=name%3Dcall-bad");

        RunWhy why = await fixture.Rig.WhyAsync(calls.Runs.Single().Id);

        Assert.Equal(["accepted", "started", "ended"], why.Events.Select(e => e.Type));
        Assert.Equal([1, 2, 3], why.Events.Select(e => e.Sequence));
        Assert.All(why.Events, e => Assert.False(string.IsNullOrWhiteSpace(e.Detail)));
        Assert.Contains("exit code 3", why.Events[^1].Detail, StringComparison.Ordinal);
    }

    /// <summary>A server with six ended runs of different kinds and fates.</summary>
    public sealed class Fixture : IAsyncLifetime
    {
        public ServerRig Rig { get; private set; } = null!;

        public async ValueTask InitializeAsync()
        {
            Rig = await ServerRig.StartAsync();
            await Rig.AddImageAsync("demo/other", "2", "arm64");
            (await Rig.SendAsync(ServerRig.Call(["true"], headers: Named("call-good", "a")))).Dispose();
            (await Rig.SendAsync(ServerRig.Call(["sh", "-c", "exit 3"], headers: Named("call-bad", "b")))).Dispose();
            await Rig.FinishAsync(["true"], null, Named("task-good", "a"));
            await Rig.FinishAsync(["false"], null, Named("task-bad", "b"));
            RunView off = await Rig.SubmitAsync(["sleep", "600"], null, Named("task-off", "b"));
            (await Rig.Client.PostAsync($"/v1/runs/{off.Id}/cancel", null)).Dispose();
            await Eventually.EndAsync(Rig, off.Id);
            HttpRequestMessage other = ServerRig.Call(["true"], route: "tasks", headers: Named("task-other", "b"));
            other.RequestUri = new Uri("/v1/tasks/demo/other:2", UriKind.Relative);
            using HttpResponseMessage accepted = await Rig.SendAsync(other);
            await Eventually.EndAsync(Rig, (await accepted.RunAsync()).Id);
        }

        public ValueTask DisposeAsync() => Rig.DisposeAsync();

        private static (string, string)[] Named(string name, string team) =>
            [("Berth-Label", "name=" + name), ("Berth-Label", "team=" + team)];
    }
}
