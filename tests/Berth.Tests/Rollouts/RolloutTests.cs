using System.Text;
using Berth.Api.Client;
using Berth.Api.Functions;
using Berth.Api.Rollouts;
using Berth.Core.Errors;
using Berth.Core.Rollouts;
using Berth.Testing.Content;
using Berth.Testing.Server;
using Berth.Tests.Server;
using Berth.Server.Rollouts;
using Xunit;

namespace Berth.Tests.Rollouts;

/// <summary>Rollouts over HTTP, with a node in memory. A second is the shortest interval, so nothing here is waited for
/// longer.</summary>
public sealed class RolloutTests : IAsyncLifetime
{
    private static readonly RolloutRequest Quick = new(Steps: [20, 60], Interval: "1s", MinCalls: 5);

    private static readonly FunctionRequest Good = new(ServerRig.Image, ["echo", "new"], Rollout: Quick);
    private static readonly FunctionRequest Bad = new(ServerRig.Image, ["false"], Rollout: Quick);

    private TemporaryFolder folder = null!;
    private ServerRig rig = null!;
    private BerthClient client = null!;

    public async ValueTask InitializeAsync()
    {
        folder = new TemporaryFolder();
        rig = await ServerRig.StartAsync(folder: folder);
        client = new BerthClient(rig.Address, rig.AdminToken, TimeProvider.System);
        await DeployAsync(new FunctionRequest(ServerRig.Image, ["echo", "old"]));
    }

    public async ValueTask DisposeAsync()
    {
        client.Dispose();
        await rig.DisposeAsync();
        folder.Dispose();
    }

    [Fact]
    public async Task A_good_revision_gets_all_calls_and_the_way_back_stays()
    {
        await DeployAsync(Good);
        FunctionView begun = await FunctionAsync();

        RolloutView ended = await UntilEndedAsync();
        FunctionView after = await FunctionAsync();
        FunctionView back = await client.Functions.RollBackAsync("echo", null, CancellationToken.None);

        Assert.Equal(("running", "promoted"), (begun.Rollout, ended.State));
        Assert.Equal([new ShareView(1, 80), new ShareView(2, 20)], begun.Traffic.Shares);
        Assert.Equal(["started", "advanced", "promoted"], ended.Events.Select(e => e.Type));
        Assert.Equal([new ShareView(2, 100)], after.Traffic.Shares);
        Assert.Null(after.Rollout);
        Assert.True(after.Calls!.Calls >= 10 && after.Calls.Failed == 0);
        Assert.Equal([new ShareView(1, 100)], back.Traffic.Shares);
    }

    [Fact]
    public async Task Callers_keep_their_places_where_a_rollout_is_begun_so()
    {
        await DeployAsync(new FunctionRequest(ServerRig.Image, ["echo", "new"], Traffic: 0));

        await client.Rollouts.StartAsync(
            "echo", new RolloutRequest(Steps: [50], Interval: "1h", Sticky: true), CancellationToken.None);
        TrafficView begun = (await FunctionAsync()).Traffic;
        await client.Rollouts.AbortAsync("echo", CancellationToken.None);
        await client.Rollouts.StartAsync(
            "echo", new RolloutRequest(Steps: [50], Interval: "1h", Sticky: false), CancellationToken.None);
        TrafficView drawn = (await FunctionAsync()).Traffic;
        await DeployAsync(new FunctionRequest(
            ServerRig.Image, ["echo", "newer"], Rollout: new RolloutRequest(Steps: [50], Sticky: true)));

        Assert.Equal([new ShareView(1, 50), new ShareView(2, 50)], begun.Shares);
        Assert.True(begun.Sticky);
        Assert.Null(drawn.Sticky);
        Assert.True((await FunctionAsync()).Traffic.Sticky);
    }

    [Fact]
    public async Task A_bad_revision_is_rolled_back_by_itself_with_its_numbers()
    {
        await DeployAsync(Bad);

        RolloutView ended = await UntilEndedAsync();
        FunctionView after = await FunctionAsync();
        string metrics = await MetricsWithAsync("berth_rollouts_ended_total{outcome=\"rolled_back\"} 1\n");

        Assert.Equal("rolled_back", ended.State);
        Assert.Matches(
            @"^Revision 2 failed \d+ of \d+ calls \(0 % succeeded\); a success rate of 99 % allows \d+\. "
            + "Calls go where they went before: 100 % to revision 1.$", ended.Verdict);
        Assert.Equal([new ShareView(1, 100)], after.Traffic.Shares);
        Assert.Matches(
            "berth_function_calls_total\\{function=\"echo\",revision=\"2\",outcome=\"failed\"\\} [1-9]", metrics);
        Assert.Contains("berth_rollouts_ended_total{outcome=\"rolled_back\"} 1\n", metrics, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_server_that_starts_again_goes_on_with_the_plan_and_judges_the_step_anew()
    {
        await DeployAsync(Good with { Rollout = Quick with { LatencyP95 = "1.5x", MaxWait = "1h", SuccessRate = 90 } });
        RolloutView before = await client.Rollouts.GetAsync("echo", CancellationToken.None);
        client.Dispose();
        await rig.DisposeAsync();

        rig = await ServerRig.StartAsync(folder: folder);
        client = new BerthClient(rig.Address, rig.AdminToken, TimeProvider.System);
        RolloutView after = await client.Rollouts.GetAsync("echo", CancellationToken.None);
        RolloutView ended = await UntilEndedAsync();

        Assert.Equal(
            before with { Plan = after.Plan, Revisions = after.Revisions, Events = after.Events },
            after with { Verdict = before.Verdict });
        Assert.Equal(before.Plan with { Steps = after.Plan.Steps }, after.Plan);
        Assert.Equal(before.Events, after.Events);
        Assert.Contains(ended.State, (string[])["promoted", "rolled_back"]);
    }

    [Fact]
    public async Task Nothing_is_decided_without_calls_and_somebody_can_decide()
    {
        await DeployAsync(Good with { Rollout = new RolloutRequest() });

        RolloutView paused = await client.Rollouts.PauseAsync("echo", CancellationToken.None);
        RolloutView resumed = await client.Rollouts.ResumeAsync("echo", CancellationToken.None);
        RolloutView promoted = await client.Rollouts.PromoteAsync("echo", CancellationToken.None);
        BerthException over = await Assert.ThrowsAsync<BerthException>(
            () => client.Rollouts.AbortAsync("echo", CancellationToken.None));

        Assert.Equal(("paused", "running", "promoted"), (paused.State, resumed.State, promoted.State));
        Assert.Equal([5, 25, 50], paused.Plan.Steps);
        Assert.Equal(("1m", 100, 99d), (paused.Plan.Interval, paused.Plan.MinCalls, paused.Plan.SuccessRate));
        Assert.Equal("Promoted by admin. It gets all calls.", promoted.Verdict);
        Assert.Equal(ErrorCode.Conflict, over.Code);
    }

    [Fact]
    public async Task Rolling_back_by_hand_ends_it_and_other_changes_are_refused_with_the_way_out()
    {
        await DeployAsync(Good);

        BerthException routed = await Assert.ThrowsAsync<BerthException>(() => client.Functions.RouteAsync(
            "echo", new TrafficView([new ShareView(1, 50), new ShareView(2, 50)]), CancellationToken.None));
        BerthException deployed = await Assert.ThrowsAsync<BerthException>(
            () => DeployAsync(new FunctionRequest(ServerRig.Image, ["echo", "third"])));
        FunctionDeployment same = await DeployAsync(Good);
        FunctionView back = await client.Functions.RollBackAsync("echo", null, CancellationToken.None);
        RolloutView ended = await client.Rollouts.GetAsync("echo", CancellationToken.None);

        Assert.Equal((ErrorCode.Conflict, ErrorCode.Conflict), (routed.Code, deployed.Code));
        Assert.Contains("berth rollout abort echo", routed.Message, StringComparison.Ordinal);
        Assert.Equal((2, false), (same.Revision, same.Changed));
        Assert.Equal([new ShareView(1, 100)], back.Traffic.Shares);
        Assert.Equal(
            ("aborted", "Ended by admin. Calls go where they went before: 100 % to revision 1."),
            (ended.State, ended.Verdict));
    }

    [Fact]
    public async Task A_fix_that_is_deployed_takes_the_place_of_what_is_under_way()
    {
        await DeployAsync(Good);

        FunctionDeployment fix = await DeployAsync(Good with { Command = ["echo", "fix"] });
        await client.Rollouts.AbortAsync("echo", CancellationToken.None);
        FunctionView after = await FunctionAsync();

        Assert.Equal([new ShareView(1, 80), new ShareView(3, 20)], fix.Function.Traffic.Shares);
        Assert.Equal([new ShareView(1, 100)], after.Traffic.Shares);
    }

    [Fact]
    public async Task The_first_revision_has_all_calls_at_once_and_without_a_rollout_there_is_none_to_tell_of()
    {
        FunctionDeployment made = await client.Functions.DeployAsync("first", Good, CancellationToken.None);

        BerthException none = await Assert.ThrowsAsync<BerthException>(
            () => client.Rollouts.GetAsync("first", CancellationToken.None));

        Assert.Equal([new ShareView(1, 100)], made.Function.Traffic.Shares);
        Assert.Equal(ErrorCode.NotFound, none.Code);
    }

    [Theory]
    [InlineData("""{"steps":[]}""", 400, "The steps")]
    [InlineData("""{"steps":[50,5]}""", 400, "The steps 50,5")]
    [InlineData("""{"interval":"fast"}""", 400, "interval = 'fast'")]
    [InlineData("""{"interval":"10ms"}""", 400, "The interval 10ms")]
    [InlineData("""{"successRate":101}""", 400, "successRate = '101'")]
    [InlineData("""{"successRate":1e300}""", 400, "successRate")]
    [InlineData("""{"successRate":0}""", 400, "A success rate of 0 %")]
    [InlineData("""{"minCalls":-1}""", 400, "-1 calls")]
    [InlineData("""{"latencyP95":"fast"}""", 400, "no latency budget")]
    [InlineData("""{"maxWait":"1s"}""", 400, "The longest wait 1s")]
    [InlineData("""{"revision":9}""", 404, "no revision 9")]
    [InlineData("""{"revision":1}""", 409, "gets all calls already")]
    [InlineData("""{"stepz":[5]}""", 400, "stepz")]
    public async Task A_plan_that_can_not_be_is_refused_by_name(string body, int status, string why)
    {
        using StringContent content = new(body, Encoding.UTF8, "application/json");

        using HttpResponseMessage answer = await rig.Client.PutAsync("/v1/rollouts/echo", content);

        Assert.Equal(status, (int)answer.StatusCode);
        Assert.Contains(why, await answer.Content.ReadAsStringAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Nobody_puts_a_call_down_to_a_function_but_the_function()
    {
        using HttpResponseMessage answer = await rig.SendAsync(
            ServerRig.Call(["false"], headers: ("Berth-Label", "function=echo")));

        var problem = await answer.ProblemAsync(400, "invalid_request");

        Assert.Contains("Berth itself labels the calls of functions so", problem.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public void What_happened_lately_is_forgotten_minute_by_minute_and_a_removed_revision_at_once()
    {
        RevisionMeters meters = new();
        RevisionKey key = new("echo", 1);
        meters.Count(key, CallVerdict.Succeeded, TimeSpan.FromMilliseconds(3));
        meters.Count(key, CallVerdict.Failed, TimeSpan.Zero);
        meters.Count(key, CallVerdict.Nothing, TimeSpan.Zero);
        List<long> recent = [];

        for (int minute = 0; minute < 6; minute++)
        {
            recent.Add(meters.Recent("echo", [1]).Calls);
            meters.Mark(_ => true);
        }

        long total = meters.Sum("echo", [1, 2]).Calls;
        meters.Mark(_ => false);

        Assert.Equal([2, 2, 2, 2, 2, 0], recent);
        Assert.Equal((2, 0), (total, meters.All.Count()));
    }

    private Task<FunctionDeployment> DeployAsync(FunctionRequest request) =>
        client.Functions.DeployAsync("echo", request, CancellationToken.None);

    private Task<FunctionView> FunctionAsync() => client.Functions.GetAsync("echo", CancellationToken.None);

    /// <summary>Calls it until its rollout has ended.</summary>
    /// <summary>The metrics once they have this line: counted a moment after the state is there to see.</summary>
    private async Task<string> MetricsWithAsync(string line)
    {
        using CancellationTokenSource limit = new(TimeSpan.FromSeconds(60));
        while (true)
        {
            string metrics = await rig.Client.GetStringAsync("/metrics", limit.Token);
            if (metrics.Contains(line, StringComparison.Ordinal))
            {
                return metrics;
            }

            await Task.Delay(10, limit.Token);
        }
    }

    private async Task<RolloutView> UntilEndedAsync()
    {
        using CancellationTokenSource limit = new(TimeSpan.FromSeconds(60));
        while (true)
        {
            using HttpResponseMessage answer = await rig.SendAsync(
                new HttpRequestMessage(HttpMethod.Post, "/v1/functions/echo"), limit.Token);
            await answer.Content.ReadAsStringAsync(limit.Token);
            RolloutView view = await client.Rollouts.GetAsync("echo", limit.Token);
            if (view.State is not ("running" or "paused"))
            {
                return view;
            }
        }
    }
}
