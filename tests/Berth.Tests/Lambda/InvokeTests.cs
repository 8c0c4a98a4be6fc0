using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using Berth.Api.Functions;
using Berth.Testing.Server;
using Xunit;

namespace Berth.Tests.Lambda;

/// <summary>What AWS's own clients find at their addresses.</summary>
public sealed class InvokeTests
{
    private const string Invocations = "/2015-03-31/functions/fn/invocations";

    private static CancellationToken Soon => TestContext.Current.CancellationToken;

    [Fact]
    public async Task An_invocation_is_answered_in_the_form_of_AWS()
    {
        await using LambdaRig rig = await LambdaRig.StartAsync();

        using HttpResponseMessage answer = await rig.InvokeAsync("""{"a":1}""", "", ("X-Amz-Log-Type", "Tail"));

        string id = answer.Headers.GetValues("x-amzn-RequestId").Single();
        Assert.Equal("""{"a":1}""", await answer.Content.ReadAsStringAsync(Soon));
        Assert.Equal("1", answer.Headers.GetValues("X-Amz-Executed-Version").Single());
        Assert.False(answer.Headers.Contains("X-Amz-Function-Error"));
        string log = Encoding.UTF8.GetString(
            Convert.FromBase64String(answer.Headers.GetValues("X-Amz-Log-Result").Single()));
        Assert.StartsWith(
            $"START RequestId: {id} Version: 1\nevent of 7 characters\nEND RequestId: {id}\nREPORT RequestId: {id}\t",
            log, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_log_is_of_this_invocation_alone()
    {
        await using LambdaRig rig = await LambdaRig.StartAsync();
        (await rig.InvokeAsync("123456")).Dispose();

        using HttpResponseMessage answer = await rig.InvokeAsync("1", "", ("X-Amz-Log-Type", "Tail"));

        string log = Encoding.UTF8.GetString(
            Convert.FromBase64String(answer.Headers.GetValues("X-Amz-Log-Result").Single()));
        Assert.Contains("event of 1 characters", log, StringComparison.Ordinal);
        Assert.DoesNotContain("event of 6 characters", log, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{"do":"fail"}""", "Boom", "it is bad")]
    [InlineData("""{"do":"exit"}""", "Runtime.ExitError", "it exited with 3")]
    [InlineData("""{"do":"hang"}""", "Sandbox.Timedout", "Task timed out after 0.50 seconds")]
    [InlineData("""{"do":"big","size":65537}""", "Function.ResponseSizeTooLarge", "65536 bytes")]
    public async Task A_functions_failure_is_an_answer_with_its_error(string wish, string type, string message)
    {
        await using LambdaRig rig = await LambdaRig.StartAsync(new FunctionRequest(Timeout: "500ms"), "64Ki");

        using HttpResponseMessage answer = await rig.InvokeAsync(wish);

        using JsonDocument told = JsonDocument.Parse(await answer.Content.ReadAsStringAsync(Soon));
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        Assert.Equal("Unhandled", answer.Headers.GetValues("X-Amz-Function-Error").Single());
        Assert.Equal(type, told.RootElement.GetProperty("errorType").GetString());
        Assert.Contains(message, told.RootElement.GetProperty("errorMessage").GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_stream_is_taken_whole()
    {
        await using LambdaRig rig = await LambdaRig.StartAsync();

        using HttpResponseMessage answer = await rig.InvokeAsync("""{"do":"stream"}""");

        Assert.Equal("one two three", await answer.Content.ReadAsStringAsync(Soon));
    }

    [Fact]
    public async Task A_dry_run_calls_nothing_and_what_is_not_known_is_told()
    {
        await using LambdaRig rig = await LambdaRig.StartAsync();

        using HttpResponseMessage dry = await rig.InvokeAsync("{}", "", ("X-Amz-Invocation-Type", "DryRun"));
        using HttpResponseMessage odd = await rig.InvokeAsync("{}", "", ("X-Amz-Invocation-Type", "Never"));

        Assert.Equal(HttpStatusCode.NoContent, dry.StatusCode);
        await RefusedAsync(odd, 400, "InvalidParameterValueException", "DryRun or Event");
    }

    [Theory]
    [InlineData("fn")]
    [InlineData("fn?Qualifier=1")]
    [InlineData("fn:1")]
    [InlineData("fn:stable")]
    [InlineData("fn?Qualifier=$LATEST")]
    [InlineData("arn:aws:lambda:us-east-1:000000000000:function:fn:stable")]
    [InlineData("000000000000:function:fn")]
    public async Task A_function_is_named_as_AWS_names_them(string name)
    {
        await using LambdaRig rig = await LambdaRig.StartAsync(new FunctionRequest(Tag: "stable"));
        string[] parts = name.Split('?');
        string query = parts.Length > 1 ? "?" + parts[1] : "";

        string answer = await rig.TextAsync(
            "5", $"/2015-03-31/functions/{Uri.EscapeDataString(parts[0])}/invocations{query}");

        Assert.Equal("5", answer);
    }

    [Fact]
    public async Task Refusals_are_in_the_form_of_AWS()
    {
        await using LambdaRig rig = await LambdaRig.StartAsync(payloadLimit: "64Ki");
        await rig.Client.Functions.DeployAsync("plain", new FunctionRequest(ServerRig.Image), Soon);
        using HttpClient nobody = rig.Server.ClientWith(null);

        await RefusedAsync(
            await rig.CallAsync("1", "/2015-03-31/functions/none/invocations"), 404, "ResourceNotFoundException",
            "'none'");
        await RefusedAsync(await rig.InvokeAsync("1", "?Qualifier=9"), 404, "ResourceNotFoundException", "revision 9");
        await RefusedAsync(await rig.InvokeAsync("{"), 400, "InvalidRequestContentException", "parse");
        await RefusedAsync(
            await rig.InvokeAsync(new string('1', 65537)), 413, "RequestTooLargeException", "lambda-payload-limit");
        await RefusedAsync(
            await rig.CallAsync("1", "/2015-03-31/functions/plain/invocations"), 400, "InvalidParameterValueException",
            "/v1/functions/plain");
        await RefusedAsync(
            await rig.InvokeAsync("1", "", ("X-Amz-Client-Context", "%")), 400, "InvalidParameterValueException",
            "base 64");
        await RefusedAsync(
            await nobody.PostAsync(Invocations, null, Soon), 403, "UnrecognizedClientException", "token");
        Assert.Equal("1", await rig.TextAsync("1"));
    }

    [Fact]
    public async Task A_signed_request_brings_its_token_as_the_session_token_and_only_to_addresses_of_AWS()
    {
        await using LambdaRig rig = await LambdaRig.StartAsync();
        using HttpClient client = rig.Server.ClientWith(null);

        Assert.Equal(HttpStatusCode.OK, await SignedAsync(client, Invocations, rig.Server.AdminToken));
        Assert.Equal(
            HttpStatusCode.Forbidden, await SignedAsync(client, Invocations, rig.Server.AdminToken[..^1] + "x"));
        Assert.Equal(HttpStatusCode.Forbidden, await SignedAsync(client, Invocations, null));
        Assert.Equal(
            HttpStatusCode.Unauthorized, await SignedAsync(client, "/v1/functions/fn", rig.Server.AdminToken));
    }

    [Fact]
    public async Task Functions_are_listed_as_AWS_lists_them()
    {
        await using LambdaRig rig = await LambdaRig.StartAsync(new FunctionRequest(Handler: "app.go", Memory: "128Mi"));
        await rig.Client.Functions.DeployAsync("plain", new FunctionRequest(ServerRig.Image), Soon);

        using JsonDocument list = await JsonAsync(rig, "/2015-03-31/functions/?MaxItems=1");
        using JsonDocument rest = await JsonAsync(rig, "/2015-03-31/functions?Marker=fn");
        using JsonDocument one = await JsonAsync(rig, "/2015-03-31/functions/fn");
        using JsonDocument configuration = await JsonAsync(rig, "/2015-03-31/functions/fn/configuration?Qualifier=1");

        JsonElement only = Assert.Single(list.RootElement.GetProperty("Functions").EnumerateArray());
        Assert.Equal(
            ("fn", "app.go", 128, "$LATEST"),
            (only.GetProperty("FunctionName").GetString(), only.GetProperty("Handler").GetString(),
                only.GetProperty("MemorySize").GetInt32(), only.GetProperty("Version").GetString()));
        Assert.Empty(rest.RootElement.GetProperty("Functions").EnumerateArray());
        Assert.Equal(
            "fn", one.RootElement.GetProperty("Configuration").GetProperty("FunctionName").GetString());
        Assert.Equal("1", configuration.RootElement.GetProperty("Version").GetString());
    }

    private static async Task<JsonDocument> JsonAsync(LambdaRig rig, string path) =>
        JsonDocument.Parse(await rig.Server.Client.GetStringAsync(path, Soon));

    private static async Task<HttpStatusCode> SignedAsync(HttpClient client, string path, string? token)
    {
        using HttpRequestMessage request = new(HttpMethod.Post, path) { Content = new StringContent("1") };
        request.Headers.Authorization = new AuthenticationHeaderValue(
            "AWS4-HMAC-SHA256",
            "Credential=berth/20261122/us-east-1/lambda/aws4_request, SignedHeaders=host, Signature=00");
        if (token is not null)
        {
            request.Headers.Add("X-Amz-Security-Token", token);
        }

        using HttpResponseMessage answer = await client.SendAsync(request, Soon);
        return answer.StatusCode;
    }

    private static async Task RefusedAsync(HttpResponseMessage answer, int status, string type, string why)
    {
        using (answer)
        {
            using JsonDocument told = JsonDocument.Parse(await answer.Content.ReadAsStringAsync(Soon));
            Assert.Equal(status, (int)answer.StatusCode);
            Assert.Equal(type, answer.Headers.GetValues("x-amzn-ErrorType").Single());
            Assert.Contains(why, told.RootElement.GetProperty("Message").GetString(), StringComparison.Ordinal);
        }
    }
}
