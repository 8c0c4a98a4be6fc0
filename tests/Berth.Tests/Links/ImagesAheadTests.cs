using System.Net;
using System.Net.Http.Json;
using Berth.Api.Functions;
using Berth.Api.Nodes;
using Berth.Core.Images;
using Berth.Testing.Server;
using Berth.Tests.Functions;
using Xunit;

namespace Berth.Tests.Links;

/// <summary>Nodes fetch images before something there needs them.</summary>
public sealed class ImagesAheadTests : IAsyncLifetime
{
    private LinkRig rig = null!;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private HttpClient Client => rig.Server.Client;

    public async ValueTask InitializeAsync() => rig = await LinkRig.StartAsync();

    public async ValueTask DisposeAsync() => await rig.DisposeAsync();

    [Fact]
    public async Task With_its_deployment_the_image_of_a_function_comes_to_the_nodes_before_a_sandbox_is_made()
    {
        JoinedNode worker = await JoinAsync("worker");

        await DeployAsync(new FunctionRequest(ServerRig.Image));

        await HeldAsync("worker");
        Assert.Empty(worker.Node.Started);
        await rig.UntilAsync("worker", _ => worker.Node.Expected.Any(s => s.Image == rig.Server.Digest));
    }

    [Fact]
    public async Task The_image_of_a_function_that_serves_comes_too_and_no_sandbox_is_made()
    {
        await using PlayedService service = new(
            (_, _) => Task.FromResult<string?>(PlayedService.Answer(200, "here")));
        JoinedNode worker = await JoinAsync("worker");

        await DeployAsync(new FunctionRequest(
            ServerRig.Image, ["sleep", "3600"], Contract: "http", Port: service.Port, Constraints: ["node=fake"]));
        Assert.Empty((await rig.SeeAsync("worker")).Load!.Images);
        await DeployAsync(new FunctionRequest(
            ServerRig.Image, ["sleep", "3600"], Contract: "http", Port: service.Port));

        await HeldAsync("worker");
        Assert.Empty(worker.Node.Expected);
    }

    [Fact]
    public async Task A_node_that_came_later_has_the_image_once_the_others_get_busy()
    {
        await JoinAsync("worker");
        await DeployAsync(new FunctionRequest(ServerRig.Image));
        await HeldAsync("worker");
        JoinedNode late = await JoinAsync("late");
        await CordonAsync("late");

        // Six at once, three to each of the two: another node is to be ready for those that follow.
        Task<HttpResponseMessage>[] calls = await CallAsync(6);
        Assert.Empty((await rig.SeeAsync("late")).Load!.Images);
        await CordonAsync("late", "uncordon");
        await rig.UntilAsync("late", n => !n.Cordoned);
        while ((await rig.SeeAsync("late")).Load is { Images: [] })
        {
            using HttpResponseMessage more = await rig.Server.SendAsync(ServerRig.Call(["true"]), Token);
        }

        Assert.Equal([rig.Server.Digest.Text], (await rig.SeeAsync("late")).Load!.Images);
        foreach (Task<HttpResponseMessage> call in calls)
        {
            using HttpResponseMessage answer = await call;
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        }
    }

    [Fact]
    public async Task An_image_that_there_is_not_does_no_harm()
    {
        JoinedNode worker = await JoinAsync("worker");
        rig.Rooms.Register.Get("worker").Node!.Fetch(Digest.Sha256([1, 2, 3]));
        rig.Rooms.Register.Get("worker").Node!.Fetch(rig.Server.Digest);

        MachineView seen = await HeldAsync("worker");

        Assert.Equal([rig.Server.Digest.Text], seen.Load!.Images);
        await rig.UntilAsync("worker", n => n.Load is { Coming: null });
        Assert.Equal("ready", seen.State);
        Assert.Empty(worker.Node.Started);
    }

    [Fact]
    public async Task A_node_that_starts_again_tells_its_images_with_its_first_word_and_fetches_nothing_again()
    {
        JoinedNode worker = await JoinAsync("worker");
        await DeployAsync(new FunctionRequest(ServerRig.Image));
        await HeldAsync("worker");
        await worker.StopAsync();
        await rig.UntilAsync("worker", n => n.State == "lost");

        JoinedNode again = await rig.StartAsync(worker.Folder, worker.Identity);

        MachineView first = await rig.UntilAsync("worker", n => n is { State: "ready", Load: not null });
        Assert.Equal([rig.Server.Digest.Text], first.Load!.Images);
        await DeployAsync(new FunctionRequest(ServerRig.Image, ["cat", "-u"]));
        await rig.UntilAsync("worker", _ => again.Node.Expected.Any(s => s.Image == rig.Server.Digest));
        Assert.Equal(0, again.Images.FromOrigin);
    }

    private async Task<JoinedNode> JoinAsync(string name)
    {
        JoinedNode node = await rig.JoinAsync(name);
        await rig.UntilAsync(name, n => n is { State: "ready", Load: not null });
        return node;
    }

    private Task<MachineView> HeldAsync(string node) =>
        rig.UntilAsync(node, n => n.Load?.Images.Contains(rig.Server.Digest.Text) == true);

    private async Task DeployAsync(FunctionRequest request)
    {
        using HttpResponseMessage answer = await Client.PutAsJsonAsync(
            "/v1/functions/echo", request, FunctionJson.Default.FunctionRequest, Token);
        Assert.True(answer.IsSuccessStatusCode, await answer.Content.ReadAsStringAsync(Token));
    }

    /// <summary>Begins calls that last, and returns when all run.</summary>
    private async Task<Task<HttpResponseMessage>[]> CallAsync(int count)
    {
        int before = Running;
        Task<HttpResponseMessage>[] calls =
            [.. Enumerable.Range(0, count).Select(_ => rig.Server.SendAsync(ServerRig.Call(["sleep", "8"])))];
        await rig.UntilAsync("worker", _ => Running >= before + count);
        return calls;
    }

    private int Running => rig.Rooms.Register.All.Sum(n => rig.Rooms.Fleet.RunningOn(n));

    private async Task CordonAsync(string node, string what = "cordon")
    {
        using HttpResponseMessage answer = await Client.PostAsync($"/v1/nodes/{node}/{what}", null, Token);
        answer.EnsureSuccessStatusCode();
    }
}
