using System.Net;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Berth.Api.Functions;
using Berth.Api.Runs;
using Berth.Testing.Server;
using Berth.Tests.Server;
using Xunit;

namespace Berth.Tests.Lambda;

/// <summary>Calls of Lambda functions that nobody waits for: AWS's own way, Berth's, OpenFaaS's, and by another
/// function.</summary>
public sealed class LambdaTaskTests
{
    private static readonly (string, string) Event = ("X-Amz-Invocation-Type", "Event");
    private static readonly (string, string) Later = ("Prefer", "respond-async");

    private static CancellationToken Soon => TestContext.Current.CancellationToken;

    [Fact]
    public async Task An_event_is_accepted_without_a_word_and_handled_under_the_id_that_was_told()
    {
        await using LambdaRig rig = await LambdaRig.StartAsync();
        string context = Convert.ToBase64String("""{"custom":{"a":"b"}}"""u8);

        using HttpResponseMessage accepted = await rig.InvokeAsync(
            """{"do":"headers"}""", "?Qualifier=1", Event, ("X-Amz-Client-Context", context),
            ("X-Amzn-Trace-Id", "Root=1-00000000-000000000000000000000000"));
        RunView run = await EndAsync(rig, accepted);
        JsonElement told = JsonElement.Parse(await ResultAsync(rig, run));

        Assert.Equal(("", "1"), (
            await accepted.Content.ReadAsStringAsync(Soon),
            accepted.Headers.GetValues("X-Amz-Executed-Version").Single()));
        Assert.Equal(("succeeded", "completed", 200, 1), (run.State, run.Reason, run.Status, run.Attempts));
        Assert.Equal(
            accepted.Headers.GetValues("x-amzn-RequestId").Single(),
            told.GetProperty("Lambda-Runtime-Aws-Request-Id").GetString());
        Assert.Equal(
            ("""{"custom":{"a":"b"}}""", "Root=1-00000000-000000000000000000000000"),
            (told.GetProperty("Lambda-Runtime-Client-Context").GetString(),
                told.GetProperty("Lambda-Runtime-Trace-Id").GetString()));
        RevisionView revision = Assert.Single(await rig.Client.Functions.RevisionsAsync("fn", Soon));
        Assert.Equal((1, 0), (revision.Calls!.Calls, revision.Calls.Failed));
    }

    [Fact]
    public async Task What_can_be_no_event_is_refused_at_once()
    {
        await using LambdaRig rig = await LambdaRig.StartAsync(payloadLimit: "64Ki");

        using HttpResponseMessage text = await rig.InvokeAsync("no json", "", Event);
        using HttpResponseMessage large = await rig.InvokeAsync('"' + new string('x', 65535) + '"', "", Event);
        using HttpResponseMessage later = await rig.CallAsync(new string('1', 65537), "/async-function/fn");
        using HttpResponseMessage unknown = await rig.CallAsync(
            "1", "/2015-03-31/functions/nobody/invocations", Event);
        using HttpResponseMessage context = await rig.InvokeAsync("1", "", Event, ("X-Amz-Client-Context", "%"));

        Assert.Equal(
            [400, 413, 404, 400],
            ((HttpResponseMessage[])[text, large, unknown, context]).Select(a => (int)a.StatusCode));
        Assert.Contains("lambda-payload-limit", (await later.ProblemAsync(413, "body_too_large")).Detail);
        RunPage runs = (await rig.Server.Client.GetFromJsonAsync("/v1/runs", RunJson.Default.RunPage, Soon))!;
        Assert.DoesNotContain(runs.Runs, r => r.Kind == "task");
    }

    [Fact]
    public async Task A_handler_that_fails_is_asked_again_under_the_same_id_and_is_a_dead_letter_then()
    {
        await using LambdaRig rig = await LambdaRig.StartAsync(
            new FunctionRequest(Attempts: 3, RetryDelay: "1ms", RetryMaxDelay: "1ms"));

        using HttpResponseMessage accepted = await rig.InvokeAsync("""{"do":"fail"}""", "", Event);
        RunView run = await EndAsync(rig, accepted);

        Assert.Equal(("failed", "bad_status", 502, 3), (run.State, run.Reason, run.Status, run.Attempts));
        Assert.Contains("Boom: it is bad", run.Message, StringComparison.Ordinal);
        Assert.Equal("""{"errorMessage":"it is bad","errorType":"Boom"}""", await ResultAsync(rig, run));
        Assert.Single(rig.Server.Node.Started);
        using HttpResponseMessage again = await rig.Server.Client.PostAsync(
            $"/v1/dead-letters/{run.Id}/redrive", null, Soon);
        Assert.True(again.IsSuccessStatusCode, await again.Content.ReadAsStringAsync(Soon));
    }

    [Fact]
    public async Task A_program_that_ends_with_the_call_is_replaced_for_the_next_attempt()
    {
        await using LambdaRig rig = await LambdaRig.StartAsync(
            new FunctionRequest(Attempts: 2, RetryDelay: "1ms", RetryMaxDelay: "1ms"));

        using HttpResponseMessage accepted = await rig.CallAsync("""{"do":"exit"}""", headers: Later);
        RunView run = await EndAsync(rig, accepted);

        Assert.Equal(("failed", "no_answer", 2), (run.State, run.Reason, run.Attempts));
        Assert.Contains("it exited with 3", run.Message, StringComparison.Ordinal);
        Assert.Equal("1", await rig.TextAsync("1"));
    }

    [Theory]
    [InlineData(true, "timed_out")]
    [InlineData(false, "canceled")]
    public async Task Time_and_cancel_end_the_call_and_the_instance_that_had_it(bool inTime, string reason)
    {
        await using LambdaRig rig = await LambdaRig.StartAsync();
        (string, string)[] headers = inTime ? [Later, ("Berth-Timeout", "300ms")] : [Later];

        using HttpResponseMessage accepted = await rig.CallAsync("""{"do":"hang"}""", headers: headers);
        string id = accepted.Headers.GetValues("Berth-Run-Id").Single();
        if (!inTime)
        {
            await HasEventAsync(rig);
            (await rig.Server.Client.PostAsync($"/v1/runs/{id}/cancel", null, Soon)).Dispose();
        }

        RunView run = await Eventually.EndAsync(rig.Server, id);
        Assert.Equal((reason, 1), (run.Reason, run.Attempts));
        Assert.Equal("1", await rig.TextAsync("1"));
        Assert.Equal(2, rig.Server.Node.Started.Count);
    }

    [Fact]
    public async Task Where_events_tell_of_requests_a_kept_one_tells_the_same_and_its_answer_is_the_result()
    {
        await using LambdaRig rig = await LambdaRig.StartAsync(new FunctionRequest(Event: "http"));
        using HttpRequestMessage request = new(HttpMethod.Put, "/v1/functions/fn/a%2Fb/c?x=1&x=2&y=%20z")
        {
            Content = new StringContent("héllo", Encoding.UTF8, "text/plain"),
        };
        request.Headers.Add("Cookie", "one=1; two=2");
        request.Headers.Add("X-Own", ["p", "q"]);
        request.Headers.Add("Prefer", "respond-async");

        using HttpResponseMessage accepted = await rig.Server.SendAsync(request, Soon);
        JsonElement root = JsonElement.Parse(await ResultAsync(rig, await EndAsync(rig, accepted)));

        JsonElement http = root.GetProperty("requestContext").GetProperty("http");
        JsonElement headers = root.GetProperty("headers");
        Assert.Equal(
            ("/a%2Fb/c", "x=1&x=2&y=%20z", "1,2", " z", "PUT", "127.0.0.1", "héllo", "p, q", "6",
                "/v1/functions/fn"),
            (root.GetProperty("rawPath").GetString(), root.GetProperty("rawQueryString").GetString(),
                root.GetProperty("queryStringParameters").GetProperty("x").GetString(),
                root.GetProperty("queryStringParameters").GetProperty("y").GetString(),
                http.GetProperty("method").GetString(), http.GetProperty("sourceIp").GetString(),
                root.GetProperty("body").GetString(), headers.GetProperty("x-own").GetString(),
                headers.GetProperty("content-length").GetString(),
                headers.GetProperty("x-forwarded-prefix").GetString()));
        Assert.Equal(["one=1", "two=2"], root.GetProperty("cookies").EnumerateArray().Select(c => c.GetString()));
        Assert.False(headers.TryGetProperty("authorization", out _), "The token is the caller's.");
        Assert.False(headers.TryGetProperty("prefer", out _), "It was for Berth.");
    }

    [Theory]
    [InlineData("""{"do":"raw","answer":{"statusCode":201,"headers":{"Content-Type":"text/x-own"},"body":"made"}}""",
        "succeeded", 201, "made", "text/x-own", 1)]
    [InlineData("""{"do":"raw","answer":{"statusCode":422,"body":"no such size"}}""",
        "failed", 422, "no such size", "application/json", 1)]
    [InlineData("""{"do":"raw","answer":{"statusCode":503,"body":"busy"}}""",
        "failed", 503, "busy", "application/json", 2)]
    [InlineData("""{"do":"http","prelude":"{\"statusCode\":202}","body":"streamed"}""",
        "succeeded", 202, "streamed", "application/octet-stream", 1)]
    public async Task A_described_answer_decides_like_one_over_http(
        string wish, string state, int status, string result, string type, int attempts)
    {
        await using LambdaRig rig = await LambdaRig.StartAsync(new FunctionRequest(
            Event: "http", Command: ["lambda", "unwrap"], Attempts: 2, RetryDelay: "1ms", RetryMaxDelay: "1ms"));

        using HttpResponseMessage accepted = await rig.CallAsync(wish, "/async-function/fn");
        RunView run = await EndAsync(rig, accepted);

        Assert.Equal((state, status, attempts), (run.State, run.Status, run.Attempts));
        using HttpResponseMessage kept = await rig.Server.GetAsync($"/v1/runs/{run.Id}/result");
        Assert.Equal(
            (result, type), (await kept.Content.ReadAsStringAsync(Soon), kept.Content.Headers.ContentType!.ToString()));
    }

    [Fact]
    public async Task A_stream_is_kept_as_a_result_and_a_torn_one_is_none()
    {
        await using LambdaRig rig = await LambdaRig.StartAsync(new FunctionRequest(Attempts: 1));

        using HttpResponseMessage whole = await rig.CallAsync("""{"do":"stream"}""", headers: Later);
        using HttpResponseMessage torn = await rig.CallAsync("""{"do":"break"}""", headers: Later);
        RunView kept = await EndAsync(rig, whole);
        RunView lost = await EndAsync(rig, torn);

        Assert.Equal(("succeeded", "one two three"), (kept.State, await ResultAsync(rig, kept)));
        Assert.Equal(("failed", "no_answer"), (lost.State, lost.Reason));
        Assert.Equal("1", await rig.TextAsync("1"));
    }

    [Fact]
    public async Task A_task_is_handed_on_to_a_Lambda_function_as_its_event()
    {
        await using LambdaRig rig = await LambdaRig.StartAsync();
        await rig.Client.Functions.DeployAsync(
            "first", new FunctionRequest(ServerRig.Image, Command: ["cat"], OnSuccess: "fn"), Soon);

        using HttpResponseMessage accepted = await rig.CallAsync(
            """{"n":7}""", "/v1/functions/first", headers: Later);
        await EndAsync(rig, accepted);

        string next = await Eventually.FindRunAsync(rig.Server, "function=fn", r => r.State == "succeeded");
        using HttpResponseMessage result = await rig.Server.GetAsync($"/v1/runs/{next}/result");
        Assert.Equal("""{"n":7}""", await result.Content.ReadAsStringAsync(Soon));
    }

    /// <summary>Returns when the only instance has asked for an event.</summary>
    private static async Task HasEventAsync(LambdaRig rig)
    {
        FunctionView function = await rig.Client.Functions.GetAsync("fn", Soon);
        string log = $"/v1/runs/{Assert.Single(function.Instances!).Id}/logs";
        while (!(await rig.Server.Client.GetStringAsync(log, Soon)).Contains("event of", StringComparison.Ordinal))
        {
            await Task.Yield();
        }
    }

    private static Task<RunView> EndAsync(LambdaRig rig, HttpResponseMessage accepted)
    {
        Assert.Equal(HttpStatusCode.Accepted, accepted.StatusCode);
        return Eventually.EndAsync(rig.Server, accepted.Headers.GetValues("Berth-Run-Id").Single());
    }

    private static async Task<string> ResultAsync(LambdaRig rig, RunView run)
    {
        using HttpResponseMessage result = await rig.Server.GetAsync($"/v1/runs/{run.Id}/result");
        return await result.Content.ReadAsStringAsync(Soon);
    }
}
