using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Berth.Api.Client;
using Berth.Api.Containers;
using Berth.Api.Functions;
using Berth.Api.Nodes;
using Berth.Api.Runs;
using Berth.Core.Resources;
using Berth.Testing.Server;
using Berth.Tests.Functions;
using Xunit;

namespace Berth.Tests.Links;

/// <summary>Named volumes: which machine has one, and that what uses it runs there.</summary>
public sealed class PlacedVolumeTests : IAsyncLifetime
{
    private LinkRig rig = null!;
    private JoinedNode worker = null!;

    private HttpClient Client => rig.Server.Client;

    public async ValueTask InitializeAsync()
    {
        rig = await LinkRig.StartAsync();
        worker = await rig.JoinAsync("worker");
        await rig.UntilAsync("worker", n => n.State == "ready");
    }

    public async ValueTask DisposeAsync() => await rig.DisposeAsync();

    [Fact]
    public async Task What_uses_a_volume_runs_on_the_machine_that_used_it_first()
    {
        await CordonAsync("fake");
        using HttpResponseMessage first = await CallAsync("pages:/srv");
        Assert.Equal(HttpStatusCode.OK, first.StatusCode);
        await UncordonAsync("fake");

        for (int i = 0; i < 4; i++)
        {
            using HttpResponseMessage again = await CallAsync("pages:/srv:ro");
            Assert.Equal("worker", (await WhyAsync(again)).Run.Node);
        }

        VolumeView volume = Assert.Single(
            (await Client.GetFromJsonAsync("/v1/volumes", ContainerJson.Default.VolumeList))!.Volumes);
        Assert.Equal(("pages", "worker"), (volume.Name, volume.Node));
        Assert.Equal(
            ["pages"], (await worker.Node.Storage.VolumesAsync(CancellationToken.None)).Select(v => v.Name));
        Assert.Empty(await rig.Server.Node.Storage.VolumesAsync(CancellationToken.None));
    }

    [Fact]
    public async Task A_volume_whose_machine_takes_nothing_is_told_as_the_reason()
    {
        await MakeAsync("models", "worker");
        await CordonAsync("worker");

        using HttpResponseMessage refused = await CallAsync("models:/models");

        Problem problem = (await refused.Content.ReadFromJsonAsync(RunJson.Default.Problem))!;
        Assert.Equal((HttpStatusCode.ServiceUnavailable, "no_node"), (refused.StatusCode, problem.Code));
        Assert.Contains("volume models elsewhere 1", problem.Detail, StringComparison.Ordinal);
        Assert.Contains("node cordoned 1", problem.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Volumes_of_two_machines_are_nowhere_together()
    {
        await MakeAsync("here", "fake");
        await MakeAsync("there", "worker");

        using HttpResponseMessage refused = await CallAsync("here:/a", "there:/b");

        Assert.Equal(HttpStatusCode.ServiceUnavailable, refused.StatusCode);
        Assert.Contains(
            "elsewhere", await refused.Content.ReadAsStringAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_container_goes_to_the_machine_of_its_volume()
    {
        await MakeAsync("pages", "worker");

        using HttpResponseMessage made = await Client.PostAsJsonAsync(
            "/v1/containers",
            new ContainerRequest(ServerRig.Image, Mounts: [new MountView("volume", "pages", "/srv")]),
            ContainerJson.Default.ContainerRequest);
        ContainerView? view = await made.Content.ReadFromJsonAsync(ContainerJson.Default.ContainerView);
        using HttpResponseMessage removed = await Client.DeleteAsync("/v1/volumes/pages");

        Assert.Equal("worker", view!.Node);
        Assert.Equal(HttpStatusCode.Conflict, removed.StatusCode);
    }

    [Fact]
    public async Task A_volume_is_removed_on_its_machine_and_not_while_something_runs_with_it()
    {
        await MakeAsync("pages", "worker");
        string task = await SubmitAsync("pages:/srv", "sleep", "600");
        await rig.UntilAsync("worker", n => n.Running == 1);

        using HttpResponseMessage busy = await Client.DeleteAsync("/v1/volumes/pages");
        using HttpResponseMessage canceled = await Client.PostAsync($"/v1/runs/{task}/cancel", null);
        await rig.UntilAsync("worker", n => n.Running == 0);
        using HttpResponseMessage removed = await Client.DeleteAsync("/v1/volumes/pages");
        using HttpResponseMessage gone = await Client.GetAsync("/v1/volumes/pages");

        Assert.Equal(HttpStatusCode.Conflict, busy.StatusCode);
        canceled.EnsureSuccessStatusCode();
        Assert.Equal(HttpStatusCode.NoContent, removed.StatusCode);
        Assert.Equal(HttpStatusCode.NotFound, gone.StatusCode);
        Assert.Empty(await worker.Node.Storage.VolumesAsync(CancellationToken.None));
    }

    [Fact]
    public async Task What_a_removed_machine_had_is_forgotten()
    {
        await MakeAsync("pages", "worker");

        using HttpResponseMessage removed = await Client.DeleteAsync("/v1/nodes/worker");

        Assert.Equal(HttpStatusCode.NoContent, removed.StatusCode);
        using HttpResponseMessage gone = await Client.GetAsync("/v1/volumes/pages");
        Assert.Equal(HttpStatusCode.NotFound, gone.StatusCode);
    }

    [Fact]
    public async Task A_volume_is_made_where_it_is_asked_for_once()
    {
        using HttpResponseMessage nowhere = await PostAsync("pages", "attic");
        await MakeAsync("pages", "worker");
        await MakeAsync("pages", null);
        using HttpResponseMessage twice = await PostAsync("pages", "fake");

        Assert.Equal(HttpStatusCode.NotFound, nowhere.StatusCode);
        Assert.Equal(HttpStatusCode.Conflict, twice.StatusCode);
        Assert.Contains("'worker' already", await twice.Content.ReadAsStringAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_volume_without_a_machine_gets_that_of_its_first_use()
    {
        await MakeAsync("pages", null);
        Assert.Null((await SeeAsync("pages")).Node);
        await CordonAsync("fake");

        using HttpResponseMessage first = await CallAsync("pages:/srv");

        Assert.Equal(HttpStatusCode.OK, first.StatusCode);
        Assert.Equal("worker", (await SeeAsync("pages")).Node);
    }

    [Fact]
    public async Task A_volume_is_made_on_a_machine_that_is_as_asked()
    {
        VolumeRequest attic = new("pages", Constraints: ["node=worker"]);
        using HttpResponseMessage made = await PostAsync(attic);
        using HttpResponseMessage nowhere = await PostAsync(new("other", Constraints: ["zone=roof"]));
        using HttpResponseMessage both = await PostAsync(attic with { Name = "both", Node = "worker" });

        Assert.Equal(HttpStatusCode.Created, made.StatusCode);
        Assert.Equal("worker", (await SeeAsync("pages")).Node);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, nowhere.StatusCode);
        Assert.Contains(
            "constraint zone=roof 2", await nowhere.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        Assert.Equal(HttpStatusCode.BadRequest, both.StatusCode);
    }

    [Fact]
    public async Task A_task_whose_volumes_machine_is_lost_waits_and_says_so()
    {
        await MakeAsync("pages", "worker");
        await worker.StopAsync();
        await rig.UntilAsync("worker", n => n.State == "lost");

        string task = await SubmitAsync("pages:/srv", "true");

        await UntilAsync(
            task,
            w => w.Events.Any(e => e.Detail.Contains(
                "The volume 'pages' is on node worker, which is lost.", StringComparison.Ordinal)));
        using HttpResponseMessage kept = await Client.DeleteAsync("/v1/volumes/pages");
        Assert.Equal(HttpStatusCode.Conflict, kept.StatusCode);
        Assert.Contains("node rm worker", await kept.Content.ReadAsStringAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_functions_calls_and_instances_are_where_its_volume_is()
    {
        await MakeAsync("pages", "worker");
        await using PlayedService service = new(
            (request, _) => Task.FromResult<string?>(PlayedService.Answer(200, request.Body)));
        FunctionRequest web = new(
            ServerRig.Image, ["sleep", "3600"], Contract: "http", Port: service.Port, Volumes: ["pages:/srv"],
            Tmpfs: ["/scratch:size=1Mi"]);
        using BerthClient client = new(rig.Server.Address, rig.Server.AdminToken, TimeProvider.System);
        await client.Functions.DeployAsync("web", web, CancellationToken.None);
        await client.Functions.DeployAsync(
            "each", new FunctionRequest(ServerRig.Image, ["cat"], Volumes: ["pages:/srv:ro"]), CancellationToken.None);

        for (int i = 0; i < 3; i++)
        {
            using HttpResponseMessage one = await Client.PostAsync("/v1/functions/web", new StringContent("over"));
            using HttpResponseMessage other = await Client.PostAsync("/v1/functions/each", new StringContent("there"));
            Assert.Equal(
                ("over", "there"),
                (await one.Content.ReadAsStringAsync(), await other.Content.ReadAsStringAsync()));
        }

        Assert.Empty(rig.Server.Node.Started);
        Assert.Equal(4, worker.Node.Started.Count);
        Assert.All(worker.Node.Started, s => Assert.Contains(s.Extras!.Mounts, m => m is SandboxMount.Volume));
        Assert.Equal(
            new SandboxMount.Temporary("/scratch", ByteSize.MiB(1)),
            worker.Node.Started.Single(s => s.IsInstance).Extras!.Mounts[1]);
        using HttpResponseMessage busy = await Client.DeleteAsync("/v1/volumes/pages");
        Assert.Equal(HttpStatusCode.Conflict, busy.StatusCode);
    }

    [Fact]
    public async Task A_function_with_a_volume_has_a_container_for_each_call()
    {
        FunctionRequest request = new(ServerRig.Image, ["cat"], Volumes: ["pages:/srv"], Isolation: "single-use");

        using HttpResponseMessage refused = await Client.PutAsJsonAsync(
            "/v1/functions/each", request, FunctionJson.Default.FunctionRequest);

        Assert.Equal(HttpStatusCode.BadRequest, refused.StatusCode);
        Assert.Contains("strict", await refused.Content.ReadAsStringAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_folder_of_a_machine_is_had_where_its_administrator_allows_it()
    {
        JoinedNode store = await rig.JoinAsync("store", folders: ["/srv/data"]);
        await rig.UntilAsync("store", n => n.State == "ready");

        using HttpResponseMessage there = await CallAsync("/srv/data/books/:/books:ro");
        using HttpResponseMessage nowhere = await CallAsync("/srv:/srv");
        using HttpResponseMessage hidden = await CallAsync("/srv/data/../../etc:/books");

        Assert.Equal(HttpStatusCode.OK, there.StatusCode);
        Assert.Equal(
            [new SandboxMount.Host("/srv/data/books", "/books", ReadOnly: true)],
            Assert.Single(store.Node.Started).Extras!.Mounts);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, nowhere.StatusCode);
        Assert.Contains(
            "host folder /srv 3", await nowhere.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        Assert.Equal(HttpStatusCode.BadRequest, hidden.StatusCode);
    }

    [Fact]
    public async Task A_volume_that_another_server_removed_under_a_use_is_known_again()
    {
        await MakeAsync("pages", "worker");
        string task = await SubmitAsync("pages:/srv", "sleep", "600");
        await rig.UntilAsync("worker", n => n.Running == 1);
        await rig.Server.Server.Rooms.Volumes.ForgetAsync(["pages"], CancellationToken.None);

        await rig.Rooms.Fleet.ReclaimVolumesAsync(CancellationToken.None);

        Assert.Equal("worker", (await SeeAsync("pages")).Node);
        using HttpResponseMessage canceled = await Client.PostAsync($"/v1/runs/{task}/cancel", null);
        canceled.EnsureSuccessStatusCode();
    }

    private async Task MakeAsync(string name, string? node)
    {
        using HttpResponseMessage answer = await PostAsync(name, node);
        Assert.True(answer.IsSuccessStatusCode, await answer.Content.ReadAsStringAsync());
    }

    private Task<HttpResponseMessage> PostAsync(string name, string? node) => PostAsync(new(name, node));

    private Task<HttpResponseMessage> PostAsync(VolumeRequest request) => Client.PostAsJsonAsync(
        "/v1/volumes", request, ContainerJson.Default.VolumeRequest);

    private async Task<VolumeView> SeeAsync(string name) =>
        (await Client.GetFromJsonAsync($"/v1/volumes/{name}", ContainerJson.Default.VolumeView))!;

    private async Task<RunWhy> UntilAsync(string run, Func<RunWhy, bool> holds)
    {
        using CancellationTokenSource limit = new(TimeSpan.FromMinutes(1));
        while (true)
        {
            RunWhy why = (await Client.GetFromJsonAsync($"/v1/runs/{run}/why", RunJson.Default.RunWhy))!;
            if (holds(why))
            {
                return why;
            }

            Assert.False(limit.IsCancellationRequested, $"It is still: {why}");
            await Task.Delay(20, CancellationToken.None);
        }
    }

    private async Task CordonAsync(string node)
    {
        using HttpResponseMessage answer = await Client.PostAsync($"/v1/nodes/{node}/cordon", null);
        answer.EnsureSuccessStatusCode();
    }

    private async Task UncordonAsync(string node)
    {
        using HttpResponseMessage answer = await Client.PostAsync($"/v1/nodes/{node}/uncordon", null);
        answer.EnsureSuccessStatusCode();
    }

    private async Task<string> SubmitAsync(string volume, params string[] command)
    {
        using HttpRequestMessage request = new(HttpMethod.Post, $"/v1/tasks/{ServerRig.Image}");
        request.Headers.Add("Berth-Command", command);
        request.Headers.Add("Berth-Volume", Uri.EscapeDataString(volume));
        using HttpResponseMessage answer = await Client.SendAsync(request);
        answer.EnsureSuccessStatusCode();
        return (await answer.Content.ReadFromJsonAsync<JsonElement>()).GetProperty("id").GetString()!;
    }

    private Task<HttpResponseMessage> CallAsync(params string[] volumes)
    {
        HttpRequestMessage request = new(HttpMethod.Post, $"/v1/call/{ServerRig.Image}");
        request.Headers.Add("Berth-Command", "cat");
        request.Headers.Add("Berth-Volume", volumes.Select(Uri.EscapeDataString));
        return Client.SendAsync(request);
    }

    private Task<RunWhy> WhyAsync(HttpResponseMessage answer) => Client.GetFromJsonAsync(
        $"/v1/runs/{answer.Headers.GetValues("Berth-Run-Id").Single()}/why", RunJson.Default.RunWhy)!;
}
