using System.Net;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Berth.Api.Nodes;
using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>A server and nodes on other machines, which are network namespaces here.</summary>
[Collection("containers")]
public sealed class ClusterTests : ClusterTest
{
    [Fact]
    public async Task Calls_and_tasks_run_on_a_node_of_another_machine()
    {
        MachineProcess worker = await JoinAsync("worker");
        (await Server.BerthAsync("node", "cordon", "control")).Succeed();
        byte[] input = Encoding.UTF8.GetBytes(string.Concat(Enumerable.Repeat("bytes that come back ", 200_000)));

        ToolResult call = await Server.BerthAsync(input, "run", "demo/busybox");
        string task = (await Server.BerthAsync("task", "submit", "demo/busybox", "echo", "from a task")).Succeed();
        ToolResult result = await Server.BerthAsync("task", "wait", task);
        ToolResult failed = await Server.BerthAsync("run", "demo/busybox", "sh", "-c", "echo no >&2; exit 7");

        Assert.Equal(input, call.Output);
        result.Succeed();
        Assert.Equal("from a task", (await Server.BerthAsync("task", "result", task)).Succeed());
        Assert.Equal(7, failed.ExitCode);
        Assert.Contains("no", failed.Error, StringComparison.Ordinal);
        Assert.Equal("worker", (await RunAsync(task)).GetProperty("node").GetString());
        MachineView view = await UntilAsync(
            worker, n => n.Load is { Images.Count: 1 } && n.Running == 0);
        Assert.True(view.Facts!.Cores > 0);
    }

    [Fact]
    public async Task A_killed_node_loses_no_task_and_its_callers_are_told_at_once()
    {
        MachineProcess worker = await JoinAsync("worker");
        (await Server.BerthAsync("node", "cordon", "control")).Succeed();
        string task = (await Server.BerthAsync("task", "submit", "demo/busybox", "sleep", "5")).Succeed();
        using HttpRequestMessage request = new(HttpMethod.Post, "/v1/call/demo/busybox");
        request.Headers.Add("Berth-Command", ["sleep", "600"]);
        Task<HttpResponseMessage> answering = Server.Http.SendAsync(request);
        await UntilAsync(worker, n => n.Running == 2);

        await worker.KillAsync();
        using HttpResponseMessage answer = await answering;
        (await Server.BerthAsync("node", "uncordon", "control")).Succeed();

        Assert.Equal(HttpStatusCode.ServiceUnavailable, answer.StatusCode);
        Assert.Contains("'worker' was lost", await answer.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        Assert.NotNull(answer.Headers.RetryAfter);
        (await Server.BerthAsync("task", "wait", task)).Succeed();
        JsonElement run = await RunAsync(task);
        Assert.Equal(("control", 2), (run.GetProperty("node").GetString(), run.GetProperty("attempts").GetInt32()));
        await UntilAsync(worker, n => n.State == "lost");

        worker.Join(NodeAddress);
        await UntilAsync(worker, n => n.State == "ready");
    }

    [Fact]
    public async Task A_cut_cable_moves_tasks_and_the_node_ends_what_it_had()
    {
        MachineProcess worker = await JoinAsync("worker");
        (await Server.BerthAsync("node", "cordon", "control")).Succeed();
        string task = (await Server.BerthAsync("task", "submit", "demo/busybox", "sleep", "600")).Succeed();
        // Not while the node still fetches the image: then there is nothing that it could end.
        await Condition.HoldsAsync(
            "the program runs", async () =>
            {
                JsonElement run = await RunAsync(task);
                return run.GetProperty("state").GetString() == "running" ? null : run.ToString();
            });

        await worker.CutAsync();
        (await Server.BerthAsync("node", "uncordon", "control")).Succeed();

        await Condition.HoldsAsync("the task runs elsewhere", async () =>
        {
            JsonElement run = await RunAsync(task);
            return run.GetProperty("attempts").GetInt32() == 2 && run.GetProperty("state").GetString() == "running"
                ? null
                : run.ToString();
        });
        Assert.Equal("control", (await RunAsync(task)).GetProperty("node").GetString());
        await Condition.HoldsAsync(
            "the node has ended its attempt",
            () => worker.Log.Contains("because the link that ordered it did", StringComparison.Ordinal));
        await worker.MendAsync();
        await UntilAsync(worker, n => n.State == "ready");
        (await Server.BerthAsync("task", "cancel", task)).Succeed();
        await Server.BerthAsync("task", "wait", task);
        Assert.Equal(
            (2, "canceled"),
            ((await RunAsync(task)).GetProperty("attempts").GetInt32(),
                (await RunAsync(task)).GetProperty("state").GetString()));
    }

    [Fact]
    public async Task A_drained_node_finishes_what_it_has_or_hands_it_on()
    {
        MachineProcess worker = await JoinAsync("worker");
        (await Server.BerthAsync("node", "cordon", "control")).Succeed();
        string task = (await Server.BerthAsync("task", "submit", "demo/busybox", "sleep", "3")).Succeed();
        await UntilAsync(worker, n => n.Running == 1);

        (await Server.BerthAsync("node", "drain", "worker")).Succeed();
        Assert.Equal("worker", (await RunAsync(task)).GetProperty("node").GetString());
        Assert.Equal("succeeded", (await RunAsync(task)).GetProperty("state").GetString());

        (await Server.BerthAsync("node", "uncordon", "worker")).Succeed();
        string other = (await Server.BerthAsync("task", "submit", "demo/busybox", "sleep", "5")).Succeed();
        await UntilAsync(worker, n => n.Running == 1);
        (await Server.BerthAsync("node", "uncordon", "control")).Succeed();
        (await Server.BerthAsync("node", "drain", "worker", "--timeout", "0s")).Succeed();
        (await Server.BerthAsync("task", "wait", other)).Succeed();
        Assert.Equal("control", (await RunAsync(other)).GetProperty("node").GetString());
    }

    [Fact]
    public async Task A_spent_token_and_a_removed_node_are_refused_with_a_text()
    {
        string token = (await Server.BerthAsync("node", "token", "create")).Succeed();
        MachineProcess first = await Machines.AddAsync("first");
        first.Join(NodeAddress, token);
        await UntilAsync(first, n => n.State == "ready");
        MachineProcess second = await Machines.AddAsync("second");

        second.Join(NodeAddress, token);
        int refused = await second.EndsAsync();
        (await Server.BerthAsync("node", "rm", "first")).Succeed();

        Assert.Equal(77, refused);
        Assert.Contains("used already, by the node 'first'", second.Log, StringComparison.Ordinal);
        await Condition.HoldsAsync(
            "the removed node says that it is not taken any more",
            () => first.Log.Contains("does it know this node still?", StringComparison.Ordinal));
        Assert.DoesNotContain("first", (await Server.BerthAsync("node", "ls")).Succeed(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Constraints_and_taints_steer_work_and_what_finds_no_node_waits_or_is_refused()
    {
        MachineProcess worker = await JoinAsync("worker");
        string task = (await Server.BerthAsync(
            "task", "submit", "--constraint", "zone=cellar", "--tolerate", "cold", "demo/busybox", "echo", "below"))
            .Succeed();
        ToolResult refused = await Server.BerthAsync(
            "run", "--constraint", "zone=cellar", "demo/busybox", "echo", "nowhere");
        await Condition.HoldsAsync("the task is told that it waits", async () =>
        {
            string why = (await Server.BerthAsync("why", task)).Succeed();
            return why.Contains("refused by constraint zone=cellar 2", StringComparison.Ordinal) ? null : why;
        });

        (await Server.BerthAsync("node", "taint", "worker", "cold")).Succeed();
        (await Server.BerthAsync("node", "label", "worker", "zone=cellar")).Succeed();
        (await Server.BerthAsync("task", "wait", task)).Succeed();
        ToolResult repelled = await Server.BerthAsync(
            "run", "--constraint", "zone=cellar", "demo/busybox", "echo", "nowhere");

        Assert.Equal((69, 69), (refused.ExitCode, repelled.ExitCode));
        Assert.Contains("No node takes it: 0 of 2 nodes", refused.Error, StringComparison.Ordinal);
        Assert.Contains("taint cold 1", repelled.Error, StringComparison.Ordinal);
        Assert.Equal("below", (await Server.BerthAsync("task", "result", task)).Succeed());
        Assert.Equal(worker.Name, (await RunAsync(task)).GetProperty("node").GetString());
        Assert.Contains(
            "Goes to node worker: 1 of 2 nodes could take it",
            (await Server.BerthAsync("why", task)).Succeed(), StringComparison.Ordinal);
    }

    private async Task<JsonElement> RunAsync(string id) =>
        await Server.Http.GetFromJsonAsync<JsonElement>($"/v1/runs/{id}");
}
