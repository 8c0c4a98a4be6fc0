using System.Net;
using System.Text;
using System.Text.Json;
using Berth.Api.Functions;
using Berth.Tests.Server;
using Xunit;

namespace Berth.Tests.Lambda;

/// <summary>Functions whose event tells the whole request, and whose answer a whole HTTP answer.</summary>
public sealed class HttpEventTests
{
    private static CancellationToken Soon => TestContext.Current.CancellationToken;

    [Fact]
    public async Task The_event_tells_the_request_in_payload_format_2()
    {
        await using LambdaRig rig = await StartAsync();
        using HttpRequestMessage request = new(HttpMethod.Put, "/v1/functions/fn/a%2Fb/c?x=1&x=2&y=%20z")
        {
            Content = new StringContent("héllo", Encoding.UTF8, "text/plain"),
        };
        request.Headers.Add("Cookie", "one=1; two=2");
        request.Headers.Add("X-Own", ["p", "q"]);

        using HttpResponseMessage answer = await rig.Server.SendAsync(request, Soon);

        using JsonDocument told = JsonDocument.Parse(await answer.Content.ReadAsStringAsync(Soon));
        JsonElement root = told.RootElement;
        JsonElement http = root.GetProperty("requestContext").GetProperty("http");
        Assert.Equal(
            ("2.0", "/a%2Fb/c", "x=1&x=2&y=%20z", "1,2", " z", "PUT", "/a%2Fb/c", "127.0.0.1", "héllo", "p, q"),
            (root.GetProperty("version").GetString(), root.GetProperty("rawPath").GetString(),
                root.GetProperty("rawQueryString").GetString(),
                root.GetProperty("queryStringParameters").GetProperty("x").GetString(),
                root.GetProperty("queryStringParameters").GetProperty("y").GetString(),
                http.GetProperty("method").GetString(), http.GetProperty("path").GetString(),
                http.GetProperty("sourceIp").GetString(), root.GetProperty("body").GetString(),
                root.GetProperty("headers").GetProperty("x-own").GetString()));
        Assert.Equal(["one=1", "two=2"], root.GetProperty("cookies").EnumerateArray().Select(c => c.GetString()));
        Assert.False(root.GetProperty("isBase64Encoded").GetBoolean());
        Assert.False(root.GetProperty("headers").TryGetProperty("authorization", out _), "The token is the caller's.");
        Assert.Equal("/v1/functions/fn", root.GetProperty("headers").GetProperty("x-forwarded-prefix").GetString());
    }

    [Fact]
    public async Task What_is_no_text_comes_in_base_64()
    {
        await using LambdaRig rig = await StartAsync();
        using HttpRequestMessage request = new(HttpMethod.Post, "/v1/functions/fn")
        {
            Content = new ByteArrayContent([0, 255, 1]) { Headers = { ContentType = new("image/png") } },
        };

        using HttpResponseMessage answer = await rig.Server.SendAsync(request, Soon);

        using JsonDocument told = JsonDocument.Parse(await answer.Content.ReadAsStringAsync(Soon));
        Assert.Equal("AP8B", told.RootElement.GetProperty("body").GetString());
        Assert.True(told.RootElement.GetProperty("isBase64Encoded").GetBoolean());
    }

    [Fact]
    public async Task The_answer_is_what_the_function_describes()
    {
        await using LambdaRig rig = await StartAsync(raw: true);

        using HttpResponseMessage answer = await rig.CallAsync(Raw(
            """
            {"statusCode":418,"headers":{"X-Own":"a","Content-Type":"image/gif","Berth-Forged":"x","Connection":"close",
            "Content-Length":"99"},"multiValueHeaders":{"X-Many":["1","2"]},"cookies":["a=1","b=2"],"body":"R0lG",
            "isBase64Encoded":true}
            """));

        Assert.Equal(418, (int)answer.StatusCode);
        Assert.Equal("GIF", await answer.Content.ReadAsStringAsync(Soon));
        Assert.Equal(["a"], answer.Headers.GetValues("X-Own"));
        Assert.Equal(["1", "2"], answer.Headers.GetValues("X-Many"));
        Assert.Equal(["a=1", "b=2"], answer.Headers.GetValues("Set-Cookie"));
        Assert.Equal("image/gif", answer.Content.Headers.ContentType!.MediaType);
        Assert.False(answer.Headers.Contains("Berth-Forged"), "A program can't speak for the server.");
    }

    [Theory]
    [InlineData("""{"statusCode":"abc"}""", "statusCode")]
    [InlineData("""{"statusCode":101}""", "statusCode")]
    [InlineData("""{"statusCode":200,"headers":{"a b":"x"}}""", "whose name is none")]
    [InlineData("""{"statusCode":200,"headers":{"X":"a\r\nSet-Cookie: b"}}""", "control characters")]
    [InlineData("""{"statusCode":200,"cookies":["a\nb"]}""", "control characters")]
    [InlineData("""{"statusCode":200,"body":"%","isBase64Encoded":true}""", "base 64")]
    public async Task What_describes_no_answer_is_the_functions_failure(string described, string why)
    {
        await using LambdaRig rig = await StartAsync(raw: true);

        using HttpResponseMessage answer = await rig.CallAsync(Raw(described));

        Assert.Contains(why, (await answer.ProblemAsync(502, "run_failed")).Detail);
    }

    [Fact]
    public async Task A_streams_prelude_is_its_head()
    {
        await using LambdaRig rig = await StartAsync(raw: true);
        string wish = JsonSerializer.Serialize(new Dictionary<string, string>
        {
            ["do"] = "http",
            ["prelude"] = """{"statusCode":202,"headers":{"X-Own":"a"}}""",
            ["body"] = "streamed",
        });

        using HttpResponseMessage answer = await rig.CallAsync(wish);

        Assert.Equal(HttpStatusCode.Accepted, answer.StatusCode);
        Assert.Equal("a", answer.Headers.GetValues("X-Own").Single());
        Assert.Equal("streamed", await answer.Content.ReadAsStringAsync(Soon));
    }

    private static string Raw(string answer) => $$"""{"do":"raw","answer":{{answer}}}""";

    /// <param name="raw">The program reads its wish from the event's body.</param>
    private static Task<LambdaRig> StartAsync(bool raw = false) => LambdaRig.StartAsync(
        new FunctionRequest(Event: "http", Command: raw ? ["lambda", "unwrap"] : null));
}
