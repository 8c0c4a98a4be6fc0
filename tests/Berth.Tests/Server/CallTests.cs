using System.Net;
using System.Net.Http.Json;
using System.Text;
using Berth.Api.Client;
using Berth.Api.Runs;
using Berth.Core.Resources;
using Berth.Testing.Server;
using Xunit;

namespace Berth.Tests.Server;

/// <summary>Synchronous calls, end to end over real connections, with a node in memory.</summary>
public sealed class CallTests(ServerRigFixture fixture) : IClassFixture<ServerRigFixture>
{
    private ServerRig Rig => fixture.Rig;

    [Fact]
    public async Task A_body_comes_back_through_cat_with_status_length_and_usage()
    {
        using HttpResponseMessage response = await Rig.SendAsync(ServerRig.Call(body: new StringContent("hello")));

        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Equal(5, response.Content.Headers.ContentLength);
        Assert.Equal("application/octet-stream", response.Content.Headers.ContentType!.MediaType);
        Assert.Equal("0", response.Headers.GetValues("Berth-Exit-Code").Single());
        Assert.Equal("completed", response.Headers.GetValues("Berth-Reason").Single());
        Assert.Equal("hello", await response.Content.ReadAsStringAsync());
    }

    [Fact]
    public async Task A_body_larger_than_every_buffer_streams_both_ways_and_ends_with_trailers()
    {
        byte[] sent = new byte[32 * 1024 * 1024];
        new Random(7).NextBytes(sent);
        using BerthClient client = new(Rig.Address, Rig.AdminToken, TimeProvider.System);

        await using Call call = await client.Runs.CallAsync(
            ServerRig.Image, new RunOptions(), new MemoryStream(sent), CancellationToken.None);
        using MemoryStream received = new();
        await call.Output.CopyToAsync(received);
        CallOutcome outcome = await call.CompleteAsync(CancellationToken.None);

        Assert.True(
            received.ToArray().AsSpan().SequenceEqual(sent), "The bytes that came back are not those that were sent.");
        Assert.Equal(("completed", 0), (outcome.Reason, outcome.ExitCode));
    }

    [Fact]
    public async Task A_failing_program_is_a_problem_with_its_exit_code_and_the_end_of_its_errors()
    {
        using HttpResponseMessage response = await Rig.SendAsync(
            ServerRig.Call(["sh", "-c", "echo oh no >&2; exit 3"]));
        Problem problem = (await response.Content.ReadFromJsonAsync(RunJson.Default.Problem))!;

        Assert.Equal(HttpStatusCode.BadGateway, response.StatusCode);
        Assert.Equal("application/problem+json", response.Content.Headers.ContentType!.MediaType);
        Assert.Equal("run_failed", problem.Code);
        Assert.Equal(3, problem.ExitCode);
        Assert.Equal("oh no\n", problem.Stderr);
        Assert.Equal(response.Headers.GetValues("Berth-Run-Id").Single(), problem.RunId);
        Assert.NotNull(problem.Usage);
    }

    [Theory]
    [InlineData("sleep 60", "Berth-Timeout", "100ms", 504, "run_timed_out")]
    [InlineData("tail /dev/zero", "Berth-Label", "a=b", 502, "run_out_of_memory")]
    [InlineData("nowhere", "Berth-Label", "a=b", 502, "run_entry_point_missing")]
    [InlineData("sh -c kill|-9|$$", "Berth-Label", "a=b", 502, "run_failed")]
    [InlineData("echo 0123456789", "Berth-Output-Limit", "4", 502, "run_output_limit")]
    public async Task Each_end_has_its_own_status_and_code(
        string command, string header, string value, int status, string code)
    {
        string[] words = [.. command.Split(' ').Select(w => w.Replace('|', ' '))];

        using HttpResponseMessage response = await Rig.SendAsync(ServerRig.Call(words, headers: [(header, value)]));
        Problem problem = (await response.Content.ReadFromJsonAsync(RunJson.Default.Problem))!;

        Assert.Equal((status, code), ((int)response.StatusCode, problem.Code));
    }

    [Fact]
    public async Task A_result_that_breaks_off_never_looks_whole()
    {
        using HttpResponseMessage response = await Rig.SendAsync(
            ServerRig.Call(["yes"], headers: [("Berth-Output-Limit", "300000")]));

        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        await Assert.ThrowsAnyAsync<Exception>(() => response.Content.ReadAsByteArrayAsync());
    }

    [Fact]
    public async Task Output_that_is_asked_for_at_once_comes_while_the_program_runs()
    {
        using HttpResponseMessage response = await Rig.SendAsync(
            ServerRig.Call(["sh", "-c", "echo on; sleep 600"], headers: [("Berth-Stream", "true")]));
        await using Stream output = await response.Content.ReadAsStreamAsync();
        byte[] first = new byte[3];
        await output.ReadExactlyAsync(first);

        Assert.Equal("on\n", Encoding.UTF8.GetString(first));
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
    }

    [Fact]
    public async Task An_answer_may_begin_with_the_program_so_that_the_runs_id_is_known()
    {
        using HttpResponseMessage response = await Rig.SendAsync(
            ServerRig.Call(["sh", "-c", "sleep 600"], headers: [("Berth-Stream", "start")]));
        string id = response.Headers.GetValues("Berth-Run-Id").Single();

        Assert.Equal((HttpStatusCode.OK, "running"), (response.StatusCode, (await Rig.RunAsync(id)).State));
    }

    [Theory]
    [InlineData("true", true)]
    [InlineData("exit 3", false)]
    public async Task Such_an_answer_looks_whole_only_when_the_program_has_succeeded(string script, bool whole)
    {
        using HttpResponseMessage response = await Rig.SendAsync(
            ServerRig.Call(["sh", "-c", script], headers: [("Berth-Stream", "start")]));

        Exception? broken = await Record.ExceptionAsync(() => response.Content.ReadAsByteArrayAsync());

        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Equal(whole, broken is null);
    }

    [Fact]
    public async Task A_program_that_writes_nothing_has_its_status_whether_or_not_it_streams()
    {
        using HttpResponseMessage response = await Rig.SendAsync(
            ServerRig.Call(["sh", "-c", "exit 3"], headers: [("Berth-Stream", "true")]));

        Assert.Equal(HttpStatusCode.BadGateway, response.StatusCode);
    }

    [Fact]
    public async Task A_program_may_end_without_reading_its_input()
    {
        using HttpResponseMessage response = await Rig.SendAsync(
            ServerRig.Call(["echo", "done"], new ByteArrayContent(new byte[300 * 1024])));

        Assert.Equal("done\n", await response.Content.ReadAsStringAsync());
    }

    [Fact]
    public async Task The_program_ends_when_its_caller_goes_away()
    {
        using CancellationTokenSource leave = new();
        Task<HttpResponseMessage> call = Rig.SendAsync(
            ServerRig.Call(["sh", "-c", "echo started >&2; sleep 600"], headers: [("Berth-Label", "test=gone")]),
            leave.Token);
        string id = await Eventually.FindRunAsync(Rig, "test=gone", run => run.State == "running");

        await leave.CancelAsync();
        RunView ended = await Eventually.EndAsync(Rig, id);

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => call);
        Assert.Equal("client_gone", ended.Reason);
    }

    [Fact]
    public async Task The_program_learns_of_its_request_but_no_credentials()
    {
        HttpRequestMessage request = ServerRig.Call(
            ["env"], new StringContent("x", Encoding.UTF8, "text/plain"),
            headers:
            [
                ("X-Colour", "blue"), ("Berth-Env", "A=b%20c"), ("Proxy", "evil"), ("X_Colour", "red"),
                ("Cookie", "berth_session=s; mine=1"),
            ]);
        request.RequestUri = new Uri(request.RequestUri + "?size=120&q=a%20b", UriKind.Relative);

        using HttpResponseMessage response = await Rig.SendAsync(request);
        string[] variables = (await response.Content.ReadAsStringAsync()).Split('\n');

        Assert.Contains("REQUEST_METHOD=POST", variables);
        Assert.Contains("QUERY_STRING=size=120&q=a%20b", variables);
        Assert.Contains("CONTENT_TYPE=text/plain; charset=utf-8", variables);
        Assert.Contains("CONTENT_LENGTH=1", variables);
        Assert.Contains("HTTP_X_COLOUR=blue", variables);
        Assert.Contains("HTTP_COOKIE=mine=1", variables);
        Assert.Contains("A=b c", variables);
        Assert.Contains("BERTH_RUN_ID=" + response.Headers.GetValues("Berth-Run-Id").Single(), variables);
        Assert.DoesNotContain(variables, v => v.StartsWith("HTTP_AUTHORIZATION", StringComparison.Ordinal)
            || v.StartsWith("HTTP_PROXY", StringComparison.Ordinal)
            || v.StartsWith("HTTP_BERTH", StringComparison.Ordinal));
    }

    [Fact]
    public async Task The_trace_goes_on_in_the_program()
    {
        const string trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        using HttpResponseMessage response = await Rig.SendAsync(
            ServerRig.Call(["env"], headers: [("traceparent", $"00-{trace}-00f067aa0ba902b7-01")]));

        string variables = await response.Content.ReadAsStringAsync();

        Assert.Matches($"TRACEPARENT=00-{trace}-(?!00f067aa0ba902b7)[0-9a-f]{{16}}-01\n", variables);
    }

    [Fact]
    public async Task The_answer_has_the_media_type_that_was_asked_for()
    {
        using HttpResponseMessage response = await Rig.SendAsync(
            ServerRig.Call(["echo", "{}"], headers: [("Berth-Content-Type", "application/json")]));

        Assert.Equal("application/json", response.Content.Headers.ContentType!.ToString());
    }

    [Fact]
    public async Task A_body_over_the_limit_is_refused_and_nothing_runs()
    {
        await using ServerRig rig = await ServerRig.StartAsync(o => o with { BodyLimit = ByteSize.KiB(64) });
        using HttpResponseMessage announced = await rig.SendAsync(
            ServerRig.Call(body: new ByteArrayContent(new byte[64 * 1024 + 1])));
        HttpRequestMessage chunkedRequest = ServerRig.Call(body: new ByteArrayContent(new byte[64 * 1024 + 1]));
        chunkedRequest.Headers.TransferEncodingChunked = true;
        using HttpResponseMessage chunked = await rig.SendAsync(chunkedRequest);
        using HttpResponseMessage atLimit = await rig.SendAsync(
            ServerRig.Call(body: new ByteArrayContent(new byte[64 * 1024])));

        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, announced.StatusCode);
        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, chunked.StatusCode);
        Assert.Equal(HttpStatusCode.OK, atLimit.StatusCode);
        Assert.Equal(2, rig.Node.Started.Count);
    }

    [Fact]
    public async Task A_machine_that_fails_is_503_with_a_time_to_come_back()
    {
        await using ServerRig rig = await ServerRig.StartAsync();
        rig.Node.FailNextMachine("The disk of the machine broke.");

        using HttpResponseMessage response = await rig.SendAsync(ServerRig.Call(body: new StringContent("x")));

        Assert.Equal(HttpStatusCode.ServiceUnavailable, response.StatusCode);
        Assert.Equal("1", response.Headers.GetValues("Retry-After").Single());
    }

    [Fact]
    public async Task Http2_without_tls_takes_calls_on_the_same_port()
    {
        byte[] sent = new byte[4 * 1024 * 1024];
        new Random(8).NextBytes(sent);
        HttpRequestMessage request = ServerRig.Call(body: new DuplexContent(sent));
        request.Version = HttpVersion.Version20;
        request.VersionPolicy = HttpVersionPolicy.RequestVersionExact;

        using HttpResponseMessage response = await Rig.SendAsync(request);
        byte[] received = await response.Content.ReadAsByteArrayAsync();

        Assert.Equal(HttpVersion.Version20, response.Version);
        Assert.True(received.AsSpan().SequenceEqual(sent), "The bytes that came back are not those that were sent.");
        Assert.Equal("completed", response.TrailingHeaders.GetValues("Berth-Reason").Single());
    }
}
