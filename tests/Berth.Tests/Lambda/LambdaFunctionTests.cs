using System.Net;
using System.Text.Json;
using Berth.Api.Functions;
using Berth.Core.Errors;
using Berth.Tests.Server;
using Xunit;

namespace Berth.Tests.Lambda;

/// <summary>The lambda contract: the Runtime API towards the program, and <c>/v1/functions</c> towards the caller.
/// </summary>
public sealed class LambdaFunctionTests
{
    private static CancellationToken Soon => TestContext.Current.CancellationToken;

    [Fact]
    public async Task The_body_is_the_event_and_the_answer_the_body()
    {
        await using LambdaRig rig = await LambdaRig.StartAsync();

        using HttpResponseMessage first = await rig.CallAsync("""{"name":"Ada"}""");
        string second = await rig.TextAsync("[1,2]");
        string nothing = await rig.TextAsync("");

        Assert.Equal("""{"name":"Ada"}""", await first.Content.ReadAsStringAsync(Soon));
        Assert.Equal("application/json", first.Content.Headers.ContentType!.MediaType);
        Assert.Equal("1", first.Headers.GetValues("Berth-Revision").Single());
        Assert.Equal(("[1,2]", "{}"), (second, nothing));
        // One after the other, they need one instance.
        Assert.Single(rig.Server.Node.Started);
    }

    [Fact]
    public async Task A_program_is_told_what_AWS_tells_its_programs()
    {
        await using LambdaRig rig = await LambdaRig.StartAsync(
            new FunctionRequest(
                Memory: "128Mi",
                Environment: new Dictionary<string, string>
                {
                    ["AWS_REGION"] = "eu-central-1",
                    ["AWS_LAMBDA_RUNTIME_API"] = "elsewhere:1",
                },
                Handler: "app.handler"));

        Dictionary<string, string> told = JsonSerializer.Deserialize<Dictionary<string, string>>(
            await rig.TextAsync("""{"do":"env"}"""))!;
        Dictionary<string, string> headers = JsonSerializer.Deserialize<Dictionary<string, string>>(
            await rig.TextAsync("""{"do":"headers"}"""))!;

        Assert.Equal(
            ("127.0.0.1:9001", "fn", "1", "128", "app.handler", "/var/task", "eu-central-1", "eu-central-1"),
            (told["AWS_LAMBDA_RUNTIME_API"], told["AWS_LAMBDA_FUNCTION_NAME"], told["AWS_LAMBDA_FUNCTION_VERSION"],
                told["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"], told["_HANDLER"], told["LAMBDA_TASK_ROOT"],
                told["AWS_REGION"], told["AWS_DEFAULT_REGION"]));
        Assert.False(told.ContainsKey("PORT"));
        Assert.True(Guid.TryParse(headers["Lambda-Runtime-Aws-Request-Id"], out _));
        Assert.Equal(
            "arn:aws:lambda:us-east-1:000000000000:function:fn", headers["Lambda-Runtime-Invoked-Function-Arn"]);
        Assert.Matches("^Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0$",
            headers["Lambda-Runtime-Trace-Id"]);
        DateTimeOffset deadline = DateTimeOffset.FromUnixTimeMilliseconds(
            long.Parse(headers["Lambda-Runtime-Deadline-Ms"], System.Globalization.CultureInfo.InvariantCulture));
        DateTimeOffset now = TimeProvider.System.GetUtcNow();
        Assert.InRange(deadline, now, now + TimeSpan.FromMinutes(1));
    }

    [Fact]
    public async Task A_handlers_error_is_told_and_the_instance_goes_on()
    {
        await using LambdaRig rig = await LambdaRig.StartAsync();

        using HttpResponseMessage failed = await rig.CallAsync("""{"do":"fail"}""");
        string again = await rig.TextAsync("1");

        Assert.Contains("Boom: it is bad", (await failed.ProblemAsync(502, "run_failed")).Detail);
        Assert.Equal("1", again);
        Assert.Single(rig.Server.Node.Started);
    }

    [Fact]
    public async Task A_program_that_ends_is_told_and_the_next_call_finds_another()
    {
        await using LambdaRig rig = await LambdaRig.StartAsync();

        using HttpResponseMessage failed = await rig.CallAsync("""{"do":"exit"}""");
        string again = await rig.TextAsync("1");

        Assert.Contains("it exited with 3", (await failed.ProblemAsync(502, "run_failed")).Detail);
        Assert.Equal("1", again);
    }

    [Fact]
    public async Task An_instance_that_overruns_is_ended()
    {
        await using LambdaRig rig = await LambdaRig.StartAsync(new FunctionRequest(Timeout: "300ms"));

        using HttpResponseMessage late = await rig.CallAsync("""{"do":"hang"}""");
        await rig.Client.Functions.DeployAsync(
            "fn", (await rig.Client.Functions.RevisionsAsync("fn", Soon))[0].Spec with { Timeout = "30s" }, Soon);
        string again = await rig.TextAsync("1");

        string detail = (await late.ProblemAsync(504, "run_timed_out")).Detail!;
        Assert.Contains("Task timed out after 0.30 seconds", detail, StringComparison.Ordinal);
        Assert.Equal("1", again);
        string id = detail.Split("the instance ")[1].Split(' ')[0];
        Assert.Equal("timed_out", (await rig.Client.Runs.WaitAsync(id, TimeSpan.FromSeconds(30), Soon)).Reason);
    }

    [Fact]
    public async Task Calls_at_once_have_an_instance_each()
    {
        await using LambdaRig rig = await LambdaRig.StartAsync();

        string[] answers = await Task.WhenAll(Enumerable.Range(0, 40).Select(i => rig.TextAsync($"{i}")));

        Assert.Equal(Enumerable.Range(0, 40).Select(i => $"{i}"), answers);
        Assert.InRange(rig.Server.Node.Started.Count, 2, 20);
    }

    [Fact]
    public async Task An_answer_to_what_was_not_asked_is_refused_and_the_right_one_still_taken()
    {
        await using LambdaRig rig = await LambdaRig.StartAsync();

        Assert.Equal("400", await rig.TextAsync("""{"do":"wrong"}"""));
    }

    [Fact]
    public async Task Answers_and_events_have_a_limit()
    {
        await using LambdaRig rig = await LambdaRig.StartAsync(payloadLimit: "64Ki");

        string most = await rig.TextAsync("""{"do":"big","size":65536}""");
        using HttpResponseMessage more = await rig.CallAsync("""{"do":"big","size":65537}""");
        using HttpResponseMessage sent = await rig.CallAsync('"' + new string('x', 65535) + '"');
        string again = await rig.TextAsync('"' + new string('x', 65534) + '"');

        Assert.Equal((65536, 65536), (most.Length, again.Length));
        Assert.Contains("Function.ResponseSizeTooLarge", (await more.ProblemAsync(502, "run_failed")).Detail);
        Assert.Contains("lambda-payload-limit", (await sent.ProblemAsync(413, "body_too_large")).Detail);
        Assert.Single(rig.Server.Node.Started);
    }

    [Fact]
    public async Task A_stream_is_passed_on_and_a_torn_one_cut_off()
    {
        await using LambdaRig rig = await LambdaRig.StartAsync();

        using HttpResponseMessage whole = await rig.CallAsync("""{"do":"stream"}""");
        string text = await whole.Content.ReadAsStringAsync(Soon);
        bool looksWhole = await IsWholeAsync(rig, """{"do":"break"}""");

        Assert.False(looksWhole, "A torn stream was taken for a whole one.");
        Assert.Equal(("one two three", "text/plain"), (text, whole.Content.Headers.ContentType!.MediaType));
        Assert.Equal("1", await rig.TextAsync("1"));
    }

    private static async Task<bool> IsWholeAsync(LambdaRig rig, string wish)
    {
        try
        {
            using HttpResponseMessage answer = await rig.CallAsync(wish);
            _ = await answer.Content.ReadAsStringAsync(Soon);
            return answer.IsSuccessStatusCode;
        }
        catch (Exception error) when (error is HttpRequestException or IOException)
        {
            return false;
        }
    }

    [Fact]
    public async Task A_program_that_can_not_be_initialized_is_not_deployed()
    {
        await using LambdaRig rig = await LambdaRig.StartAsync();

        BerthException refused = await Assert.ThrowsAsync<BerthException>(
            () => rig.DeployAsync(new FunctionRequest(Command: ["lambda", "refuse"])));
        BerthException deaf = await Assert.ThrowsAsync<BerthException>(
            () => rig.DeployAsync(new FunctionRequest(Command: ["lambda", "deaf"], StartTimeout: "200ms")));
        BerthException ended = await Assert.ThrowsAsync<BerthException>(
            () => rig.DeployAsync(new FunctionRequest(Command: ["false"])));

        Assert.Contains("Runtime.ImportModuleError: no module 'app'", refused.Message, StringComparison.Ordinal);
        Assert.Contains("AWS_LAMBDA_RUNTIME_API (127.0.0.1:9001)", deaf.Message, StringComparison.Ordinal);
        Assert.Contains("it exited with 1", ended.Message, StringComparison.Ordinal);
        Assert.Equal("1", await rig.TextAsync("1"));
    }

    [Fact]
    public async Task A_program_that_is_busy_with_itself_keeps_no_call()
    {
        await using LambdaRig rig = await LambdaRig.StartAsync();

        string answered = await rig.TextAsync("""{"do":"pause"}""");
        string next = await rig.TextAsync("1");

        Assert.Equal(("0", "1"), (answered, next));
        Assert.Equal(2, rig.Server.Node.Started.Count);
    }

    [Fact]
    public async Task The_contract_is_kept_over_a_restart_and_shown_as_it_was_asked()
    {
        await using LambdaRig rig = await LambdaRig.StartAsync(new FunctionRequest(Event: "http"));

        FunctionRequest spec = (await rig.Client.Functions.RevisionsAsync("fn", Soon))[0].Spec;
        FunctionDeployment same = await rig.Client.Functions.DeployAsync("fn", spec, Soon);

        Assert.Equal(("lambda", "http"), (spec.Contract, spec.Event));
        Assert.Null(spec.Port);
        Assert.False(same.Changed);
    }

    [Theory]
    [InlineData("""{"image":"demo/echo:1","contract":"lambda","port":8080}""", "http contract have it")]
    [InlineData("""{"image":"demo/echo:1","contract":"lambda","concurrency":2}""", "http contract have it")]
    [InlineData("""{"image":"demo/echo:1","contract":"http","event":"raw"}""", "lambda contract have it")]
    [InlineData("""{"image":"demo/echo:1","handler":"a.b"}""", "lambda contract have it")]
    [InlineData("""{"image":"demo/echo:1","contract":"lambda","event":"soap"}""", "expected raw or http")]
    [InlineData("""{"image":"demo/echo:1","contract":"lambda","handler":"a b"}""", "without blanks")]
    [InlineData("""{"image":"demo/echo:1","contract":"lambda","maxRunning":1}""", "contract = stdio")]
    [InlineData("""{"image":"demo/echo:1","contract":"grpc"}""", "stdio, http or lambda")]
    public async Task What_does_not_go_with_the_contract_is_refused(string body, string why)
    {
        await using LambdaRig rig = await LambdaRig.StartAsync();
        using StringContent content = new(body, System.Text.Encoding.UTF8, "application/json");

        using HttpResponseMessage answer = await rig.Server.Client.PutAsync("/v1/functions/other", content, Soon);

        Assert.Equal(HttpStatusCode.BadRequest, answer.StatusCode);
        Assert.Contains(why, await answer.Content.ReadAsStringAsync(Soon), StringComparison.Ordinal);
    }
}
