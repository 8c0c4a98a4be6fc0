using System.Net;
using Berth.Api.Runs;
using Berth.Core.Resources;
using Berth.Testing.Content;
using Berth.Testing.Server;
using Xunit;

namespace Berth.Tests.Server;

/// <summary>
/// Submitting tasks: what is accepted lasts, what is sent twice runs once, and who prefers to wait may.
/// </summary>
public sealed class TaskTests(ServerRigFixture fixture) : IClassFixture<ServerRigFixture>
{
    private ServerRig Rig => fixture.Rig;

    [Fact]
    public async Task A_task_is_202_with_its_address_and_its_result_is_there_after_its_end()
    {
        using HttpResponseMessage accepted = await Rig.SendAsync(
            ServerRig.Call(body: new StringContent("hello"), route: "tasks",
                headers: [("Berth-Content-Type", "text/plain")]));
        RunView run = await accepted.RunAsync();
        RunView ended = await Eventually.EndAsync(Rig, run.Id);
        using HttpResponseMessage result = await Rig.GetAsync($"{accepted.Headers.Location}/result");

        Assert.Equal(HttpStatusCode.Accepted, accepted.StatusCode);
        Assert.Equal($"/v1/runs/{run.Id}", accepted.Headers.Location!.ToString());
        Assert.Equal(run.Id, accepted.Headers.GetValues("Berth-Run-Id").Single());
        Assert.Equal(("task", "succeeded", "completed", 0), (ended.Kind, ended.State, ended.Reason, ended.ExitCode));
        Assert.Equal((5, 5), (ended.InputBytes, ended.ResultBytes));
        Assert.Equal("text/plain", result.Content.Headers.ContentType!.ToString());
        Assert.Equal("hello", await result.Content.ReadAsStringAsync());
    }

    [Fact]
    public async Task An_accepted_task_survives_the_servers_end_before_it_ran()
    {
        using TemporaryFolder folder = new();
        RunView run;
        byte[] input = new byte[100_000];
        new Random(3).NextBytes(input);
        await using (ServerRig first = await ServerRig.StartAsync(
            o => o with { ShutdownGrace = TimeSpan.Zero }, folder))
        {
            first.Node.HoldStarts();
            run = await first.SubmitAsync(body: new ByteArrayContent(input));
        }

        await using ServerRig second = await ServerRig.StartAsync(folder: folder);
        RunView ended = await Eventually.EndAsync(second, run.Id);
        byte[] result = await second.Client.GetByteArrayAsync($"/v1/runs/{run.Id}/result");

        Assert.Equal("succeeded", ended.State);
        Assert.True(result.AsSpan().SequenceEqual(input), "The result is not the input that was accepted before.");
    }

    [Fact]
    public async Task The_same_request_with_the_same_key_is_the_first_run_again()
    {
        (string, string)[] headers =
            [("Idempotency-Key", "again-1"), ("Berth-Label", "test=again"), ("Berth-Env", "A=1")];

        using HttpResponseMessage first = await Rig.SendAsync(
            ServerRig.Call(body: new StringContent("x"), route: "tasks", headers: headers));
        using HttpResponseMessage second = await Rig.SendAsync(ServerRig.Call(
            body: new StringContent("x"), route: "tasks",
            headers: [.. headers, ("User-Agent", "another/2"), ("X-Forwarded-For", "192.0.2.1"),
                ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")]));

        Assert.Equal((HttpStatusCode.Accepted, HttpStatusCode.Accepted), (first.StatusCode, second.StatusCode));
        Assert.Equal((await first.RunAsync()).Id, (await second.RunAsync()).Id);
        Assert.False(first.Headers.Contains("Idempotency-Replayed"));
        Assert.Equal("true", second.Headers.GetValues("Idempotency-Replayed").Single());
        Assert.Single((await Rig.RunsAsync("label=test%3Dagain")).Runs);
    }

    [Fact]
    public async Task The_same_request_means_the_first_run_even_when_the_tag_has_moved_since()
    {
        await using ServerRig rig = await ServerRig.StartAsync();
        RunView first = await rig.SubmitAsync(headers: ("Idempotency-Key", "moved"));
        await rig.MoveImageAsync();

        RunView second = await rig.SubmitAsync(headers: ("Idempotency-Key", "moved"));

        Assert.Equal(first.Id, second.Id);
    }

    [Theory]
    [InlineData("y", "Berth-Env", "A=1")]
    [InlineData("x", "Berth-Env", "A=2")]
    [InlineData("x", "Berth-Memory", "64Mi")]
    [InlineData("x", "Berth-Arg", "-n")]
    [InlineData("x", "Berth-Label", "other=1")]
    public async Task Another_request_with_the_same_key_is_refused(string body, string header, string value)
    {
        string key = $"conflict-{body}-{header}-{value}";
        await Rig.SubmitAsync(null, new StringContent("x"), ("Idempotency-Key", key), ("Berth-Env", "A=1"));

        using HttpResponseMessage response = await Rig.SendAsync(ServerRig.Call(
            body: new StringContent(body), route: "tasks",
            headers: header == "Berth-Env"
                ? [("Idempotency-Key", key), (header, value)]
                : [("Idempotency-Key", key), ("Berth-Env", "A=1"), (header, value)]));

        Problem problem = await response.ProblemAsync(409, "idempotency_conflict");
        Assert.Contains(key, problem.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_key_belongs_to_its_caller()
    {
        string token = Rig.Server.Rooms.Tokens.Create("other-caller", Berth.Server.Access.Role.User, null).Secret;
        using HttpClient other = Rig.ClientWith(token);
        RunView mine = await Rig.SubmitAsync(null, null, ("Idempotency-Key", "shared"));

        using HttpResponseMessage response = await other.SendAsync(
            ServerRig.Call(route: "tasks", headers: ("Idempotency-Key", "shared")));

        Assert.NotEqual(mine.Id, (await response.RunAsync()).Id);
    }

    [Theory]
    [InlineData("with blank")]
    [InlineData("")]
    public async Task A_key_that_is_none_is_refused(string key)
    {
        using HttpResponseMessage response = await Rig.SendAsync(
            ServerRig.Call(route: "tasks", headers: ("Idempotency-Key", key)));

        await response.ProblemAsync(400, "invalid_request");
    }

    [Fact]
    public async Task Who_prefers_to_wait_gets_the_result_itself_when_it_comes_in_time()
    {
        using HttpResponseMessage response = await Rig.SendAsync(ServerRig.Call(
            ["echo", "soon"], headers: [("Prefer", "respond-async, wait=60"), ("Berth-Content-Type", "text/plain")]));

        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Equal("respond-async, wait=60", response.Headers.GetValues("Preference-Applied").Single());
        Assert.Equal("completed", response.Headers.GetValues("Berth-Reason").Single());
        Assert.Equal("soon\n", await response.Content.ReadAsStringAsync());
        RunView run = await Rig.RunAsync(response.Headers.GetValues("Berth-Run-Id").Single());
        Assert.Equal("task", run.Kind);
    }

    [Fact]
    public async Task Who_prefers_to_wait_is_told_of_a_failure_like_a_caller()
    {
        using HttpResponseMessage response = await Rig.SendAsync(ServerRig.Call(
            ["sh", "-c", "echo broken >&2; exit 4"], headers: [("Prefer", "respond-async, wait=60")]));

        Problem problem = await response.ProblemAsync(502, "run_failed");
        Assert.Equal((4, "broken\n"), (problem.ExitCode, problem.Stderr));
    }

    [Fact]
    public async Task Who_waited_too_short_loses_nothing()
    {
        await using ServerRig rig = await ServerRig.StartAsync();
        Action letGo = rig.Node.HoldStarts();

        using HttpResponseMessage response = await rig.SendAsync(
            ServerRig.Call(["echo", "late"], headers: [("Prefer", "respond-async, wait=1")]));
        RunView run = await response.RunAsync();
        letGo();
        RunView ended = await Eventually.EndAsync(rig, run.Id);

        Assert.Equal(HttpStatusCode.Accepted, response.StatusCode);
        Assert.Equal($"/v1/runs/{run.Id}", response.Headers.Location!.ToString());
        Assert.Equal("succeeded", ended.State);
        Assert.Equal("late\n", await rig.Client.GetStringAsync($"/v1/runs/{run.Id}/result"));
    }

    [Fact]
    public async Task Nobody_who_waits_keeps_the_server_from_stopping()
    {
        await using ServerRig rig = await ServerRig.StartAsync(o => o with { ShutdownGrace = TimeSpan.Zero });
        rig.Node.HoldStarts();
        RunView held = await rig.SubmitAsync();
        Task<HttpResponseMessage> preferring = rig.SendAsync(
            ServerRig.Call(headers: [("Prefer", "respond-async, wait=600"), ("Berth-Label", "test=stop")]));
        Task<HttpResponseMessage> polling = rig.GetAsync($"/v1/runs/{held.Id}?wait=600s");
        await Eventually.FindRunAsync(rig, "test=stop", _ => true);

        await rig.Server.StopAsync(CancellationToken.None);

        using HttpResponseMessage preferred = await preferring;
        Assert.Equal(HttpStatusCode.Accepted, preferred.StatusCode);
        // The poll may reach the server only after it closed its door.
        await Task.WhenAny(polling);
    }

    [Fact]
    public async Task Waiting_for_a_run_answers_at_its_end_or_at_the_time_given()
    {
        await using ServerRig rig = await ServerRig.StartAsync();
        Action letGo = rig.Node.HoldStarts();
        RunView run = await rig.SubmitAsync();

        using HttpResponseMessage early = await rig.GetAsync($"/v1/runs/{run.Id}?wait=10ms");
        Task<HttpResponseMessage> waiting = rig.GetAsync($"/v1/runs/{run.Id}?wait=60s");
        letGo();
        using HttpResponseMessage late = await waiting;

        Assert.Null((await early.RunAsync()).EndedAt);
        Assert.Equal("succeeded", (await late.RunAsync()).State);
    }

    [Fact]
    public async Task An_input_over_the_limit_is_refused_and_leaves_nothing()
    {
        await using ServerRig rig = await ServerRig.StartAsync(o => o with { InputLimit = ByteSize.KiB(64) });
        HttpRequestMessage chunked = ServerRig.Call(
            body: new ByteArrayContent(new byte[64 * 1024 + 1]), route: "tasks");
        chunked.Headers.TransferEncodingChunked = true;

        using HttpResponseMessage announced = await rig.SendAsync(
            ServerRig.Call(body: new ByteArrayContent(new byte[64 * 1024 + 1]), route: "tasks"));
        using HttpResponseMessage found = await rig.SendAsync(chunked);
        RunView atLimit = await rig.FinishAsync(body: new ByteArrayContent(new byte[64 * 1024]));

        await announced.ProblemAsync(413, "body_too_large");
        await found.ProblemAsync(413, "body_too_large");
        Assert.Equal(atLimit.Id, (await rig.RunsAsync("")).Runs.Single().Id);
        string[] kept = Directory.GetDirectories(Path.Combine(rig.Folder, "spool"));
        Assert.Equal(atLimit.Id, Path.GetFileName(kept.Single()));
    }

    [Fact]
    public async Task A_full_queue_is_429_with_a_time_to_come_back()
    {
        await using ServerRig rig = await ServerRig.StartAsync(o => o with { QueueLimit = 1, MaxRunning = 1 });
        Action letGo = rig.Node.HoldStarts();
        await rig.SubmitAsync(headers: ("Berth-Label", "test=first"));
        await Eventually.FindRunAsync(rig, "test=first", run => run.State == "starting");
        await rig.SubmitAsync();

        using HttpResponseMessage response = await rig.SendAsync(ServerRig.Call(route: "tasks"));

        await response.ProblemAsync(429, "queue_full");
        Assert.NotEmpty(response.Headers.GetValues("Retry-After"));
        letGo();
    }
}
