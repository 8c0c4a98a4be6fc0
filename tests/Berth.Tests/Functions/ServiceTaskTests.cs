using System.Net;
using Berth.Api.Client;
using Berth.Api.Functions;
using Berth.Api.Runs;
using Berth.Core.Errors;
using Berth.Testing.Content;
using Berth.Testing.Server;
using Berth.Tests.Server;
using Xunit;

namespace Berth.Tests.Functions;

/// <summary>Calls of functions with the http contract that nobody waits for, with a node in memory and a program that
/// the test plays.</summary>
public sealed class ServiceTaskTests : ServedTest
{
    [Fact]
    public async Task A_request_is_kept_and_reaches_an_instance_as_it_was_sent()
    {
        await using PlayedService service = await DeployAsync(
            _ => PlayedService.Answer(201, "made", "Content-Type: text/x-own\r\n"));
        using HttpRequestMessage request = Later(HttpMethod.Put, "/v1/functions/svc/a%2Fb//c?x=%20&y", "hello");
        request.Headers.Add("X-Own", ["one", "two"]);

        using HttpResponseMessage accepted = await Rig.SendAsync(request);
        RunView run = await Eventually.EndAsync(Rig, (await accepted.RunAsync()).Id);
        using HttpResponseMessage result = await Rig.GetAsync($"/v1/runs/{run.Id}/result");

        Assert.Equal((202, "1"), ((int)accepted.StatusCode, accepted.Headers.GetValues("Berth-Revision").Single()));
        Assert.Equal(("succeeded", "completed", 201, 1), (run.State, run.Reason, run.Status, run.Attempts));
        Assert.Equal((5, 4), (run.Usage!.BytesIn, run.Usage.BytesOut));
        Assert.Equal(
            ("made", "text/x-own"),
            (await result.Content.ReadAsStringAsync(), result.Content.Headers.ContentType!.ToString()));
        PlayedRequest got = Assert.Single(service.Requests);
        Assert.Equal(("PUT /a%2Fb//c?x=%20&y HTTP/1.1", "hello"), (got.Line, got.Body));
        Assert.Equal(
            ("one, two", run.Id, "1", "/v1/functions/svc", "5"),
            (got.Headers["X-Own"], got.Headers["Berth-Run-Id"], got.Headers["Berth-Attempt"],
                got.Headers["X-Forwarded-Prefix"], got.Headers["Content-Length"]));
        Assert.DoesNotContain("Authorization", got.Headers.Keys);
        Assert.DoesNotContain("Prefer", got.Headers.Keys);
    }

    [Fact]
    public async Task An_input_of_any_size_passes_and_comes_back()
    {
        string large = new('x', 3_000_000);
        await using PlayedService service = await DeployAsync(r => PlayedService.Answer(200, r.Body));

        RunView run = await FinishAsync("/v1/functions/svc/echo", large);

        using HttpResponseMessage result = await Rig.GetAsync($"/v1/runs/{run.Id}/result");
        Assert.Equal(large, await result.Content.ReadAsStringAsync());
        Assert.Equal("application/octet-stream", result.Content.Headers.ContentType!.ToString());
    }

    [Fact]
    public async Task An_answer_counts_though_the_program_never_read_the_request()
    {
        await using PlayedService service = new((_, _) => Task.FromResult<string?>(PlayedService.Answer(413, "no")))
        {
            ReadsBodies = false,
        };
        await DeployAsync(Client, service, new FunctionRequest());

        RunView run = await FinishAsync("/v1/functions/svc/", new string('x', 20_000_000));

        Assert.Equal(("failed", 413, 1), (run.State, run.Status, run.Attempts));
    }

    [Fact]
    public async Task A_line_that_is_full_of_callers_costs_no_attempt()
    {
        TaskCompletionSource free = new(TaskCreationOptions.RunContinuationsAsynchronously);
        await using PlayedService service = await DeployAsync(
            async (_, _) =>
            {
                await free.Task;
                return PlayedService.Answer(200, "");
            },
            new FunctionRequest(Concurrency: 1, MaxInstances: 1, MaxWaiting: 0, Attempts: 1));
        using HttpRequestMessage first = new(HttpMethod.Post, "/v1/functions/svc/")
        {
            Content = new StringContent("x"),
        };
        Task<HttpResponseMessage> busy = Rig.SendAsync(first);
        await Eventually.HoldsAsync("the instance is busy", () => service.Requests.Count == 1);
        using HttpResponseMessage accepted = await Rig.SendAsync(Later(HttpMethod.Post, "/v1/functions/svc/", "x"));
        string id = (await accepted.RunAsync()).Id;
        await Eventually.RunAsync(Rig, id, r => r.State == "starting");

        free.SetResult();
        (await busy).Dispose();

        Assert.Equal("succeeded", (await Eventually.EndAsync(Rig, id)).State);
    }

    [Fact]
    public async Task A_program_that_asks_to_be_asked_later_is_asked_no_sooner()
    {
        int calls = 0;
        await using PlayedService service = await DeployAsync(
            _ => Interlocked.Increment(ref calls) == 1
                ? PlayedService.Answer(503, "busy", "Retry-After: 1\r\n")
                : PlayedService.Answer(200, "done"),
            new FunctionRequest(RetryDelay: "1ms", RetryMaxDelay: "1ms"));

        RunView run = await FinishAsync("/v1/functions/svc/", "x");

        Assert.Equal(("succeeded", 2, 200), (run.State, run.Attempts, run.Status));
        Assert.Equal(["1", "2"], service.Requests.Select(r => r.Headers["Berth-Attempt"]));
        IReadOnlyList<RunEventView> events = (await Rig.WhyAsync(run.Id)).Events;
        RunEventView retried = events.Single(e => e.Type == "retried");
        Assert.Contains("It answered 503.", retried.Detail, StringComparison.Ordinal);
        RunEventView second = events.Last(e => e.Type == "claimed");
        // The store keeps microseconds, and the claim's clock is not the retry's.
        Assert.InRange(second.At - retried.At, TimeSpan.FromSeconds(0.95), TimeSpan.FromSeconds(30));
    }

    [Fact]
    public async Task A_refusal_ends_the_call_with_what_was_answered()
    {
        await using PlayedService service = await DeployAsync(_ => PlayedService.Answer(422, "no such size"));

        RunView run = await FinishAsync("/v1/functions/svc/", "x");

        Assert.Equal(("failed", "bad_status", 422, 1), (run.State, run.Reason, run.Status, run.Attempts));
        using HttpResponseMessage result = await Rig.GetAsync($"/v1/runs/{run.Id}/result");
        Assert.Equal("no such size", await result.Content.ReadAsStringAsync());
        using HttpRequestMessage request = Later(HttpMethod.Post, "/v1/functions/svc/", "x", "respond-async, wait=30");
        using HttpResponseMessage waited = await Rig.SendAsync(request);
        Assert.Contains("422", (await waited.ProblemAsync(502, "run_failed")).Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_connection_that_breaks_is_tried_again_until_the_last_attempt()
    {
        await using PlayedService service = await DeployAsync(
            _ => null, new FunctionRequest(Attempts: 3, RetryDelay: "1ms", RetryMaxDelay: "1ms"));

        RunView run = await FinishAsync("/v1/functions/svc/", "x");

        Assert.Equal(("failed", "no_answer", 3), (run.State, run.Reason, run.Attempts));
        Assert.Contains("it closed the connection without an answer", run.Message!, StringComparison.Ordinal);
        Assert.Equal(3, service.Requests.Count);
    }

    [Fact]
    public async Task A_function_decides_after_which_ends_its_calls_are_tried_again()
    {
        await using PlayedService service = await DeployAsync(
            _ => PlayedService.Answer(500, ""), new FunctionRequest(RetryOn: "409,no-answer"));

        RunView run = await FinishAsync("/v1/functions/svc/", "x");

        Assert.Equal(("failed", 500, 1), (run.State, run.Status, run.Attempts));
    }

    [Fact]
    public async Task Time_and_cancel_end_the_call_and_not_its_instance()
    {
        await using PlayedService service = await DeployAsync(
            async (r, gone) =>
            {
                await Task.Delay(r.Body == "fast" ? TimeSpan.Zero : TimeSpan.FromMinutes(10), gone);
                return PlayedService.Answer(200, r.Body);
            },
            new FunctionRequest(Concurrency: 1, MaxInstances: 1));
        using HttpRequestMessage hasty = Later(HttpMethod.Post, "/v1/functions/svc/", "slow");
        hasty.Headers.Add("Berth-Timeout", "100ms");
        using HttpResponseMessage late = await Rig.SendAsync(hasty);

        RunView timedOut = await Eventually.EndAsync(Rig, (await late.RunAsync()).Id);
        using HttpResponseMessage accepted = await Rig.SendAsync(Later(HttpMethod.Post, "/v1/functions/svc/", "slow"));
        string id = (await accepted.RunAsync()).Id;
        await Eventually.HoldsAsync("the program has the second call", () => service.Requests.Count == 2);
        (await Rig.Client.PostAsync($"/v1/runs/{id}/cancel", null)).Dispose();
        RunView canceled = await Eventually.EndAsync(Rig, id);
        RunView next = await FinishAsync("/v1/functions/svc/", "fast");

        Assert.Equal(("timed_out", 1), (timedOut.Reason, timedOut.Attempts));
        Assert.Equal("canceled", canceled.State);
        Assert.Equal("succeeded", next.State);
        await Eventually.HoldsAsync("the program saw both break off", () => service.BrokenOff == 2);
        FunctionView view = await Client.Functions.GetAsync("svc", CancellationToken.None);
        Assert.Single(view.Instances!);
    }

    [Fact]
    public async Task A_call_under_way_when_the_server_stops_is_the_next_ones()
    {
        TaskCompletionSource seen = new(TaskCreationOptions.RunContinuationsAsynchronously);
        await using PlayedService service = new(async (request, gone) =>
        {
            if (seen.TrySetResult())
            {
                await Task.Delay(TimeSpan.FromMinutes(10), gone);
            }

            return PlayedService.Answer(200, request.Headers["Berth-Attempt"]);
        });
        using TemporaryFolder folder = new();
        string id;
        await using (ServerRig first = await ServerRig.StartAsync(
            o => o with { ShutdownGrace = TimeSpan.FromMilliseconds(10) }, folder))
        {
            using BerthClient before = new(first.Address, first.AdminToken, TimeProvider.System);
            await DeployAsync(before, service, new FunctionRequest(Attempts: 1));
            using HttpResponseMessage accepted = await first.SendAsync(
                Later(HttpMethod.Post, "/v1/functions/svc/", "x"));
            id = (await accepted.RunAsync()).Id;
            await seen.Task.WaitAsync(TimeSpan.FromSeconds(30));
        }

        await using ServerRig second = await ServerRig.StartAsync(folder: folder);
        RunView run = await Eventually.EndAsync(second, id);

        Assert.Equal(("succeeded", 1, 200), (run.State, run.Attempts, run.Status));
        Assert.Equal(2, service.Requests.Count);
    }

    [Fact]
    public async Task A_function_that_is_gone_by_then_can_not_be_called()
    {
        await using PlayedService service = await DeployAsync(
            _ => null, new FunctionRequest(RetryDelay: "20s", RetryMaxDelay: "20s"));
        using HttpResponseMessage accepted = await Rig.SendAsync(Later(HttpMethod.Post, "/v1/functions/svc/", "x"));
        string id = (await accepted.RunAsync()).Id;
        await Client.Functions.RemoveAsync("svc", CancellationToken.None);

        RunView run = await Eventually.EndAsync(Rig, id);

        Assert.Equal(("failed", "not_runnable"), (run.State, run.Reason));
        Assert.Contains("There is no function 'svc'", run.Message!, StringComparison.Ordinal);
    }

    [Fact]
    public async Task OpenFaaS_callers_and_repeated_requests_find_their_call_and_an_unknown_name_is_refused_at_once()
    {
        await using PlayedService service = await DeployAsync(_ => PlayedService.Answer(200, "done"));
        using HttpRequestMessage one = Later(HttpMethod.Post, "/async-function/svc/path", "x");
        using HttpRequestMessage same = Later(HttpMethod.Post, "/async-function/svc/path", "x");
        using HttpRequestMessage other = Later(HttpMethod.Post, "/async-function/svc/other", "x");
        foreach (HttpRequestMessage request in (HttpRequestMessage[])[one, same, other])
        {
            request.Headers.Remove("Prefer");
            request.Headers.Add("Idempotency-Key", "order-1");
        }

        using HttpResponseMessage first = await Rig.SendAsync(one);
        using HttpResponseMessage again = await Rig.SendAsync(same);
        using HttpResponseMessage conflict = await Rig.SendAsync(other);
        using HttpResponseMessage unknown = await Rig.SendAsync(Later(HttpMethod.Post, "/async-function/nobody", "x"));

        string id = (await first.RunAsync()).Id;
        Assert.Equal(id, first.Headers.GetValues("X-Call-Id").Single());
        Assert.Equal((id, "true"), (
            (await again.RunAsync()).Id, again.Headers.GetValues("Idempotency-Replayed").Single()));
        await conflict.ProblemAsync(409, "idempotency_conflict");
        await unknown.ProblemAsync(404, "not_found");
        Assert.Equal("succeeded", (await Eventually.EndAsync(Rig, id)).State);
        Assert.Equal("POST /path HTTP/1.1", Assert.Single(service.Requests).Line);
    }

    [Fact]
    public async Task What_the_function_decides_no_call_does_and_its_age_holds()
    {
        await using PlayedService service = await DeployAsync(
            _ => PlayedService.Answer(200, ""), new FunctionRequest(MaxAge: "1h", Timeout: "5s"));

        foreach ((string header, string value) in ((string, string)[])[
            ("Berth-Memory", "1Gi"), ("Berth-Timeout", "6s"), ("Berth-Max-Age", "2h"), ("Berth-Attempts", "2")])
        {
            using HttpRequestMessage request = Later(HttpMethod.Post, "/v1/functions/svc/", "x");
            request.Headers.Add(header, value);
            using HttpResponseMessage refused = await Rig.SendAsync(request);
            Assert.Contains(
                header, (await refused.ProblemAsync(400, "invalid_request")).Detail, StringComparison.Ordinal);
        }

        FunctionView view = await Client.Functions.GetAsync("svc", CancellationToken.None);
        Assert.Equal(new RetryView(4, null, "200ms", "30s", "1h"), view.Retry);
        RevisionView revision = Assert.Single(await Client.Functions.RevisionsAsync("svc", CancellationToken.None));
        Assert.Equal(
            ("1h", "200ms", "30s", 4),
            (revision.Spec.MaxAge, revision.Spec.RetryDelay, revision.Spec.RetryMaxDelay, revision.Spec.Attempts));
        FunctionDeployment same = await Client.Functions.DeployAsync("svc", revision.Spec, CancellationToken.None);
        Assert.False(same.Changed);
        BerthException wrong = await Assert.ThrowsAsync<BerthException>(
            () => Client.Functions.DeployAsync(
                "svc", revision.Spec with { RetryOn = "exit" }, CancellationToken.None));
        Assert.Contains("no-answer", wrong.Message, StringComparison.Ordinal);
    }

    private Task<PlayedService> DeployAsync(Func<PlayedRequest, string?> script, FunctionRequest? settings = null) =>
        DeployAsync((request, _) => Task.FromResult(script(request)), settings);

    private async Task<PlayedService> DeployAsync(
        Func<PlayedRequest, CancellationToken, Task<string?>> script, FunctionRequest? settings = null)
    {
        PlayedService service = new(script);
        await DeployAsync(Client, service, settings ?? new FunctionRequest());
        return service;
    }

    private static Task<FunctionDeployment> DeployAsync(
        BerthClient client, PlayedService service, FunctionRequest settings) =>
        client.Functions.DeployAsync(
            "svc",
            settings with
            {
                Image = ServerRig.Image,
                Command = ["sleep", "3600"],
                Contract = "http",
                Port = service.Port,
            },
            CancellationToken.None);

    private static HttpRequestMessage Later(
        HttpMethod method, string path, string body, string prefer = "respond-async") =>
        new(method, path) { Content = new StringContent(body), Headers = { { "Prefer", prefer } } };

    private async Task<RunView> FinishAsync(string path, string body)
    {
        using HttpRequestMessage request = Later(HttpMethod.Post, path, body);
        using HttpResponseMessage accepted = await Rig.SendAsync(request);
        Assert.Equal(HttpStatusCode.Accepted, accepted.StatusCode);
        return await Eventually.EndAsync(Rig, (await accepted.RunAsync()).Id);
    }
}
