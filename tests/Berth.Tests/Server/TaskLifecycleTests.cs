using System.Net;
using Berth.Api.Runs;
using Berth.Core.Errors;
using Berth.Server.Access;
using Berth.Testing.Server;
using Xunit;

namespace Berth.Tests.Server;

/// <summary>
/// What becomes of a task: cancelled in each state, tried again, too old, its progress and its story.
/// </summary>
public sealed class TaskLifecycleTests(ServerRigFixture fixture) : IClassFixture<ServerRigFixture>
{
    private ServerRig Rig => fixture.Rig;

    [Fact]
    public async Task A_waiting_task_is_cancelled_at_once()
    {
        await using ServerRig rig = await ServerRig.StartAsync(o => o with { MaxRunning = 1 });
        Action letGo = rig.Node.HoldStarts();
        RunView first = await rig.SubmitAsync();
        await Eventually.RunAsync(rig, first.Id, run => run.State == "starting");
        RunView waiting = await rig.SubmitAsync();

        RunView cancelled = await CancelAsync(rig, waiting.Id);
        letGo();

        Assert.Equal(("canceled", "canceled"), (cancelled.State, cancelled.Reason));
        Assert.Equal("succeeded", (await Eventually.EndAsync(rig, first.Id)).State);
        Assert.DoesNotContain(rig.Node.Started, spec => spec.Run.Text == waiting.Id);
    }

    [Fact]
    public async Task A_task_whose_sandbox_is_being_readied_is_cancelled()
    {
        await using ServerRig rig = await ServerRig.StartAsync();
        rig.Node.HoldStarts();
        RunView run = await rig.SubmitAsync();
        await Eventually.RunAsync(rig, run.Id, r => r.State == "starting");

        await CancelAsync(rig, run.Id);

        Assert.Equal("canceled", (await Eventually.EndAsync(rig, run.Id)).State);
    }

    [Fact]
    public async Task A_running_task_is_cancelled_and_says_who_ended_it()
    {
        RunView run = await Rig.SubmitAsync(["sleep", "600"]);
        await Eventually.RunAsync(Rig, run.Id, r => r.State == "running");

        await CancelAsync(Rig, run.Id);
        RunView ended = await Eventually.EndAsync(Rig, run.Id);
        RunWhy why = await Rig.WhyAsync(run.Id);

        Assert.Equal(("canceled", "canceled"), (ended.State, ended.Reason));
        Assert.Equal(["accepted", "claimed", "started", "cancel_requested", "ended"], why.Events.Select(e => e.Type));
    }

    [Fact]
    public async Task Cancelling_what_has_ended_changes_nothing()
    {
        RunView ended = await Rig.FinishAsync(["true"]);

        RunView after = await CancelAsync(Rig, ended.Id);

        Assert.Equivalent(ended, after);
    }

    [Fact]
    public async Task The_caller_of_a_cancelled_call_is_told()
    {
        Task<HttpResponseMessage> calling = Rig.SendAsync(
            ServerRig.Call(["sleep", "600"], headers: [("Berth-Label", "test=cancel-call")]));
        string id = await Eventually.FindRunAsync(Rig, "test=cancel-call", run => run.State == "running");

        await CancelAsync(Rig, id);

        using HttpResponseMessage response = await calling;
        Problem problem = await response.ProblemAsync(409, "run_canceled");
        Assert.Equal(id, problem.RunId);
    }

    [Theory]
    [InlineData("01k00000000000000000000000")]
    [InlineData("no-id")]
    public async Task What_is_no_run_is_404_everywhere(string id)
    {
        string[] parts = ["", "/result", "/input", "/logs", "/events", "/why", "?wait=1s", "/logs?follow=true"];
        foreach (string part in parts)
        {
            using HttpResponseMessage response = await Rig.GetAsync($"/v1/runs/{id}{part}");
            await response.ProblemAsync(404, "run_not_found");
        }

        using HttpResponseMessage cancel = await Rig.Client.PostAsync($"/v1/runs/{id}/cancel", null);
        await cancel.ProblemAsync(404, "run_not_found");
    }

    [Fact]
    public async Task A_fault_of_the_platform_is_tried_again_and_told()
    {
        await using ServerRig rig = await ServerRig.StartAsync();
        rig.Node.FailNextMachine("The disk broke.");
        rig.Node.FailNextStart(new BerthException(ErrorCode.NodeFault, "No cgroup could be made."));

        RunView ended = await rig.FinishAsync(["echo", "at last"]);
        RunWhy why = await rig.WhyAsync(ended.Id);

        Assert.Equal(("succeeded", 3), (ended.State, ended.Attempts));
        Assert.Equal("at last\n", await rig.Client.GetStringAsync($"/v1/runs/{ended.Id}/result"));
        string[] retries = [.. why.Events.Where(e => e.Type == "retried").Select(e => e.Detail)];
        Assert.Equal(2, retries.Length);
        Assert.Contains(retries, detail => detail.Contains("The disk broke.", StringComparison.Ordinal));
        Assert.Contains(retries, detail => detail.Contains("No cgroup could be made.", StringComparison.Ordinal));
    }

    [Fact]
    public async Task One_attempt_means_one()
    {
        await using ServerRig rig = await ServerRig.StartAsync();
        rig.Node.FailNextMachine("The disk broke.");

        RunView ended = await rig.FinishAsync(["true"], null, ("Berth-Attempts", "1"));

        Assert.Equal(("failed", "platform_fault", 1), (ended.State, ended.Reason, ended.Attempts));
        Assert.Contains("The disk broke.", ended.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(Role.Admin, "1", 202)]
    [InlineData(Role.Publisher, "1", 403)]
    [InlineData(Role.User, "1", 403)]
    [InlineData(Role.User, "0", 202)]
    [InlineData(Role.User, "-100", 202)]
    public async Task Only_administrators_put_tasks_ahead_of_others(Role role, string priority, int expected)
    {
        string secret = Rig.Server.Rooms.Tokens.Create($"{role}{priority}".ToLowerInvariant(), role, null).Secret;
        using HttpClient client = Rig.ClientWith(secret);

        using HttpResponseMessage answer = await client.SendAsync(
            ServerRig.Call(["true"], route: "tasks", headers: [("Berth-Priority", priority)]));

        Assert.Equal(expected, (int)answer.StatusCode);
    }

    [Theory]
    [InlineData("false", 1)]
    [InlineData("true", 2)]
    public async Task A_programs_own_failure_is_tried_again_only_when_asked(string asked, int attempts)
    {
        RunView ended = await Rig.FinishAsync(
            ["sh", "-c", "exit 3"], null, ("Berth-Attempts", "2"), ("Berth-Retry-Failures", asked));

        Assert.Equal(("failed", "exit_code", 3, attempts), (ended.State, ended.Reason, ended.ExitCode, ended.Attempts));
    }

    [Fact]
    public async Task A_task_that_waits_longer_than_its_age_allows_is_never_begun()
    {
        await using ServerRig rig = await ServerRig.StartAsync(o => o with { MaxRunning = 1 });
        Action letGo = rig.Node.HoldStarts();
        RunView first = await rig.SubmitAsync();
        await Eventually.RunAsync(rig, first.Id, run => run.State == "starting");

        RunView old = await rig.SubmitAsync(null, null, ("Berth-Max-Age", "50ms"));
        RunView ended = await Eventually.EndAsync(rig, old.Id);
        letGo();

        Assert.Equal(("failed", "expired", 0), (ended.State, ended.Reason, ended.Attempts));
        Assert.Equal("succeeded", (await Eventually.EndAsync(rig, first.Id)).State);
    }

    [Fact]
    public async Task Progress_is_seen_while_it_runs()
    {
        RunView run = await Rig.SubmitAsync(["sh", "-c", "progress 40 half way; sleep 600"]);

        RunView seen = await Eventually.RunAsync(Rig, run.Id, r => r.Percent is not null);
        await CancelAsync(Rig, run.Id);

        Assert.Equal((40, "half way", "running"), (seen.Percent, seen.ProgressMessage, seen.State));
    }

    [Fact]
    public async Task Progress_of_a_call_is_seen_too()
    {
        Task<HttpResponseMessage> calling = Rig.SendAsync(ServerRig.Call(
            ["sh", "-c", "progress 70; sleep 600"], headers: [("Berth-Label", "test=progress-call")]));
        string id = await Eventually.FindRunAsync(Rig, "test=progress-call", _ => true);

        RunView seen = await Eventually.RunAsync(Rig, id, r => r.Percent is not null);
        await CancelAsync(Rig, id);
        using HttpResponseMessage response = await calling;

        Assert.Equal(70, seen.Percent);
    }

    [Fact]
    public async Task A_record_tells_what_ran_where_how_long_and_what_it_used()
    {
        RunView run = await Rig.FinishAsync(
            body: new StringContent("12345"), headers: ("Berth-Label", "team=a b,stage=test"));

        Assert.Equal((ServerRig.Image, Rig.Digest.Text), (run.Image, run.ImageDigest));
        Assert.Equal("fake", run.Node);
        Assert.Equal((5, 5), (run.Usage!.BytesIn, run.Usage.BytesOut));
        Assert.True(run.Usage.PeakMemoryBytes > 0 && run.Usage.CpuUserMs > 0, "Usage is missing.");
        Assert.True(run.CreatedAt <= run.StartedAt && run.StartedAt <= run.EndedAt, "Times are out of order.");
        Assert.Equal(
            run.Timings!.TotalMs,
            run.Timings.QueueMs + run.Timings.PrepareMs + run.Timings.StartMs + run.Timings.RunMs, 3);
        Assert.Equal("a b", run.Labels["team"]);
        Assert.Equal("test", run.Labels["stage"]);
    }

    [Theory]
    [InlineData("http://127.0.0.1/x")]
    [InlineData("http://localhost:8080/")]
    [InlineData("http://[::1]/")]
    [InlineData("http://10.1.2.3/")]
    [InlineData("http://169.254.169.254/latest/meta-data")]
    [InlineData("http://2130706433/")]
    [InlineData("http://0x7f.1/")]
    [InlineData("http://[::ffff:127.0.0.1]/")]
    [InlineData("http://0.0.0.0/")]
    public async Task A_callback_into_the_house_is_refused_and_nothing_is_accepted(string target)
    {
        using HttpResponseMessage response = await Rig.SendAsync(ServerRig.Call(
            route: "tasks", headers: [("Berth-Callback", target), ("Berth-Label", "test=callback")]));

        Problem problem = await response.ProblemAsync(400, "callback_forbidden");
        Assert.Contains("not allowed", problem.Detail, StringComparison.Ordinal);
        Assert.Empty((await Rig.RunsAsync("label=test%3Dcallback")).Runs);
    }

    [Theory]
    [InlineData("ftp://example.com/")]
    [InlineData("/relative")]
    [InlineData("http://user:password@example.com/")]
    [InlineData("http://example.com/#part")]
    public async Task A_callback_that_is_no_address_is_refused(string target)
    {
        using HttpResponseMessage response = await Rig.SendAsync(
            ServerRig.Call(route: "tasks", headers: [("Berth-Callback", target)]));

        await response.ProblemAsync(400, "invalid_request");
    }

    private static async Task<RunView> CancelAsync(ServerRig rig, string id)
    {
        using HttpResponseMessage response = await rig.Client.PostAsync($"/v1/runs/{id}/cancel", null);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        return await response.RunAsync();
    }
}
