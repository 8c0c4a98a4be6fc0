using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Berth.Api.Images;
using Berth.Api.Runs;
using Berth.Server.Access;
using Berth.Testing.Server;
using Xunit;

namespace Berth.Tests.Server;

/// <summary>Copies between this server and another registry, which is another of its kind.</summary>
public sealed class CopyTests(CopyTests.Fixture fixture) : IClassFixture<CopyTests.Fixture>
{
    private ServerRig Here => fixture.Here;

    private ServerRig There => fixture.There;

    [Fact]
    public async Task A_pulled_image_runs_here_and_its_progress_is_told_line_by_line()
    {
        using HttpResponseMessage response = await CopyAsync("pull", new CopyRequest(
            Foreign("demo/echo:1"), "copied/echo:1", "anybody", There.AdminToken, true));
        List<CopyProgress> lines = await LinesAsync(response);
        HttpRequestMessage call = ServerRig.Call(body: new StringContent("across"));
        call.RequestUri = new Uri("/v1/call/copied/echo:1", UriKind.Relative);
        using HttpResponseMessage answer = await Here.SendAsync(call);

        Assert.Equal("application/x-ndjson", response.Content.Headers.ContentType!.MediaType);
        Assert.Equal(("done", There.Digest.Text), (lines[^1].Status, lines[^1].Digest));
        Assert.All(lines[..^1], line => Assert.Null(line.Error));
        Assert.Equal("across", await answer.Content.ReadAsStringAsync());
    }

    [Fact]
    public async Task A_pushed_image_is_at_the_other_registry()
    {
        using HttpResponseMessage response = await CopyAsync("push", new CopyRequest(
            "demo/echo:1", Foreign("pushed/echo:7"), "anybody", There.AdminToken, true));
        List<CopyProgress> lines = await LinesAsync(response);
        ImageDetail there = (await There.Client.GetFromJsonAsync(
            "/v1/images/pushed/echo:7", ImageJson.Default.ImageDetail))!;

        Assert.Equal("done", lines[^1].Status);
        Assert.Equal(Here.Digest.Text, there.Image.Digest);
    }

    [Theory]
    [InlineData("pull")]
    [InlineData("push")]
    public async Task A_registry_inside_the_house_is_refused_unless_the_operator_allows_it(string way)
    {
        await using ServerRig strict = await ServerRig.StartAsync();
        (string from, string to) = way == "pull" ? (Foreign("demo/echo:1"), "x:1") : ("demo/echo:1", Foreign("x:1"));

        using HttpResponseMessage response = await strict.Client.PostAsJsonAsync(
            "/v1/images/" + way, new CopyRequest(from, to, "u", There.AdminToken, true), ImageJson.Default.CopyRequest);

        Problem problem = await response.ProblemAsync(403, "forbidden");
        Assert.Contains("registry-allow", problem.Detail, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("pull", "demo/echo:1", "x:1", 400, "invalid_reference", "names no other registry")]
    [InlineData("push", "demo/echo:1", "x:1", 400, "invalid_reference", "names no other registry")]
    [InlineData("pull", "Not a name", "x:1", 400, "invalid_reference", "Not a name")]
    [InlineData("pull", "FOREIGN/demo/echo:1", "Not a name", 400, "invalid_reference", "Not a name")]
    [InlineData("pull", "", "x:1", 400, "invalid_reference", "''")]
    [InlineData("pull", "FOREIGN/demo/echo:1", "other.example/x:1", 404, "image_not_found", "other.example")]
    [InlineData("push", "demo/nothing:1", "FOREIGN/x:1", 404, "image_not_found", "1")]
    [InlineData("pull", "FOREIGN/demo/nothing:1", "x:1", 404, "image_not_found", "demo/nothing")]
    public async Task A_copy_that_cannot_be_is_an_ordinary_refusal(
        string way, string from, string to, int status, string code, string told)
    {
        using HttpResponseMessage response = await CopyAsync(way, new CopyRequest(
            from.Replace("FOREIGN", There.Address.Authority, StringComparison.Ordinal),
            to.Replace("FOREIGN", There.Address.Authority, StringComparison.Ordinal), "u", There.AdminToken, true));

        Assert.Contains(told, (await response.ProblemAsync(status, code)).Detail, StringComparison.Ordinal);
        using HttpResponseMessage absent = await Here.GetAsync("/v1/images/x:1");
        Assert.Equal(HttpStatusCode.NotFound, absent.StatusCode);
    }

    [Theory]
    [InlineData(null)]
    [InlineData("wrong")]
    public async Task Credentials_that_the_other_registry_refuses_are_not_a_refusal_of_ours(string? password)
    {
        using HttpResponseMessage response = await CopyAsync("pull", new CopyRequest(
            Foreign("demo/echo:1"), "x:1", password is null ? null : "u", password, true));

        Problem problem = await response.ProblemAsync(502, "upstream");
        Assert.Contains("username and password", problem.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_registry_that_is_not_there_is_named()
    {
        using HttpResponseMessage response = await CopyAsync(
            "pull", new CopyRequest("127.0.0.1:1/demo/echo:1", "x:1", null, null, true));

        Assert.Contains("127.0.0.1:1", (await response.ProblemAsync(502, "upstream")).Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_other_registry_decides_what_may_be_pushed_to_it()
    {
        string puller = There.Server.Rooms.Tokens.Create("puller", Role.Pull, null).Secret;

        using HttpResponseMessage response = await CopyAsync("push", new CopyRequest(
            "demo/echo:1", Foreign("refused/echo:1"), "u", puller, true));

        bool told = response.IsSuccessStatusCode
            ? (await LinesAsync(response))[^1].Error is { Length: > 0 }
            : (int)response.StatusCode is 403 or 502;
        Assert.True(told, $"The push ended with {(int)response.StatusCode} and no error.");
        using HttpResponseMessage absent = await There.GetAsync("/v1/images/refused/echo:1");
        Assert.Equal(HttpStatusCode.NotFound, absent.StatusCode);
    }

    private string Foreign(string image) => $"{There.Address.Authority}/{image}";

    private Task<HttpResponseMessage> CopyAsync(string way, CopyRequest request) =>
        Here.Client.PostAsJsonAsync("/v1/images/" + way, request, ImageJson.Default.CopyRequest);

    private static async Task<List<CopyProgress>> LinesAsync(HttpResponseMessage response) =>
        [.. (await response.Content.ReadAsStringAsync()).Split('\n', StringSplitOptions.RemoveEmptyEntries)
            .Select(line => JsonSerializer.Deserialize(line, ImageJson.Default.CopyProgress)!)];

    /// <summary>Two servers, the first of which may reach the second.</summary>
    public sealed class Fixture : IAsyncLifetime
    {
        public ServerRig Here { get; private set; } = null!;

        public ServerRig There { get; private set; } = null!;

        public async ValueTask InitializeAsync()
        {
            Here = await ServerRig.StartAsync(o => o with { RegistryAllow = ["127.0.0.1"] });
            There = await ServerRig.StartAsync();
        }

        public async ValueTask DisposeAsync()
        {
            await Here.DisposeAsync();
            await There.DisposeAsync();
        }
    }
}
