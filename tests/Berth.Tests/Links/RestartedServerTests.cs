using System.Net;
using System.Net.Http.Json;
using Berth.Api.Client;
using Berth.Api.Containers;
using Berth.Core.Errors;
using Berth.Node.Links;
using Berth.Testing.Clocks;
using Berth.Testing.Content;
using Berth.Testing.Server;
using Xunit;

namespace Berth.Tests.Links;

/// <summary>A server that has begun again, and nodes that have not dialled it yet.</summary>
public sealed class RestartedServerTests
{
    [Fact]
    public async Task A_call_waits_for_a_node_that_was_there_before_and_may_have_it()
    {
        using TemporaryFolder folder = new();
        TemporaryFolder node = new();
        await MakeAsync(folder, node);
        await using LinkRig rig = await LinkRig.StartAsync(folder: folder);

        Task<HttpResponseMessage> calling = CallAsync(rig, "hello", "node%3Dworker");
        using HttpResponseMessage never = await CallAsync(rig, "hello", "zone%3Dattic");
        bool waits = !calling.IsCompleted;
        await rig.StartAsync(node, NodeIdentity.Load(node.Path)!);
        using HttpResponseMessage answer = await calling;

        Assert.Equal(HttpStatusCode.ServiceUnavailable, never.StatusCode);
        Assert.True(waits, "It was not refused at once.");
        Assert.Equal("hello", await answer.Content.ReadAsStringAsync());
    }

    [Fact]
    public async Task A_container_waits_for_the_node_that_it_is_to_be_on_and_starts_there()
    {
        using TemporaryFolder folder = new();
        TemporaryFolder node = new();
        await MakeAsync(folder, node);
        // Nothing is over before the node has come, however long that takes here.
        await using LinkRig rig = await LinkRig.StartAsync(folder: folder, time: ManualTime.OfNow());
        using BerthClient client = new(rig.Server.Address, rig.Server.AdminToken, TimeProvider.System);

        Task<ContainerView> creating = CreateAsync(client, "here", "node=worker");
        BerthException never = await Assert.ThrowsAsync<BerthException>(() => CreateAsync(client, "no", "zone=attic"));
        bool waits = !creating.IsCompleted;
        await rig.StartAsync(node, NodeIdentity.Load(node.Path)!);
        await creating;
        ContainerView started = await client.Containers.StartAsync("here", CancellationToken.None);

        Assert.Equal(ErrorCode.NoNode, never.Code);
        Assert.True(waits, "It was not refused at once.");
        Assert.Equal("worker", started.Node);
    }

    [Fact]
    public async Task A_container_whose_node_does_not_come_is_refused_with_its_name()
    {
        using TemporaryFolder folder = new();
        using TemporaryFolder node = new();
        await MakeAsync(folder, node);
        ManualTime time = ManualTime.OfNow();
        await using LinkRig rig = await LinkRig.StartAsync(folder: folder, time: time);
        using BerthClient client = new(rig.Server.Address, rig.Server.AdminToken, TimeProvider.System);

        Task<ContainerView> creating = CreateAsync(client, "here", "node=worker");
        using CancellationTokenSource limit = new(TimeSpan.FromMinutes(1));
        while (!creating.IsCompleted)
        {
            time.Advance(TimeSpan.FromSeconds(1));
            await Task.Delay(20, limit.Token);
        }

        BerthException refused = await Assert.ThrowsAsync<BerthException>(() => creating);
        Assert.Equal(ErrorCode.NoNode, refused.Code);
        Assert.Contains(
            "The node 'worker' is lost: it has no link to this server.", refused.Message, StringComparison.Ordinal);
        BerthException unknown = await Assert.ThrowsAsync<BerthException>(
            () => CreateAsync(client, "there", "node=worked"));
        Assert.Contains("There is no node 'worked'.", unknown.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_volume_is_removed_once_its_machine_has_come_and_is_not_forgotten_before()
    {
        using TemporaryFolder folder = new();
        TemporaryFolder node = new();
        await MakeAsync(folder, node, rig => UseAsync(rig, "pages"));
        await using LinkRig rig = await LinkRig.StartAsync(folder: folder, time: ManualTime.OfNow());

        Task<HttpResponseMessage> removing = rig.Server.Client.DeleteAsync("/v1/volumes/pages");
        bool waits = !removing.IsCompleted;
        await rig.StartAsync(node, NodeIdentity.Load(node.Path)!);
        using HttpResponseMessage removed = await removing;
        using HttpResponseMessage gone = await rig.Server.Client.GetAsync("/v1/volumes/pages");

        Assert.Equal(HttpStatusCode.NoContent, removed.StatusCode);
        Assert.Equal(HttpStatusCode.NotFound, gone.StatusCode);
        Assert.True(waits, "It was not refused at once.");
    }

    [Fact]
    public async Task A_volume_whose_machine_does_not_come_is_not_removed_and_that_is_said()
    {
        using TemporaryFolder folder = new();
        using TemporaryFolder node = new();
        await MakeAsync(folder, node, rig => UseAsync(rig, "pages"));
        ManualTime time = ManualTime.OfNow();
        await using LinkRig rig = await LinkRig.StartAsync(folder: folder, time: time);

        Task<HttpResponseMessage> removing = rig.Server.Client.DeleteAsync("/v1/volumes/pages");
        using CancellationTokenSource limit = new(TimeSpan.FromMinutes(1));
        while (!removing.IsCompleted)
        {
            time.Advance(TimeSpan.FromSeconds(1));
            await Task.Delay(20, limit.Token);
        }

        using HttpResponseMessage refused = await removing;
        using HttpResponseMessage there = await rig.Server.Client.GetAsync("/v1/volumes/pages");
        Assert.Equal(HttpStatusCode.Conflict, refused.StatusCode);
        Assert.Contains(
            "on the machine 'worker', which can't be reached from here", await refused.Content.ReadAsStringAsync(),
            StringComparison.Ordinal);
        Assert.Equal(HttpStatusCode.OK, there.StatusCode);
    }

    [Fact]
    public async Task What_its_policy_starts_with_the_server_waits_for_a_node_that_takes_it()
    {
        using TemporaryFolder folder = new();
        TemporaryFolder node = new();
        await MakeAsync(folder, node, RunAndCordonAsync);
        await using LinkRig rig = await LinkRig.StartAsync(folder: folder);
        await rig.StartAsync(node, NodeIdentity.Load(node.Path)!);
        using BerthClient client = new(rig.Server.Address, rig.Server.AdminToken, TimeProvider.System);

        await UntilAsync(client, "restarting");
        await client.Nodes.UncordonAsync("worker", CancellationToken.None);

        await UntilAsync(client, "running");
    }

    /// <summary>Leaves a container that waits for its next start, for which no node is.</summary>
    private static async Task RunAndCordonAsync(LinkRig rig)
    {
        using BerthClient client = new(rig.Server.Address, rig.Server.AdminToken, TimeProvider.System);
        await client.Containers.CreateAsync(
            new ContainerRequest(
                ServerRig.Image, "web", ["sleep", "600"], Restart: "always", Constraints: ["node=worker"]),
            CancellationToken.None);
        await client.Containers.StartAsync("web", CancellationToken.None);
        await client.Nodes.CordonAsync("worker", CancellationToken.None);
        await client.Containers.KillAsync("web", "TERM", CancellationToken.None);
        await UntilAsync(client, "restarting");
    }

    private static async Task UntilAsync(BerthClient client, string state)
    {
        using CancellationTokenSource limit = new(TimeSpan.FromMinutes(1));
        while ((await client.Containers.GetAsync("web", limit.Token)).State != state)
        {
            await Task.Delay(20, limit.Token);
        }
    }

    private static async Task UseAsync(LinkRig rig, string volume)
    {
        using HttpResponseMessage made = await rig.Server.Client.PostAsJsonAsync(
            "/v1/volumes", new VolumeRequest(volume, "worker"), ContainerJson.Default.VolumeRequest);
        made.EnsureSuccessStatusCode();
    }

    private static Task<ContainerView> CreateAsync(BerthClient client, string name, string constraint) =>
        client.Containers.CreateAsync(
            new ContainerRequest(ServerRig.Image, name, ["cat"], OpenInput: true, Constraints: [constraint]),
            CancellationToken.None);

    /// <summary>A data folder of a server, and of a node that has joined it.</summary>
    private static async Task MakeAsync(
        TemporaryFolder folder, TemporaryFolder node, Func<LinkRig, Task>? use = null)
    {
        await using LinkRig rig = await LinkRig.StartAsync(folder: folder);
        JoinedNode worker = await rig.JoinAsync("worker");
        await rig.UntilAsync("worker", n => n.State == "ready");
        await (use?.Invoke(rig) ?? Task.CompletedTask);
        foreach (string file in (string[])["identity.pem", "authority.pem"])
        {
            File.Copy(worker.Folder[file], node[file]);
        }
    }

    private static async Task<HttpResponseMessage> CallAsync(LinkRig rig, string input, string constraint)
    {
        using HttpRequestMessage request = new(HttpMethod.Post, "/v1/call/demo/echo:1")
        {
            Content = new StringContent(input),
        };
        request.Headers.Add("Berth-Constraint", constraint);
        return await rig.Server.Client.SendAsync(request);
    }
}
