using System.Net;
using System.Net.Http.Json;
using Berth.Api.Nodes;
using Berth.Api.Runs;
using Berth.Api.Server;
using Berth.Server.Hosting;
using Berth.Testing.Server;
using Xunit;

namespace Berth.Tests.Server;

/// <summary>What an operator and a load balancer see: health, readiness, the way a server stops, traces.</summary>
public sealed class OperationTests
{
    [Fact]
    public async Task A_healthy_server_says_so_to_everybody()
    {
        await using ServerRig rig = await ServerRig.StartAsync();
        using HttpClient nobody = rig.ClientWith(null);

        HealthView health = (await nobody.GetFromJsonAsync("/healthz", ServerJson.Default.HealthView))!;
        HealthView ready = (await nobody.GetFromJsonAsync("/readyz", ServerJson.Default.HealthView))!;

        Assert.Equal(("ok", "ok"), (health.Status, ready.Status));
        Assert.Equal(["server", "store", "disk"], ready.Checks.Select(c => c.Name));
        Assert.All(ready.Checks, check => Assert.True(check.Ok, check.Detail));
    }

    [Fact]
    public async Task A_stopping_server_is_not_ready_takes_nothing_new_and_finishes_what_it_has()
    {
        await using ServerRig rig = await ServerRig.StartAsync(o => o with { ShutdownGrace = TimeSpan.FromMinutes(5) });
        Task<HttpResponseMessage> calling = rig.SendAsync(ServerRig.Call(
            body: new HeldContent(out Action send), headers: [("Berth-Label", "test=last")]));
        string id = await Eventually.FindRunAsync(rig, "test=last", run => run.State == "running");

        Task stopping = rig.Server.StopAsync(CancellationToken.None);
        using HttpResponseMessage ready = await Eventually.AnswerAsync(
            rig, "/readyz", HttpStatusCode.ServiceUnavailable);
        using HttpResponseMessage healthy = await rig.GetAsync("/healthz");
        using HttpResponseMessage call = await rig.SendAsync(ServerRig.Call());
        using HttpResponseMessage task = await rig.SendAsync(ServerRig.Call(route: "tasks"));
        RunView run = await rig.RunAsync(id);
        send();
        using HttpResponseMessage answered = await calling;
        await stopping;

        HealthView health = (await ready.Content.ReadFromJsonAsync(ServerJson.Default.HealthView))!;
        Assert.Equal("failing", health.Status);
        Assert.Equal("The server is stopping.", health.Checks.Single(c => !c.Ok).Detail);
        Assert.Equal(HttpStatusCode.OK, healthy.StatusCode);
        await call.ProblemAsync(503, "shutting_down");
        await task.ProblemAsync(503, "shutting_down");
        Assert.NotEmpty(task.Headers.GetValues("Retry-After"));
        Assert.Equal("running", run.State);
        Assert.Equal("held back", await answered.Content.ReadAsStringAsync());
    }

    [Fact]
    public async Task The_machine_its_sandboxes_and_the_version_are_told()
    {
        await using ServerRig rig = await ServerRig.StartAsync();
        RunView run = await rig.SubmitAsync(["sleep", "600"]);
        await Eventually.RunAsync(rig, run.Id, r => r.State == "running");

        NodeView node = (await rig.Client.GetFromJsonAsync("/v1/node", NodeJson.Default.NodeView))!;
        SandboxList sandboxes = (await rig.Client.GetFromJsonAsync("/v1/sandboxes", NodeJson.Default.SandboxList))!;
        VersionView version = (await rig.Client.GetFromJsonAsync("/v1/version", NodeJson.Default.VersionView))!;

        Assert.Equal(("fake", 1), (node.Name, node.Sandboxes["running"]));
        Assert.Equal(
            (run.Id, "running", rig.Digest.Text),
            sandboxes.Sandboxes.Select(s => (s.Run, s.State, s.Image)).Single());
        Assert.Matches(@"\A\d+\.\d+\.\d+", version.Version);
    }

    [Theory]
    [InlineData("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true)]
    [InlineData("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", true)]
    [InlineData("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-comes", true)]
    [InlineData("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x", false)]
    [InlineData("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false)]
    [InlineData("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", false)]
    [InlineData("00-00000000000000000000000000000000-00f067aa0ba902b7-01", false)]
    [InlineData("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", false)]
    [InlineData("00-4bf92f3577b34da6a3ce929d0e0e4736", false)]
    [InlineData("", false)]
    [InlineData(null, false)]
    public void A_trace_goes_on_where_the_header_is_valid_and_begins_anew_where_not(string? header, bool continues)
    {
        TraceContext trace = TraceContext.From(header, "vendor=1");

        Assert.Equal(continues, trace.TraceId == "4bf92f3577b34da6a3ce929d0e0e4736");
        Assert.Equal(continues ? "vendor=1" : null, trace.State);
        Assert.Matches(@"\A00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]\z", trace.Parent);
        Assert.DoesNotContain("00f067aa0ba902b7", trace.Parent, StringComparison.Ordinal);
    }

    /// <summary>A body that waits until it may be sent.</summary>
    private sealed class HeldContent : HttpContent
    {
        private readonly TaskCompletionSource held = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public HeldContent(out Action send) => send = () => held.TrySetResult();

        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context)
        {
            // So that the head of the request is sent.
            await stream.FlushAsync();
            await held.Task;
            await stream.WriteAsync("held back"u8.ToArray());
        }

        protected override bool TryComputeLength(out long length)
        {
            length = 9;
            return true;
        }
    }
}
