using System.Net;
using System.Net.Sockets;
using System.Text;
using Berth.Api.Client;
using Berth.Api.Functions;
using Berth.Core.Errors;
using Berth.Server.Access;
using Berth.Testing.Content;
using Berth.Testing.Server;
using Berth.Tests.Edge;
using Berth.Tests.Server;
using Xunit;

namespace Berth.Tests.Functions;

/// <summary>Functions by host name, with a node in memory and a program that the test plays.</summary>
public sealed class FunctionHostTests : IAsyncLifetime
{
    private const string Domain = "fn.example.org";

    private PlayedService service = null!;
    private ServerRig rig = null!;
    private BerthClient client = null!;

    public async ValueTask InitializeAsync()
    {
        service = new PlayedService((_, _) => Task.FromResult<string?>(PlayedService.Answer(200, "the program")));
        rig = await ServerRig.StartAsync(o => o with { FunctionDomain = Domain, HostNames = ["berth." + Domain] });
        client = new BerthClient(rig.Address, rig.AdminToken, TimeProvider.System);
        await DeployAsync("shop", new FunctionRequest());
    }

    public async ValueTask DisposeAsync()
    {
        client.Dispose();
        await rig.DisposeAsync();
        await service.DisposeAsync();
    }

    [Theory]
    [InlineData("shop.fn.example.org")]
    [InlineData("SHOP.fn.Example.ORG:8443")]
    [InlineData("shop.fn.example.org.")]
    public async Task A_functions_host_gives_the_whole_path_to_its_program(string host)
    {
        using HttpResponseMessage answer = await AskAsync(host, "/v1/functions/shop//a%2Fb?x=%20", rig.AdminToken);

        Assert.Equal("the program", await answer.Content.ReadAsStringAsync());
        PlayedRequest got = Assert.Single(service.Requests);
        Assert.Equal("GET /v1/functions/shop//a%2Fb?x=%20 HTTP/1.1", got.Line);
        Assert.Equal(host, got.Headers["Host"]);
        Assert.DoesNotContain("X-Forwarded-Prefix", got.Headers.Keys);
        Assert.DoesNotContain("Authorization", got.Headers.Keys);
        Assert.False(answer.Headers.Contains("X-Call-Id"), "OpenFaaS has no such address.");
    }

    [Theory]
    [InlineData("shop.fn.example.org", "other.fn.example.org", "200", 1)]
    [InlineData("other.fn.example.org", "shop.fn.example.org", "404", 0)]
    public async Task Over_http2_the_authority_counts_and_a_host_beside_it_for_nothing(
        string authority, string host, string outcome, int calls)
    {
        await using Http2Wire wire = await Http2Wire.OpenAsync(rig);
        byte[] fields = Http2Wire.Fields(
            ":method: GET", ":scheme: http", $":authority: {authority}", ":path: /", $"host: {host}",
            $"authorization: Bearer {rig.AdminToken}");
        await wire.SendAsync(Http2Wire.Frame(
            Http2Wire.Headers, Http2Wire.EndStream | Http2Wire.EndHeaders, 1, fields));

        Assert.Equal(outcome, await wire.OutcomeAsync());
        Assert.Equal(calls, service.Requests.Count);
        Assert.All(service.Requests, r => Assert.Equal(authority, r.Headers["Host"]));
    }

    [Theory]
    [InlineData("shop.fn.example.org", "other.fn.example.org")]
    [InlineData("other.fn.example.org", "shop.fn.example.org")]
    public async Task Over_http1_two_different_hosts_are_refused(string target, string host)
    {
        using TcpClient connection = new();
        await connection.ConnectAsync(rig.Address.Host, rig.Address.Port);
        NetworkStream stream = connection.GetStream();
        await stream.WriteAsync(Encoding.ASCII.GetBytes(
            $"GET http://{target}/ HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {rig.AdminToken}\r\n\r\n"));
        using StreamReader answer = new(stream);

        Assert.StartsWith("HTTP/1.1 400 ", await answer.ReadLineAsync(), StringComparison.Ordinal);
        Assert.Empty(service.Requests);
    }

    [Theory]
    [InlineData("/v1/tokens")]
    [InlineData("/v1/functions")]
    [InlineData("/v2/")]
    [InlineData("/healthz")]
    [InlineData("/metrics")]
    [InlineData("/openapi/v1.json")]
    [InlineData("/2015-03-31/functions")]
    public async Task Nothing_of_the_servers_own_answers_at_a_functions_host(string path)
    {
        using HttpResponseMessage nobody = await AskAsync("shop." + Domain, path, null);
        using HttpResponseMessage answer = await AskAsync("shop." + Domain, path, rig.AdminToken);

        Assert.Equal(HttpStatusCode.Unauthorized, nobody.StatusCode);
        Assert.Equal("the program", await answer.Content.ReadAsStringAsync());
        Assert.Equal(path, Assert.Single(service.Requests).Line.Split(' ')[1]);
    }

    [Theory]
    [InlineData("nothing.fn.example.org")]
    [InlineData("a.shop.fn.example.org")]
    [InlineData("..fn.example.org")]
    [InlineData("shop@1.fn.example.org")]
    public async Task A_name_below_the_domain_that_is_nobodys_is_no_way_in(string host)
    {
        using HttpResponseMessage answer = await AskAsync(host, "/v1/functions", rig.AdminToken);

        Assert.True(
            answer.StatusCode is HttpStatusCode.NotFound or HttpStatusCode.BadRequest,
            $"{host} is answered with {answer.StatusCode}.");
        Assert.Empty(service.Requests);
    }

    [Theory]
    [InlineData("fn.example.org")]
    [InlineData("xfn.example.org")]
    [InlineData("shop.fn.example.org.evil.example")]
    [InlineData("127.0.0.1")]
    public async Task Any_other_host_is_the_servers_own(string host)
    {
        using HttpResponseMessage answer = await AskAsync(host, "/v1/functions", rig.AdminToken);

        Assert.Contains("\"shop\"", await answer.Content.ReadAsStringAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_servers_own_name_is_never_a_functions()
    {
        const string Own = "berth." + Domain;
        await DeployAsync("berth", new FunctionRequest());

        using HttpResponseMessage answer = await AskAsync(Own, "/v1/functions", rig.AdminToken);
        using HttpResponseMessage written = await AskAsync(
            "BERTH.fn.example.org.:8443", "/v1/functions", rig.AdminToken);
        BerthException refused = await Assert.ThrowsAsync<BerthException>(
            () => DeployAsync("shop", new FunctionRequest(Hosts: [Own])));

        Assert.Contains("\"shop\"", await answer.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        Assert.Contains("\"shop\"", await written.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        Assert.Empty(service.Requests);
        Assert.Equal(
            (ErrorCode.InvalidRequest,
                $"'{Own}' is the server's own (host-names): callers of its interface would meet the function."),
            (refused.Code, refused.Message));
        Assert.Null((await client.Functions.GetAsync("berth", CancellationToken.None)).Host);
        Assert.Equal("shop." + Domain, (await client.Functions.GetAsync("shop", CancellationToken.None)).Host);
    }

    [Fact]
    public async Task A_tag_and_a_revision_have_names_of_their_own()
    {
        await DeployAsync("shop", new FunctionRequest(Memory: "64Mi", Traffic: 0, Tag: "next"));

        Assert.Equal("1", await RevisionAsync("shop"));
        Assert.Equal("2", await RevisionAsync("next--shop"));
        Assert.Equal("2", await RevisionAsync("rev-2--shop"));
        Assert.Equal("1", await RevisionAsync("rev-1--shop"));
        foreach (string unknown in (string[])["other--shop", "rev-9--shop", "next--none", "--shop", "rev---shop"])
        {
            using HttpResponseMessage answer = await AskAsync($"{unknown}.{Domain}", "/", rig.AdminToken);
            Assert.Equal(HttpStatusCode.NotFound, answer.StatusCode);
        }

        // A function that is called so comes before a tag.
        await DeployAsync("next--shop", new FunctionRequest());
        Assert.Equal("1", await RevisionAsync("next--shop"));
    }

    [Fact]
    public async Task A_host_of_its_own_belongs_to_one_function_and_outlasts_a_restart()
    {
        using TemporaryFolder folder = new();
        await using (ServerRig first = await ServerRig.StartAsync(folder: folder))
        {
            using BerthClient own = new(first.Address, first.AdminToken, TimeProvider.System);
            await own.Functions.DeployAsync(
                "a", new FunctionRequest(ServerRig.Image, Hosts: ["Shop.Example.org"]), CancellationToken.None);
            BerthException taken = await Assert.ThrowsAsync<BerthException>(() => own.Functions.DeployAsync(
                "b", new FunctionRequest(ServerRig.Image, Hosts: ["shop.example.org"]), CancellationToken.None));
            Assert.Equal(ErrorCode.Conflict, taken.Code);
            Assert.Contains("function 'a'", taken.Message, StringComparison.Ordinal);
        }

        await using ServerRig second = await ServerRig.StartAsync(folder: folder);
        using BerthClient again = new(second.Address, second.AdminToken, TimeProvider.System);
        Assert.Equal(["shop.example.org"], (await again.Functions.GetAsync("a", default)).Traffic.Hosts);
        using HttpResponseMessage answer = await AskAsync("shop.example.org:443", "/x", second.AdminToken, second);
        Assert.Equal("1", answer.Headers.GetValues("Berth-Revision").Single());
        using HttpResponseMessage below = await AskAsync("a.shop.example.org", "/v1/functions", null, second);
        Assert.Equal(HttpStatusCode.Unauthorized, below.StatusCode);
        await again.Functions.RemoveAsync("a", CancellationToken.None);
        using HttpResponseMessage gone = await AskAsync("shop.example.org", "/healthz", null, second);
        Assert.Equal(HttpStatusCode.OK, gone.StatusCode);
        await again.Functions.DeployAsync(
            "b", new FunctionRequest(ServerRig.Image, Hosts: ["shop.example.org"]), CancellationToken.None);
    }

    [Theory]
    [InlineData("localhost")]
    [InlineData("127.0.0.1")]
    [InlineData("[::1]")]
    [InlineData("shop.example.org:80")]
    [InlineData("*.example.org")]
    [InlineData("münchen.example")]
    [InlineData("a..b")]
    [InlineData("-a.example")]
    [InlineData("shop.example.org/x")]
    [InlineData("fn.example.org")]
    [InlineData("other.fn.example.org")]
    [InlineData("")]
    public async Task What_is_no_host_for_a_function_is_refused(string host)
    {
        BerthException refused = await Assert.ThrowsAsync<BerthException>(
            () => DeployAsync("shop", new FunctionRequest(Hosts: [host])));

        Assert.Equal(ErrorCode.InvalidRequest, refused.Code);
    }

    [Fact]
    public async Task Only_who_may_open_functions_gives_them_hosts_and_anybody_who_manages_them_takes_them_away()
    {
        string publisher = rig.Server.Rooms.Tokens.Create("pub", Role.Publisher, null).Secret;
        using BerthClient other = new(rig.Address, publisher, TimeProvider.System);
        await DeployAsync("shop", new FunctionRequest(Hosts: ["a.example", "b.example"], Public: true));
        TrafficView all = new([new ShareView(1, 100)]);

        foreach (TrafficView more in (TrafficView[])[
            all with { Hosts = ["a.example", "c.example"] }, all with { Hosts = [], Public = false },
            all with { Public = true }])
        {
            Task<FunctionView> change = other.Functions.RouteAsync("shop", more, CancellationToken.None);
            if (more.Hosts is { Count: > 0 } || more.Public == true)
            {
                Assert.Equal(ErrorCode.Forbidden, (await Assert.ThrowsAsync<BerthException>(() => change)).Code);
            }
            else
            {
                Assert.Null((await change).Traffic.Hosts);
            }
        }
    }

    [Fact]
    public async Task Hostile_heads_reach_nothing()
    {
        await DeployAsync("shop", new FunctionRequest(Public: true));
        string host = "shop." + Domain;
        (string Head, int Status)[] cases =
        [
            // The absolute form says the same as Host, or nothing is done (RFC 9112, section 3.2.2).
            ($"GET http://{host}/x HTTP/1.1\r\nHost: {host}\r\n\r\n", 200),
            ($"GET http://{host}/v1/tokens HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 400),
            ($"GET http://127.0.0.1/v1/tokens HTTP/1.1\r\nHost: {host}\r\n\r\n", 400),
            ($"GET /v1/tokens HTTP/1.1\r\nHost: {host}\r\nHost: 127.0.0.1\r\n\r\n", 400),
            ($"GET /v1/tokens HTTP/1.1\r\nHost: {host}, 127.0.0.1\r\n\r\n", 400),
            ($"GET /v1/tokens HTTP/1.1\r\nHost: {host}/x\r\n\r\n", 400),
            ($"GET /v1/tokens HTTP/1.1\r\nHost: user@{host}\r\n\r\n", 400),
            ("GET /v1/tokens HTTP/1.1\r\n\r\n", 400),
            ($"TRACE / HTTP/1.1\r\nHost: {host}\r\n\r\n", 405),
            ($"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n", 405),
            // Who is told of by others decides nothing.
            ($"GET /v1/tokens HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Forwarded-Host: {host}\r\n\r\n", 401),
        ];
        foreach ((string head, int status) in cases)
        {
            await using RawConnection connection = await RawConnection.OpenAsync(rig);
            await connection.WriteAsync(head);
            string line = await connection.ReadUntilAsync("\r\n");
            Assert.True(line.StartsWith($"HTTP/1.1 {status} ", StringComparison.Ordinal), $"{head} → {line}");
        }

        Assert.Equal("GET /x HTTP/1.1", Assert.Single(service.Requests).Line);
    }

    private async Task<string> RevisionAsync(string label)
    {
        using HttpResponseMessage answer = await AskAsync($"{label}.{Domain}", "/", rig.AdminToken);
        return answer.Headers.GetValues("Berth-Revision").Single();
    }

    private async Task<HttpResponseMessage> AskAsync(string host, string path, string? token, ServerRig? at = null)
    {
        HttpRequestMessage request = new(HttpMethod.Get, path);
        request.Headers.TryAddWithoutValidation("Host", host);
        using HttpClient http = (at ?? rig).ClientWith(token);
        return await http.SendAsync(request);
    }

    private Task<FunctionDeployment> DeployAsync(string name, FunctionRequest request) =>
        client.Functions.DeployAsync(
            name,
            request with
            {
                Image = ServerRig.Image,
                Command = ["sleep", "3600"],
                Contract = "http",
                Port = service.Port,
            },
            CancellationToken.None);
}
