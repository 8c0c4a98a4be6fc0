using System.Net;
using System.Text;
using Berth.Api.Client;
using Berth.Api.Functions;
using Berth.Core.Runs;
using Berth.Server.Access;
using Berth.Testing.Server;
using Berth.Tests.Server;
using Xunit;

namespace Berth.Tests.Functions;

/// <summary>Functions that anybody may call, with a node in memory.</summary>
public sealed class PublicFunctionTests : IAsyncLifetime
{
    private PlayedService service = null!;
    private ServerRig rig = null!;
    private BerthClient client = null!;

    public async ValueTask InitializeAsync()
    {
        service = new PlayedService((_, _) => Task.FromResult<string?>(PlayedService.Answer(200, "the program")));
        rig = await ServerRig.StartAsync(o => o with { FunctionDomain = "fn.example.org" });
        client = new BerthClient(rig.Address, rig.AdminToken, TimeProvider.System);
        await client.Functions.DeployAsync(
            "env", new FunctionRequest(ServerRig.Image, ["env"], Public: true), CancellationToken.None);
        await client.Functions.DeployAsync(
            "shop",
            new FunctionRequest(
                ServerRig.Image, ["sleep", "3600"], Contract: "http", Port: service.Port, Public: true),
            CancellationToken.None);
    }

    public async ValueTask DisposeAsync()
    {
        client.Dispose();
        await rig.DisposeAsync();
        await service.DisposeAsync();
    }

    [Theory]
    [InlineData("GET", "/v1/functions/shop/x", null)]
    [InlineData("GET", "/v1/functions/shop/", null)]
    [InlineData("PUT", "/v1/functions/shop/", null)]
    [InlineData("POST", "/v1/functions/shop", null)]
    [InlineData("POST", "/function/shop", null)]
    [InlineData("GET", "/anything", "shop.fn.example.org")]
    public async Task Anybody_calls_it_by_path_and_by_host(string method, string path, string? host)
    {
        using HttpResponseMessage answer = await AskAsync(method, path, host);

        Assert.Equal("the program", await answer.Content.ReadAsStringAsync());
    }

    [Theory]
    [InlineData("GET", "/v1/functions/shop")]
    [InlineData("PUT", "/v1/functions/shop")]
    [InlineData("DELETE", "/v1/functions/shop")]
    [InlineData("GET", "/v1/functions")]
    [InlineData("PUT", "/v1/traffic/shop")]
    [InlineData("GET", "/v1/runs")]
    [InlineData("POST", "/async-function/env")]
    [InlineData("POST", "/2015-03-31/functions/shop/invocations")]
    [InlineData("GET", "/v1/functions/other/x")]
    public async Task Nothing_else_is_open(string method, string path)
    {
        using HttpResponseMessage answer = await AskAsync(method, path, null);

        Assert.True(
            answer.StatusCode is HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden,
            $"{method} {path} is answered with {answer.StatusCode}.");
        Assert.Empty(service.Requests);
    }

    [Fact]
    public async Task Who_has_no_token_waits_for_the_answer_and_labels_nothing()
    {
        using HttpResponseMessage later = await AskAsync(
            "POST", "/v1/functions/env", null, ("Prefer", "respond-async"));
        using HttpResponseMessage labelled = await AskAsync(
            "POST", "/v1/functions/env", null, ("Berth-Label", "team=a"));

        await later.ProblemAsync(401, "unauthorized");
        await labelled.ProblemAsync(400, "invalid_request");
    }

    [Theory]
    [InlineData("Bearer of-the-program")]
    [InlineData("Basic dTpw")]
    [InlineData("Digest username=\"x\"")]
    public async Task An_authorization_of_the_programs_own_passes(string value)
    {
        using HttpResponseMessage web = await AskAsync("GET", "/v1/functions/shop/x", null, ("Authorization", value));
        using HttpResponseMessage program = await AskAsync("GET", "/x", "env.fn.example.org", ("Authorization", value));

        Assert.Equal(value, Assert.Single(service.Requests).Headers["Authorization"]);
        Assert.Contains(
            "HTTP_AUTHORIZATION=" + value, await program.Content.ReadAsStringAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_token_of_the_servers_never_passes_be_it_good_or_not()
    {
        string pull = rig.Server.Rooms.Tokens.Create("pull", Role.Pull, null).Secret;
        var revoked = rig.Server.Rooms.Tokens.Create("gone", Role.User, null);
        rig.Server.Rooms.Tokens.Revoke(revoked.Token.Id);
        string[] tokens = [rig.AdminToken, pull, revoked.Secret, revoked.Secret[..^1], "x" + revoked.Secret];
        foreach (string value in tokens.SelectMany(t => (string[])[
            "Bearer " + t, "Basic " + Convert.ToBase64String(Encoding.ASCII.GetBytes("u:" + t)), "Token " + t]))
        {
            using HttpResponseMessage web = await AskAsync(
                "GET", "/v1/functions/shop/x", null, ("Authorization", value));
            using HttpResponseMessage program = await AskAsync(
                "GET", "/x", "env.fn.example.org", ("Authorization", value));

            Assert.Equal((HttpStatusCode.OK, HttpStatusCode.OK), (web.StatusCode, program.StatusCode));
            string told = await program.Content.ReadAsStringAsync();
            Assert.DoesNotContain("AUTHORIZATION", told, StringComparison.Ordinal);
        }

        Assert.All(service.Requests, r => Assert.DoesNotContain("Authorization", r.Headers.Keys));
    }

    [Fact]
    public async Task A_call_says_whose_it_was_by_the_address()
    {
        using HttpResponseMessage answer = await AskAsync("POST", "/v1/functions/env", null);
        RunId id = RunId.Parse(answer.Headers.GetValues("Berth-Run-Id").Single());
        Run run = await rig.Server.Rooms.Runs.GetAsync(id, CancellationToken.None);

        Assert.Equal("anonymous:127.0.0.1", run.Caller);
    }

    [Fact]
    public async Task Taken_back_it_asks_for_a_token_again()
    {
        await client.Functions.RouteAsync(
            "shop", new TrafficView([new ShareView(1, 100)], Public: false), CancellationToken.None);

        using HttpResponseMessage answer = await AskAsync("GET", "/x", "shop.fn.example.org");

        await answer.ProblemAsync(401, "unauthorized");
    }

    private async Task<HttpResponseMessage> AskAsync(
        string method, string path, string? host, params (string, string)[] headers)
    {
        HttpRequestMessage request = new(new HttpMethod(method), path);
        foreach ((string name, string value) in headers.Append(("Host", host ?? rig.Address.Authority)))
        {
            request.Headers.TryAddWithoutValidation(name, value);
        }

        using HttpClient http = rig.ClientWith(null);
        return await http.SendAsync(request);
    }
}
