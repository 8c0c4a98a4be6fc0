using System.Net;
using System.Net.Http.Json;
using System.Text;
using Berth.Api.Client;
using Berth.Api.Functions;
using Berth.Api.Nodes;
using Berth.Api.Runs;
using Berth.Core.Errors;
using Berth.Testing.Server;
using Berth.Tests.Functions;
using Xunit;

namespace Berth.Tests.Links;

/// <summary>Instances of functions on nodes of other machines: where they go, and what becomes of them and their calls
/// when something happens to the node.</summary>
public sealed class PlacedInstanceTests : IAsyncLifetime
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private LinkRig rig = null!;
    private JoinedNode worker = null!;
    private BerthClient client = null!;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private HttpClient Http => rig.Server.Client;

    public async ValueTask InitializeAsync()
    {
        rig = await LinkRig.StartAsync();
        worker = await JoinAsync("worker");
        client = new BerthClient(rig.Server.Address, rig.Server.AdminToken, TimeProvider.System);
    }

    public async ValueTask DisposeAsync()
    {
        client.Dispose();
        await rig.DisposeAsync();
    }

    [Fact]
    public async Task A_call_goes_to_an_instance_on_the_node_that_is_as_asked()
    {
        await using PlayedService service = Echo();
        await DeployAsync(service, "node=worker");

        using HttpResponseMessage answer = await PostAsync("over there");

        Assert.Equal("over there", await answer.Content.ReadAsStringAsync(Token));
        string instance = answer.Headers.GetValues("Berth-Instance").Single();
        RunWhy why = (await Http.GetFromJsonAsync($"/v1/runs/{instance}/why", RunJson.Default.RunWhy, Token))!;
        Assert.Equal(("worker", "running"), (why.Run.Node, why.Run.State));
        Assert.Contains(
            why.Events, e => e.Detail.Contains("Goes to node worker: 1 of 2 nodes", StringComparison.Ordinal));
        Assert.True(Assert.Single(worker.Node.Started).IsInstance);
        Assert.Empty(rig.Server.Node.Started);
    }

    [Fact]
    public async Task Bodies_of_any_length_pass()
    {
        await using PlayedService service = Echo();
        await DeployAsync(service, "node=worker");
        string body = string.Concat(Enumerable.Repeat("0123456789abcdef", 128 * 1024));

        using HttpResponseMessage answer = await PostAsync(body);

        Assert.Equal(body, await answer.Content.ReadAsStringAsync(Token));
    }

    [Fact]
    public async Task A_connection_is_used_again_and_one_that_was_closed_is_not()
    {
        // It closes each connection after its answer, without saying so: what is not seen in time is sent again.
        await using PlayedService service = new(
            (request, _) => Task.FromResult<string?>(PlayedService.Answer(200, request.Line)));
        await DeployAsync(service, "node=worker");

        for (int i = 0; i < 5; i++)
        {
            using HttpResponseMessage answer = await Http.GetAsync($"/v1/functions/svc/{i}", Token);
            Assert.Equal($"GET /{i} HTTP/1.1", await answer.Content.ReadAsStringAsync(Token));
        }
    }

    [Fact]
    public async Task Where_no_node_may_have_one_the_call_is_told_so_until_there_is_one()
    {
        await using PlayedService service = Echo();
        FunctionDeployment made = await DeployAsync(service, "zone=cellar");

        using HttpResponseMessage refused = await PostAsync("too early");
        Problem problem = (await refused.Content.ReadFromJsonAsync(RunJson.Default.Problem, Token))!;
        await LabelAsync("worker", "zone", "cellar");
        using HttpResponseMessage answer = await PostAsync("in time");

        Assert.Equal(1, made.Revision);
        Assert.Equal((HttpStatusCode.ServiceUnavailable, "no_node"), (refused.StatusCode, problem.Code));
        Assert.NotNull(refused.Headers.RetryAfter);
        Assert.Contains("refused by constraint zone=cellar 2", problem.Detail, StringComparison.Ordinal);
        Assert.Equal("in time", await answer.Content.ReadAsStringAsync(Token));
    }

    [Fact]
    public async Task A_further_revision_that_no_node_may_have_leaves_the_one_there_is()
    {
        await using PlayedService service = Echo();
        await DeployAsync(service, "node=worker");

        BerthException refused = await Assert.ThrowsAsync<BerthException>(
            () => DeployAsync(service, "zone=cellar"));
        using HttpResponseMessage answer = await PostAsync("as before");

        Assert.Equal(ErrorCode.NoNode, refused.Code);
        Assert.Equal("1", answer.Headers.GetValues("Berth-Revision").Single());
    }

    [Fact]
    public async Task A_lost_node_takes_its_instances_and_tells_their_callers()
    {
        TaskCompletionSource came = new(TaskCreationOptions.RunContinuationsAsynchronously);
        await using PlayedService service = new(async (request, token) =>
        {
            if (request.Body != "hang")
            {
                return PlayedService.Answer(200, request.Body);
            }

            came.TrySetResult();
            await Task.Delay(Timeout.InfiniteTimeSpan, token);
            return null;
        });
        await DeployAsync(service, "node in (worker,other)");
        Task<HttpResponseMessage> hanging = PostAsync("hang");
        await came.Task.WaitAsync(Patience, Token);

        await worker.StopAsync();
        using HttpResponseMessage lost = await hanging.WaitAsync(Patience, Token);
        JoinedNode other = await JoinAsync("other");
        using HttpResponseMessage answer = await PostAsync("after");

        Problem problem = (await lost.Content.ReadFromJsonAsync(RunJson.Default.Problem, Token))!;
        Assert.Equal((HttpStatusCode.ServiceUnavailable, "node_fault"), (lost.StatusCode, problem.Code));
        Assert.Contains("Node 'worker' was lost", problem.Detail, StringComparison.Ordinal);
        Assert.NotNull(lost.Headers.RetryAfter);
        Assert.Equal("after", await answer.Content.ReadAsStringAsync(Token));
        Assert.Single(other.Node.Started);
        await UntilAsync(() => worker.Node.Running == 0, "the lost node has ended what it had");
    }

    [Fact]
    public async Task Instances_of_a_cordoned_node_are_replaced_and_finish_what_they_have()
    {
        TaskCompletionSource came = new(TaskCreationOptions.RunContinuationsAsynchronously);
        TaskCompletionSource go = new(TaskCreationOptions.RunContinuationsAsynchronously);
        await using PlayedService service = new(async (request, token) =>
        {
            if (request.Body == "long")
            {
                came.TrySetResult();
                await go.Task.WaitAsync(token);
            }

            return PlayedService.Answer(200, request.Body);
        });
        await DeployAsync(service, "node in (worker,other)", new FunctionRequest(MinInstances: 1));
        Task<HttpResponseMessage> calling = PostAsync("long");
        await came.Task.WaitAsync(Patience, Token);

        // While no other node may have one it goes on.
        await CordonAsync("worker");
        using HttpResponseMessage alone = await PostAsync("short");
        JoinedNode other = await JoinAsync("other");
        await UntilAsync(() => other.Node.Running == 1, "another instance runs elsewhere");
        string? where = null;
        await UntilAsync(
            async () =>
            {
                using HttpResponseMessage next = await PostAsync("short");
                where = await NodeOfAsync(next);
                return where == "other";
            },
            "calls go there");
        Assert.Equal(1, worker.Node.Running);
        go.SetResult();
        using HttpResponseMessage answer = await calling.WaitAsync(Patience, Token);

        Assert.Equal("worker", await NodeOfAsync(alone));
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        await UntilAsync(() => worker.Node.Running == 0, "the old one has ended");
    }

    [Fact]
    public async Task They_take_no_places_of_calls_and_tasks()
    {
        await using PlayedService service = Echo();
        await DeployAsync(service, "node=worker", new FunctionRequest(MinInstances: 6));
        await UntilAsync(() => worker.Node.Running == 6, "six stand ready on a node of four places");

        using HttpRequestMessage request = ServerRig.Call(["cat"], new StringContent("a call"));
        request.Headers.Add("Berth-Constraint", Uri.EscapeDataString("node=worker"));
        using HttpResponseMessage answer = await rig.Server.SendAsync(request, Token);

        Assert.Equal("a call", await answer.Content.ReadAsStringAsync(Token));
        Assert.Equal(6, (await rig.SeeAsync("worker")).Running);
    }

    [Fact]
    public async Task A_node_whose_work_is_ended_loses_its_instances()
    {
        await using PlayedService service = Echo();
        await DeployAsync(service, "node in (worker,other)", new FunctionRequest(MinInstances: 1));
        JoinedNode other = await JoinAsync("other");

        using HttpResponseMessage evicted = await Http.PostAsync("/v1/nodes/worker/evict", null, Token);

        evicted.EnsureSuccessStatusCode();
        await UntilAsync(() => other.Node.Running == 1 && worker.Node.Running == 0, "it is elsewhere");
        using HttpResponseMessage answer = await PostAsync("there");
        Assert.Equal("other", await NodeOfAsync(answer));
    }

    [Fact]
    public async Task A_lambda_program_gets_its_events_on_another_machine()
    {
        await client.Functions.DeployAsync(
            "fn",
            new FunctionRequest(
                ServerRig.Image, ["lambda", "app.handler"], Contract: "lambda", Constraints: ["node=worker"]),
            Token);

        for (int i = 0; i < 3; i++)
        {
            using HttpResponseMessage answer = await Http.PostAsync(
                "/v1/functions/fn", new StringContent($"{{\"n\":{i}}}", Encoding.UTF8, "application/json"), Token);
            string text = await answer.Content.ReadAsStringAsync(Token);
            Assert.True(answer.IsSuccessStatusCode, text);
        }

        Assert.NotNull(worker.Node.Started.Single().Listen);
        Assert.Empty(rig.Server.Node.Started);
    }

    [Fact]
    public async Task The_server_ends_its_instances_everywhere_when_it_stops()
    {
        await using PlayedService service = Echo();
        await DeployAsync(service, "node=worker", new FunctionRequest(MinInstances: 2));
        await UntilAsync(() => worker.Node.Running == 2, "two run");

        await rig.Server.Server.StopAsync(Token);

        await UntilAsync(() => worker.Node.Running == 0, "none runs any more");
    }

    private static PlayedService Echo() =>
        new((request, _) => Task.FromResult<string?>(PlayedService.Answer(200, request.Body)));

    private static Task UntilAsync(Func<bool> holds, string what) => UntilAsync(() => Task.FromResult(holds()), what);

    private static async Task UntilAsync(Func<Task<bool>> holds, string what)
    {
        using CancellationTokenSource limit = new(Patience);
        while (!await holds())
        {
            Assert.False(limit.IsCancellationRequested, $"It is not so that {what}.");
            await Task.Delay(20, Token);
        }
    }

    private async Task<JoinedNode> JoinAsync(string name)
    {
        JoinedNode joined = await rig.JoinAsync(name);
        await rig.UntilAsync(name, n => n.State == "ready");
        return joined;
    }

    private Task<FunctionDeployment> DeployAsync(
        PlayedService service, string constraint, FunctionRequest? more = null) => client.Functions.DeployAsync(
        "svc",
        (more ?? new FunctionRequest()) with
        {
            Image = ServerRig.Image,
            Command = ["sleep", "3600"],
            Contract = "http",
            Port = service.Port,
            Constraints = [constraint],
        },
        Token);

    private Task<HttpResponseMessage> PostAsync(string body) =>
        Http.PostAsync("/v1/functions/svc/", new StringContent(body), Token);

    private async Task<string?> NodeOfAsync(HttpResponseMessage answer)
    {
        string text = await answer.Content.ReadAsStringAsync(Token);
        Assert.True(answer.IsSuccessStatusCode, $"{(int)answer.StatusCode} {text}");
        string instance = answer.Headers.GetValues("Berth-Instance").Single();
        return (await Http.GetFromJsonAsync($"/v1/runs/{instance}", RunJson.Default.RunView, Token))!.Node;
    }

    private async Task CordonAsync(string node)
    {
        using HttpResponseMessage answer = await Http.PostAsync($"/v1/nodes/{node}/cordon", null, Token);
        answer.EnsureSuccessStatusCode();
    }

    private async Task LabelAsync(string node, string label, string value)
    {
        using HttpResponseMessage answer = await Http.PatchAsJsonAsync(
            $"/v1/nodes/{node}", new NodePatch(new Dictionary<string, string> { [label] = value }, null, null),
            NodeJson.Default.NodePatch, Token);
        answer.EnsureSuccessStatusCode();
    }
}
