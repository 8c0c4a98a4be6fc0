using System.Net;
using System.Net.Http.Headers;
using System.Text;
using Berth.Api.Runs;
using Berth.Testing.Server;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Xunit;

namespace Berth.Tests.Server;

/// <summary>
/// Requests that no client should send: each gets an answer that says what is wrong, and the server goes on.
/// </summary>
public sealed class BadInputTests(ServerRigFixture fixture) : IClassFixture<ServerRigFixture>
{
    private ServerRig Rig => fixture.Rig;

    [Theory]
    [InlineData("{", "application/json", 400, "invalid_request")]
    [InlineData("", "application/json", 400, "invalid_request")]
    [InlineData("null", "application/json", 400, "invalid_request")]
    [InlineData("[]", "application/json", 400, "invalid_request")]
    [InlineData("{\"source\": 5, \"target\": \"a\"}", "application/json", 400, "invalid_request")]
    [InlineData("{}", "application/json", 400, "invalid_reference")]
    [InlineData("{}", "text/plain", 415, "unsupported_media_type")]
    [InlineData("{}", "application/x-www-form-urlencoded", 415, "unsupported_media_type")]
    public async Task A_body_that_is_not_the_json_expected_is_refused(string body, string type, int status, string code)
    {
        foreach (string route in new[] { "/v1/images/pull", "/v1/images/push" })
        {
            using StringContent content = new(body, Encoding.UTF8, type);
            using HttpResponseMessage response = await Rig.Client.PostAsync(route, content);
            await response.ProblemAsync(status, code);
        }
    }

    [Theory]
    [InlineData("{")]
    [InlineData("null")]
    [InlineData("{}")]
    [InlineData("{\"name\": null}")]
    [InlineData("{\"name\": {}}")]
    public async Task A_token_that_nobody_described_is_refused(string body)
    {
        using StringContent content = new(body, Encoding.UTF8, "application/json");
        using HttpResponseMessage response = await Rig.Client.PostAsync("/v1/tokens", content);

        await response.ProblemAsync(400, "invalid_request");
    }

    [Fact]
    public async Task A_json_body_has_a_limit()
    {
        string json = "{\"name\":\"" + new string('a', 70_000) + "\"}";
        using StringContent content = new(json, Encoding.UTF8, "application/json");
        using HttpResponseMessage response = await Rig.Client.PostAsync("/v1/tokens", content);

        await response.ProblemAsync(413, "body_too_large");
    }

    [Theory]
    [InlineData("PUT", "/v1/runs", "GET, HEAD")]
    [InlineData("POST", "/v1/runs/01k00000000000000000000000/result", "GET, HEAD")]
    [InlineData("GET", "/v1/runs/01k00000000000000000000000/cancel", "POST")]
    [InlineData("PUT", "/v1/call/demo/echo:1", "GET, POST")]
    [InlineData("HEAD", "/v1/call/demo/echo:1", "GET, POST")]
    [InlineData("GET", "/v1/tasks/demo/echo:1", "POST")]
    [InlineData("OPTIONS", "/v1/runs", "GET, HEAD")]
    [InlineData("DELETE", "/v1/tokens", "GET, HEAD, POST")]
    [InlineData("HEAD", "/v1/events", "GET")]
    [InlineData("TRACE", "/v1/node", "GET, HEAD")]
    [InlineData("INVENTED", "/v1/node", "GET, HEAD")]
    public async Task A_method_that_an_address_does_not_take_is_405_with_those_it_does(
        string method, string path, string allowed)
    {
        using HttpRequestMessage request = new(new HttpMethod(method), path);
        using HttpResponseMessage response = await Rig.SendAsync(request);

        Assert.Equal(allowed, string.Join(", ", response.Content.Headers.Allow.Order()));
        if (method == "HEAD")
        {
            Assert.Equal(HttpStatusCode.MethodNotAllowed, response.StatusCode);
            return;
        }

        Problem problem = await response.ProblemAsync(405, "method_not_allowed");
        Assert.Contains(method, problem.Detail, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("/")]
    [InlineData("/v1")]
    [InlineData("/v1/nothing")]
    [InlineData("/v1/runs/01k00000000000000000000000/nothing")]
    [InlineData("/v3/")]
    [InlineData("/v1/tokens/a/b")]
    public async Task An_address_with_nothing_at_it_is_404(string path)
    {
        using HttpResponseMessage response = await Rig.GetAsync(path);

        Problem problem = await response.ProblemAsync(404, "not_found");
        Assert.Contains("/openapi/v1.json", problem.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task HEAD_is_GET_without_the_body_wherever_the_answer_is_there_at_once()
    {
        RunView run = await Rig.FinishAsync(body: new StringContent("content"));
        string[] paths =
        [
            .. Rig.Server.Routes.Endpoints.OfType<RouteEndpoint>()
                .Where(e => e.Metadata.GetMetadata<HttpMethodMetadata>()?.HttpMethods.Contains("HEAD") == true)
                .Select(e => e.RoutePattern.RawText!.Replace("{id}", run.Id, StringComparison.Ordinal)
                    .Replace("{**reference}", ServerRig.Image, StringComparison.Ordinal))
                .Where(path => !path.StartsWith("/v2", StringComparison.Ordinal)),
        ];

        Assert.True(paths.Length >= 15, "Routes are missing.");
        foreach (string path in paths)
        {
            using HttpRequestMessage head = new(HttpMethod.Head, path);
            using HttpResponseMessage without = await Rig.SendAsync(head);
            using HttpResponseMessage with = await Rig.GetAsync(path);
            Assert.Equal(with.StatusCode, without.StatusCode);
            Assert.Equal(with.Content.Headers.ContentType?.ToString(), without.Content.Headers.ContentType?.ToString());
            Assert.Empty(await without.Content.ReadAsByteArrayAsync());
        }
    }

    [Theory]
    [InlineData("GET /v1/runs HTTP/1.1\r\nHost: a\r\nBad header\r\n\r\n", "400")]
    [InlineData("GET /v1/runs HTTP/1.1\r\n\r\n", "400")]
    [InlineData("GET /v1/runs HTTP/9.9\r\nHost: a\r\n\r\n", "505")]
    [InlineData("NONSENSE\r\n\r\n", "400")]
    [InlineData(
        "POST /v1/tasks/demo/echo:1 HTTP/1.1\r\nHost: a\r\n"
        + "AUTHContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "400")]
    [InlineData(
        "POST /v1/tasks/demo/echo:1 HTTP/1.1\r\nHost: a\r\n"
        + "AUTHTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n",
        "400")]
    [InlineData("POST /v1/tasks/demo/echo:1 HTTP/1.1\r\nHost: a\r\nAUTHTransfer-Encoding: gzip\r\n\r\nhello", "400")]
    [InlineData(
        "POST /v1/tasks/demo/echo:1 HTTP/1.1\r\nHost: a\r\n"
        + "AUTHContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "400")]
    [InlineData(
        "POST /v1/tasks/demo/echo:1 HTTP/1.1\r\nHost: a\r\n"
        + "AUTHTransfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "400")]
    [InlineData(
        "POST /v1/tasks/demo/echo:1 HTTP/1.1\r\nHost: a\r\n"
        + "AUTHTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "400")]
    public async Task What_is_not_http_is_refused_and_starts_nothing(string request, string status)
    {
        int before = (await Rig.RunsAsync("")).Runs.Count;
        await using RawConnection connection = await RawConnection.OpenAsync(Rig);

        await connection.WriteAsync(request.Replace("AUTH", connection.Authorization, StringComparison.Ordinal));
        string answer = await connection.ReadUntilAsync("\r\n\r\n");

        Assert.StartsWith($"HTTP/1.1 {status} ", answer, StringComparison.Ordinal);
        Assert.Equal(before, (await Rig.RunsAsync("")).Runs.Count);
    }

    [Fact]
    public async Task A_url_and_headers_have_their_limits()
    {
        using HttpResponseMessage url = await Rig.GetAsync("/v1/runs?label=" + new string('a', 20_000));
        using HttpResponseMessage headers = await Rig.GetAsync("/v1/runs", ("X-Long", new string('a', 200_000)));
        using HttpResponseMessage many = await Rig.GetAsync(
            "/v1/runs", [.. Enumerable.Range(0, 2500).Select(n => ($"X-{n}", "1"))]);
        using HttpResponseMessage fine = await Rig.GetAsync("/healthz", ("X-Long", new string('a', 100_000)));

        Assert.Equal(HttpStatusCode.RequestUriTooLong, url.StatusCode);
        Assert.Equal(HttpStatusCode.RequestHeaderFieldsTooLarge, headers.StatusCode);
        Assert.Equal(HttpStatusCode.RequestHeaderFieldsTooLarge, many.StatusCode);
        Assert.Equal(HttpStatusCode.OK, fine.StatusCode);
    }

    [Fact]
    public async Task A_body_that_breaks_off_is_no_task()
    {
        int before = Rig.Node.Started.Count;
        await using (RawConnection connection = await RawConnection.OpenAsync(Rig))
        {
            await connection.WriteAsync(
                $"POST /v1/tasks/{ServerRig.Image} HTTP/1.1\r\nHost: a\r\n{connection.Authorization}"
                + "Berth-Label: test=torn\r\nContent-Length: 100000\r\n\r\nonly this");
        }

        // A whole one afterwards: by its end the torn one would have been accepted.
        await Rig.FinishAsync(body: new StringContent("whole"));

        Assert.Empty((await Rig.RunsAsync("label=test%3Dtorn")).Runs);
        Assert.Equal(before + 1, Rig.Node.Started.Count);
    }

    [Theory]
    [InlineData("/v1/call/demo/nothing:1", true, 404, "image_not_found")]
    [InlineData("/v1/tasks/demo/nothing:1", true, 404, "image_not_found")]
    [InlineData("/v1/call/demo/echo:1", false, 401, "unauthorized")]
    [InlineData("/v1/nothing", true, 404, "not_found")]
    [InlineData("/v1/runs", true, 405, "method_not_allowed")]
    public async Task A_refusal_reaches_also_a_client_that_first_sends_its_whole_body(
        string path, bool known, int status, string code)
    {
        using HttpClient client = Rig.ClientWith(known ? Rig.AdminToken : null);
        using ByteArrayContent body = new(new byte[8 * 1024 * 1024]);

        using HttpResponseMessage response = await client.PostAsync(path, body);

        await response.ProblemAsync(status, code);
    }

    [Fact]
    public async Task No_answer_gives_the_servers_make_away()
    {
        using HttpResponseMessage response = await Rig.GetAsync("/healthz");

        Assert.Empty(response.Headers.Server);
        Assert.False(response.Headers.Contains("X-Powered-By"));
    }
}
