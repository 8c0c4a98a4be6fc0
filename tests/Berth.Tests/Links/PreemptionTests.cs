using System.Globalization;
using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Berth.Api.Runs;
using Berth.Core.Resources;
using Berth.Server.Runs;
using Berth.Testing.Server;
using Xunit;

namespace Berth.Tests.Links;

/// <summary>Tasks that give way to what needs the room they have on a node.</summary>
public sealed class PreemptionTests : IAsyncLifetime
{
    private LinkRig rig = null!;
    private JoinedNode worker = null!;

    private HttpClient Client => rig.Server.Client;

    private RunStatistics Statistics => rig.Server.Server.Rooms.Runs.Statistics();

    /// <summary>The worker has 4 GiB and four places, and all work goes to it.</summary>
    public async ValueTask InitializeAsync()
    {
        rig = await LinkRig.StartAsync();
        worker = await rig.JoinAsync("worker");
        await rig.UntilAsync("worker", n => n.State == "ready");
        using HttpResponseMessage cordoned = await Client.PostAsync("/v1/nodes/fake/cordon", null);
        cordoned.EnsureSuccessStatusCode();
    }

    public async ValueTask DisposeAsync() => await rig.DisposeAsync();

    [Fact]
    public async Task Memory_of_what_gives_way_is_had_by_what_does_not_and_both_are_told()
    {
        string[] batch = [await SubmitAsync(-1, 2, "sleep 600"), await SubmitAsync(-2, 2, "sleep 600")];
        await rig.Server.UntilAsync(batch[0], w => w.Run.State == "running");
        await rig.Server.UntilAsync(batch[1], w => w.Run.State == "running");

        string urgent = await SubmitAsync(0, 1, "cat");
        RunWhy done = await rig.Server.UntilAsync(urgent, w => w.Run.State == "succeeded");
        RunWhy again = await rig.Server.UntilAsync(
            batch[1], w => w.Run.State == "running" && w.Events.Any(e => e.Type == "preempted"));

        Assert.Equal(
            $"Ended because run {urgent}, to which its priority of -2 gives way, needs its room on node worker. It "
            + "waits again; this attempt does not count.",
            again.Events.Single(e => e.Type == "preempted").Detail);
        Assert.EndsWith(
            $"Ended there for its priority: {batch[1]}.", done.Events.Single(e => e.Type == "started").Detail,
            StringComparison.Ordinal);
        Assert.Equal((1, 1), (again.Run.Attempts, done.Run.Attempts));
        Assert.DoesNotContain((await rig.Server.WhyAsync(batch[0])).Events, e => e.Type == "preempted");
        Assert.Equal((1, 0), (Statistics.Preempted, Statistics.Retried));
    }

    [Fact]
    public async Task A_call_has_memory_of_tasks_that_give_way_as_soon_as_they_have_ended()
    {
        string batch = await SubmitAsync(-1, 4, "sleep 600");
        await rig.Server.UntilAsync(batch, w => w.Run.State == "running");

        using HttpResponseMessage answer = await CallAsync(3);

        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        Assert.Equal(1, worker.Node.MostRunning);
        await rig.Server.UntilAsync(batch, w => w.Events.Any(e => e.Type == "preempted"));
    }

    [Fact]
    public async Task Processor_time_is_had_likewise()
    {
        string[] batch = [await SubmitAsync(-1, 1, "sleep 600", cpus: "2"), await SubmitAsync(-1, 1, "sleep 600")];
        await rig.Server.UntilAsync(batch[0], w => w.Run.State == "running");
        await rig.Server.UntilAsync(batch[1], w => w.Run.State == "running");

        string urgent = await SubmitAsync(0, 1, "cat", cpus: "3");
        await rig.Server.UntilAsync(urgent, w => w.Run.State == "succeeded");

        await rig.Server.UntilAsync(batch[0], w => w.Events.Any(e => e.Type == "preempted"));
        Assert.Equal(1, Statistics.Preempted);
    }

    [Fact]
    public async Task What_is_only_being_started_gives_way_too()
    {
        Action go = worker.Node.HoldStarts();
        string batch = await SubmitAsync(-1, 4, "sleep 600");
        await rig.UntilAsync("worker", n => n.Running == 1);

        string urgent = await SubmitAsync(0, 4, "cat");
        await rig.Server.UntilAsync(batch, w => w.Events.Any(e => e.Type == "preempted"));
        go();

        await rig.Server.UntilAsync(urgent, w => w.Run.State == "succeeded");
        await rig.Server.UntilAsync(batch, w => w.Run.State == "running" && w.Run.Attempts == 1);
    }

    [Fact]
    public async Task Nothing_gives_way_on_a_node_that_what_waits_may_not_have()
    {
        await rig.JoinAsync("other", places: 1);
        await rig.UntilAsync("other", n => n.State == "ready");
        string stays = await SubmitAsync(0, 1, "sleep 600", "node=other");
        await rig.Server.UntilAsync(stays, w => w.Run.State == "running");
        string[] batch = new string[4];
        for (int i = 0; i < batch.Length; i++)
        {
            batch[i] = await SubmitAsync(-1, 1, "sleep 600", "node=worker");
            await rig.Server.UntilAsync(batch[i], w => w.Run.State == "running");
        }

        string waits = await SubmitAsync(5, 1, "cat", "node=other");
        await rig.Server.UntilAsync(waits, w => w.Events.Any(e => e.Type == "waiting"));
        string elsewhere = await SubmitAsync(5, 1, "cat", "node=worker");
        await rig.Server.UntilAsync(elsewhere, w => w.Run.State == "succeeded");

        Assert.Equal(1, Statistics.Preempted);
        using HttpResponseMessage canceled = await Client.PostAsync($"/v1/runs/{stays}/cancel", null);
        Assert.Equal("other", (await rig.Server.UntilAsync(waits, w => w.Run.State == "succeeded")).Run.Node);
        Assert.Equal(1, Statistics.Preempted);
    }

    [Fact]
    public async Task Of_many_that_need_room_each_ends_what_it_needs_and_no_more()
    {
        string[] batch = new string[4];
        for (int i = 0; i < batch.Length; i++)
        {
            batch[i] = await SubmitAsync(-1, 1, "sleep 600");
            await rig.Server.UntilAsync(batch[i], w => w.Run.State == "running");
        }

        string[] urgent = [.. await Task.WhenAll(Enumerable.Range(0, 3).Select(_ => SubmitAsync(1, 1, "sleep 600")))];
        foreach (string id in urgent)
        {
            await rig.Server.UntilAsync(id, w => w.Run.State == "running");
        }

        Assert.Equal(3, Statistics.Preempted);
        Assert.Equal(4, worker.Node.MostRunning);
        Assert.Single(await Task.WhenAll(batch.Select(rig.Server.WhyAsync)), w => w.Run.State == "running");
    }

    private async Task<string> SubmitAsync(
        int priority, int memory, string command, string? constraint = null, string? cpus = null)
    {
        using HttpRequestMessage request = new(HttpMethod.Post, $"/v1/tasks/{ServerRig.Image}");
        request.Headers.Add("Berth-Command", command.Split(' '));
        request.Headers.Add("Berth-Priority", priority.ToString(CultureInfo.InvariantCulture));
        request.Headers.Add("Berth-Memory", Bytes(memory));
        if (constraint is not null)
        {
            request.Headers.Add("Berth-Constraint", Uri.EscapeDataString(constraint));
        }

        if (cpus is not null)
        {
            request.Headers.Add("Berth-Cpus", cpus);
        }

        using HttpResponseMessage answer = await Client.SendAsync(request);
        Assert.True(answer.IsSuccessStatusCode, await answer.Content.ReadAsStringAsync());
        return (await answer.Content.ReadFromJsonAsync<JsonElement>()).GetProperty("id").GetString()!;
    }

    private async Task<HttpResponseMessage> CallAsync(int memory)
    {
        using HttpRequestMessage request = new(HttpMethod.Post, $"/v1/call/{ServerRig.Image}");
        request.Headers.Add("Berth-Command", "cat");
        request.Headers.Add("Berth-Memory", Bytes(memory));
        return await Client.SendAsync(request);
    }

    private static string Bytes(int memory) => ByteSize.GiB(memory).Bytes.ToString(CultureInfo.InvariantCulture);
}
