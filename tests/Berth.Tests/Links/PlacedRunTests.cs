using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Berth.Api.Functions;
using Berth.Api.Nodes;
using Berth.Api.Runs;
using Berth.Testing.Server;
using Xunit;

namespace Berth.Tests.Links;

/// <summary>Calls and tasks that say which node may have them.</summary>
public sealed class PlacedRunTests : IAsyncLifetime
{
    private LinkRig rig = null!;

    private HttpClient Client => rig.Server.Client;

    public async ValueTask InitializeAsync()
    {
        rig = await LinkRig.StartAsync();
        await rig.JoinAsync("worker");
        await rig.UntilAsync("worker", n => n.State == "ready");
    }

    public async ValueTask DisposeAsync() => await rig.DisposeAsync();

    [Fact]
    public async Task A_task_waits_for_a_node_that_is_as_asked_and_is_told_why()
    {
        string id = await SubmitAsync("zone=cellar");
        RunWhy waiting = await rig.Server.UntilAsync(id, w => w.Events.Any(e => e.Type == "waiting"));

        await LabelAsync("worker", "zone", "cellar");
        RunWhy done = await rig.Server.UntilAsync(id, w => w.Run.State == "succeeded");

        Assert.Equal(("queued", 0), (waiting.Run.State, waiting.Run.Attempts));
        Assert.Equal(
            "No node takes it: 0 of 2 nodes could take it; refused by constraint zone=cellar 2. 'berth node ls' shows "
            + "the nodes.",
            waiting.Events.Single(e => e.Type == "waiting").Detail);
        Assert.Equal(("worker", 1), (done.Run.Node, done.Run.Attempts));
        Assert.Contains(
            "Goes to node worker: 1 of 2 nodes could take it; refused by constraint zone=cellar 1.",
            done.Events.Single(e => e.Type == "started").Detail, StringComparison.Ordinal);
        Assert.Single(done.Events, e => e.Type == "waiting");
    }

    [Fact]
    public async Task A_task_that_waits_for_a_node_can_be_cancelled()
    {
        string id = await SubmitAsync("zone=cellar");
        await rig.Server.UntilAsync(id, w => w.Events.Any(e => e.Type == "waiting") && w.Run.State == "queued");

        using HttpResponseMessage answer = await Client.PostAsync($"/v1/runs/{id}/cancel", null);
        await LabelAsync("worker", "zone", "cellar");

        answer.EnsureSuccessStatusCode();
        Assert.Equal("canceled", (await rig.Server.WhyAsync(id)).Run.State);
    }

    [Fact]
    public async Task A_call_that_no_node_may_have_is_refused_at_once()
    {
        using HttpResponseMessage answer = await CallAsync("Berth-Constraint", "zone%3Dattic");

        Problem problem = (await answer.Content.ReadFromJsonAsync(RunJson.Default.Problem))!;
        Assert.Equal((HttpStatusCode.ServiceUnavailable, "no_node"), (answer.StatusCode, problem.Code));
        Assert.NotNull(answer.Headers.RetryAfter);
        Assert.Contains("constraint zone=attic 2", problem.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Where_no_node_takes_new_work_a_call_is_told_so_and_a_task_goes_on_with_the_first_that_does()
    {
        foreach (string node in (string[])["fake", "worker"])
        {
            using HttpResponseMessage cordoned = await Client.PostAsync($"/v1/nodes/{node}/cordon", null);
            cordoned.EnsureSuccessStatusCode();
        }

        string task = await SubmitAsync("node");
        using HttpResponseMessage answer = await CallAsync();
        using HttpResponseMessage back = await Client.PostAsync("/v1/nodes/worker/uncordon", null);

        Assert.Equal(HttpStatusCode.ServiceUnavailable, answer.StatusCode);
        Assert.Contains("node cordoned 2", await answer.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        Assert.Equal("worker", (await rig.Server.UntilAsync(task, w => w.Run.State == "succeeded")).Run.Node);
    }

    [Fact]
    public async Task Constraints_and_taints_steer_calls()
    {
        await LabelAsync("worker", "zone", "cellar");
        await ChangeAsync("worker", new NodePatch(null, null, ["dedicated=ml"]));

        using HttpResponseMessage repelled = await CallAsync("Berth-Constraint", "zone%3Dcellar");
        using HttpResponseMessage borne = await CallAsync(
            "Berth-Constraint", "zone%20in%20(cellar%2Cattic)", "Berth-Tolerate", "dedicated");
        using HttpResponseMessage elsewhere = await CallAsync("Berth-Tolerate", "dedicated%3Dother");

        Assert.Equal(HttpStatusCode.ServiceUnavailable, repelled.StatusCode);
        Assert.Equal(
            ("worker", "fake"), ((await OfAsync(borne)).Run.Node, (await OfAsync(elsewhere)).Run.Node));
        Assert.Contains(
            (await OfAsync(borne)).Events,
            e => e.Detail.Contains("Goes to node worker: 1 of 2 nodes", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("Berth-Constraint", "zone%3D", "'zone=' is no constraint")]
    [InlineData("Berth-Tolerate", "%3D", "'=' is no toleration")]
    [InlineData("Berth-Spread", "node", "Berth-Spread = 'node' can't be used")]
    public async Task What_can_t_be_read_is_refused_with_its_name(string header, string value, string told)
    {
        using HttpResponseMessage answer = await CallAsync(header, value);

        Assert.Equal(HttpStatusCode.BadRequest, answer.StatusCode);
        Assert.Contains(told, await answer.Content.ReadAsStringAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_function_keeps_its_rules()
    {
        FunctionRequest wanted = new(
            ServerRig.Image, ["cat"], Constraints: ["zone==cellar"], Tolerations: ["dedicated"], Spread: "rack");
        using HttpResponseMessage made = await DeployAsync(wanted);
        using HttpResponseMessage again = await DeployAsync(wanted);

        Assert.Equal(HttpStatusCode.Created, made.StatusCode);
        FunctionDeployment same = (await again.Content.ReadFromJsonAsync(FunctionJson.Default.FunctionDeployment))!;
        Assert.False(same.Changed);
        using HttpResponseMessage revisions = await Client.GetAsync("/v1/revisions/placed");
        string text = await revisions.Content.ReadAsStringAsync();
        Assert.Contains(
            "\"zone=cellar\"", text.Replace("\\u003D", "=", StringComparison.OrdinalIgnoreCase),
            StringComparison.Ordinal);
    }

    private async Task<string> SubmitAsync(string constraint)
    {
        using HttpRequestMessage request = new(HttpMethod.Post, $"/v1/tasks/{ServerRig.Image}");
        request.Headers.Add("Berth-Command", "cat");
        request.Headers.Add("Berth-Constraint", Uri.EscapeDataString(constraint));
        using HttpResponseMessage answer = await Client.SendAsync(request);
        answer.EnsureSuccessStatusCode();
        return (await answer.Content.ReadFromJsonAsync<JsonElement>()).GetProperty("id").GetString()!;
    }

    private Task<HttpResponseMessage> CallAsync(params string[] headers)
    {
        HttpRequestMessage request = new(HttpMethod.Post, $"/v1/call/{ServerRig.Image}");
        request.Headers.Add("Berth-Command", "cat");
        for (int i = 0; i < headers.Length; i += 2)
        {
            request.Headers.Add(headers[i], headers[i + 1]);
        }

        return Client.SendAsync(request);
    }

    private Task<HttpResponseMessage> DeployAsync(FunctionRequest request) =>
        Client.PutAsJsonAsync("/v1/functions/placed", request, FunctionJson.Default.FunctionRequest);

    private Task LabelAsync(string node, string label, string value) => ChangeAsync(
        node, new NodePatch(new Dictionary<string, string> { [label] = value }, null, null));

    private async Task ChangeAsync(string node, NodePatch patch)
    {
        using HttpResponseMessage answer = await Client.PatchAsJsonAsync(
            $"/v1/nodes/{node}", patch, NodeJson.Default.NodePatch);
        answer.EnsureSuccessStatusCode();
    }

    private Task<RunWhy> OfAsync(HttpResponseMessage answer) =>
        rig.Server.WhyAsync(answer.Headers.GetValues("Berth-Run-Id").Single());
}
