using System.Net;
using System.Net.Http.Headers;
using System.Text;
using Berth.Server.Access;
using Berth.Testing.Server;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Xunit;

namespace Berth.Tests.Server;

/// <summary>
/// Who may do what: every route with no token, with tokens that are none, and with a token of every role. What is
/// expected stands here once more, in words of its own, so that a change of the server's table is a decision.
/// </summary>
public sealed class RouteAccessTests(ServerRigFixture fixture) : IClassFixture<ServerRigFixture>
{
    private const string Everybody = "everybody";

    /// <summary>No token opens it: each request brings a signature of its own.</summary>
    private const string Signers = "signers";
    private const string AnyToken = "admin publisher user pull robot";
    private const string Readers = "admin publisher user pull";
    private const string Users = "admin publisher user";
    private const string Publishers = "admin publisher";
    private const string Administrators = "admin";

    private static readonly (string Route, string Who)[] Expected =
    [
        ("GET /healthz", Everybody),
        ("GET /readyz", Everybody),
        ("GET /openapi/v1.json", AnyToken),
        ("GET /metrics", Users),
        ("POST /v1/call/{**reference}", Users),
        ("GET /v1/call/{**reference}", Users),
        ("POST /v1/tasks/{**reference}", Users),
        ("GET /v1/runs", Users),
        ("GET /v1/runs/{id}", Users),
        ("GET /v1/runs/{id}/result", Users),
        ("GET /v1/runs/{id}/input", Users),
        ("GET /v1/runs/{id}/logs", Users),
        ("GET /v1/runs/{id}/events", Users),
        ("GET /v1/runs/{id}/why", Users),
        ("POST /v1/runs/{id}/cancel", Users),
        ("GET /v1/events", Users),
        ("GET /v1/dead-letters", Users),
        ("POST /v1/dead-letters/{id}/redrive", Users),
        ("DELETE /v1/dead-letters/{id}", Users),
        ("GET /v1/functions", Users),
        ("GET /v1/functions/{name}", Users),
        ("PUT /v1/functions/{name}", Publishers),
        ("DELETE /v1/functions/{name}", Publishers),
        ("POST /v1/plans/{name}", Publishers),
        ("GET /v1/revisions/{name}", Publishers),
        ("GET /v1/revisions/{name}/{number}", Publishers),
        ("PUT /v1/traffic/{name}", Publishers),
        ("POST /v1/traffic/{name}/rollback", Publishers),
        ("GET /v1/logs/{name}", Users),
        ("PUT /v1/scale/{name}", Publishers),
        ("GET /v1/rollouts/{name}", Users),
        ("PUT /v1/rollouts/{name}", Publishers),
        ("DELETE /v1/rollouts/{name}", Publishers),
        ("POST /v1/rollouts/{name}/promote", Publishers),
        ("POST /v1/rollouts/{name}/pause", Publishers),
        ("POST /v1/rollouts/{name}/resume", Publishers),
        ("GET /v1/secrets", Publishers),
        ("GET /v1/secrets/{name}", Publishers),
        ("PUT /v1/secrets/{name}", Publishers),
        ("DELETE /v1/secrets/{name}", Publishers),
        ("GET /v1/triggers", Publishers),
        ("GET /v1/triggers/{name}", Publishers),
        ("PUT /v1/triggers/{name}", Publishers),
        ("DELETE /v1/triggers/{name}", Publishers),
        ("POST /v1/triggers/{name}/plan", Publishers),
        ("POST /v1/triggers/{name}/pause", Publishers),
        ("POST /v1/triggers/{name}/resume", Publishers),
        ("POST /v1/triggers/{name}/fire", Publishers),
        ("POST /v1/hooks/{name}", Signers),
        ("POST /v1/events/{name}", Users),
        ("GET /v1/functions/{name}/{**path}", Users),
        ("POST /v1/functions/{name}/{**path}", Users),
        ("PUT /v1/functions/{name}/{**path}", Users),
        ("PATCH /v1/functions/{name}/{**path}", Users),
        ("DELETE /v1/functions/{name}/{**path}", Users),
        ("OPTIONS /v1/functions/{name}/{**path}", Users),
        ("GET /function/{name}/{**path}", Users),
        ("POST /function/{name}/{**path}", Users),
        ("PUT /function/{name}/{**path}", Users),
        ("PATCH /function/{name}/{**path}", Users),
        ("DELETE /function/{name}/{**path}", Users),
        ("OPTIONS /function/{name}/{**path}", Users),
        ("POST /async-function/{name}/{**path}", Users),
        ("GET /system/functions", Users),
        ("GET /system/function/{name}", Users),
        ("GET /system/info", AnyToken),
        ("POST /2015-03-31/functions/{name}/invocations", Users),
        ("GET /2015-03-31/functions", Users),
        ("GET /2015-03-31/functions/{name}", Users),
        ("GET /2015-03-31/functions/{name}/configuration", Users),
        ("GET /v1/containers", Users),
        ("POST /v1/containers", Users),
        ("GET /v1/containers/{id}", Users),
        ("DELETE /v1/containers/{id}", Users),
        ("POST /v1/containers/{id}/start", Users),
        ("POST /v1/containers/{id}/stop", Users),
        ("POST /v1/containers/{id}/restart", Users),
        ("POST /v1/containers/{id}/kill", Users),
        ("POST /v1/containers/{id}/pause", Users),
        ("POST /v1/containers/{id}/unpause", Users),
        ("POST /v1/containers/{id}/rename", Users),
        ("GET /v1/containers/{id}/stats", Users),
        ("GET /v1/containers/{id}/processes", Users),
        ("GET /v1/containers/{id}/logs", Users),
        ("GET /v1/containers/{id}/attach", Users),
        ("GET /v1/containers/{id}/exec", Users),
        ("GET /v1/containers/{id}/path", Users),
        ("GET /v1/containers/{id}/archive", Users),
        ("PUT /v1/containers/{id}/archive", Users),
        ("GET /v1/volumes", Users),
        ("POST /v1/volumes", Users),
        ("GET /v1/volumes/{name}", Users),
        ("DELETE /v1/volumes/{name}", Users),
        ("GET /v1/networks", Users),
        ("POST /v1/networks", Users),
        ("POST /v1/networks/prune", Users),
        ("GET /v1/networks/{name}", Users),
        ("DELETE /v1/networks/{name}", Users),
        ("GET /v1/system/usage", Users),
        ("POST /v1/system/prune", Users),
        ("GET /v1/sandboxes", Users),
        ("GET /v1/node", Users),
        ("GET /v1/version", AnyToken),
        ("GET /v1/nodes", Users),
        ("GET /v1/nodes/{name}", Users),
        ("PATCH /v1/nodes/{name}", Administrators),
        ("DELETE /v1/nodes/{name}", Administrators),
        ("POST /v1/nodes/{name}/cordon", Administrators),
        ("POST /v1/nodes/{name}/uncordon", Administrators),
        ("POST /v1/nodes/{name}/drain", Administrators),
        ("POST /v1/nodes/{name}/evict", Administrators),
        ("POST /v1/node-tokens", Administrators),
        ("GET /v1/node-tokens", Administrators),
        ("DELETE /v1/node-tokens/{id}", Administrators),
        ("GET /v1/backup", Administrators),
        ("GET /v1/images", Readers),
        ("GET /v1/images/{**reference}", Readers),
        ("DELETE /v1/images/{**reference}", Publishers),
        ("POST /v1/images/pull", Users),
        ("POST /v1/images/push", Users),
        ("POST /v1/images/collect", Administrators),
        ("POST /v1/images/prune", Administrators),
        ("GET /v1/image-diff", Readers),
        ("GET /v1/repositories", Readers),
        ("GET /v1/repositories/{**scope}", Readers),
        ("PUT /v1/repositories/{**scope}", Administrators),
        ("DELETE /v1/repositories/{**scope}", Administrators),
        ("POST /v1/retention", Administrators),
        ("GET /v1/tokens", Administrators),
        ("POST /v1/tokens", Administrators),
        ("DELETE /v1/tokens/{id}", Administrators),
    ];

    public static IEnumerable<TheoryDataRow<string, string>> Routes =>
        Expected.Select(e => new TheoryDataRow<string, string>(e.Route, e.Who));

    private ServerRig Rig => fixture.Rig;

    [Fact]
    public void Every_route_stands_in_the_table_above()
    {
        string[] mapped =
        [
            .. Rig.Server.Routes.Endpoints.OfType<RouteEndpoint>()
                .Where(e => e.Metadata.GetMetadata<AccessRow>() != AccessTable.Registry)
                .SelectMany(e => e.Metadata.GetMetadata<HttpMethodMetadata>()!.HttpMethods
                    .Where(method => method != "HEAD").Select(method => $"{method} {e.RoutePattern.RawText}")),
        ];

        Assert.Equal(Expected.Select(e => e.Route).Order(), mapped.Order());
        Assert.Equal(AccessTable.All.Select(r => $"{r.Method} {r.Pattern}").Order(), mapped.Order());
    }

    [Theory]
    [MemberData(nameof(Routes))]
    public async Task Without_a_valid_token_a_route_answers_only_where_it_is_open(string route, string who)
    {
        TokenStore tokens = Rig.Server.Rooms.Tokens;
        string expired = tokens.Create(NewName(), Role.Admin, TimeSpan.FromMinutes(-1)).Secret;
        var revoked = tokens.Create(NewName(), Role.Admin, null);
        tokens.Revoke(revoked.Token.Id);
        string wrong = Rig.AdminToken[..^1] + (Rig.AdminToken[^1] == '0' ? '1' : '0');

        foreach (string? header in new[]
        {
            null, "Bearer", "Bearer x", "Basic x", "Basic " + Convert.ToBase64String("u:p"u8), "Bearer " + wrong,
            "Bearer " + expired, "Bearer " + revoked.Secret, "Digest " + Rig.AdminToken, Rig.AdminToken,
        })
        {
            using HttpResponseMessage response = await AskAsync(route, header);
            if (who == Everybody)
            {
                Assert.Equal(HttpStatusCode.OK, response.StatusCode);
            }
            else if (who == Signers)
            {
                await response.ProblemAsync(401, "unauthorized");
            }
            else if (IsOfAws(route))
            {
                Assert.Equal(
                    (HttpStatusCode.Forbidden, "UnrecognizedClientException"),
                    (response.StatusCode, TypeOf(response)));
            }
            else
            {
                await response.ProblemAsync(401, "unauthorized");
                Assert.Equal("Bearer realm=\"berth\"", response.Headers.WwwAuthenticate.Single().ToString());
            }
        }
    }

    [Theory]
    [MemberData(nameof(Routes))]
    public async Task Each_role_may_do_what_it_is_for_and_nothing_else(string route, string who)
    {
        foreach (Role role in Enum.GetValues<Role>())
        {
            string token = Rig.Server.Rooms.Tokens.Create(NewName(), role, TimeSpan.FromHours(1)).Secret;

            using HttpResponseMessage response = await AskAsync(route, "Bearer " + token);

            if (IsOfAws(route))
            {
                Assert.Equal(!who.Split(' ').Contains(Roles.NameOf(role)), TypeOf(response) == "AccessDeniedException");
            }
            else if (who == Signers)
            {
                await response.ProblemAsync(401, "unauthorized");
            }
            else if (who == Everybody || who.Split(' ').Contains(Roles.NameOf(role)))
            {
                Assert.True(
                    response.StatusCode is not (HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden)
                    && (int)response.StatusCode < 500,
                    $"{route} answers a token of the role {role} with {(int)response.StatusCode}.");
            }
            else
            {
                var problem = await response.ProblemAsync(403, "forbidden");
                Assert.Contains(Roles.NameOf(role), problem.Detail, StringComparison.Ordinal);
                Assert.Contains("ask an administrator", problem.Detail, StringComparison.Ordinal);
            }
        }
    }

    /// <summary>Refused in the form of its clients.</summary>
    private static bool IsOfAws(string route) => route.Contains(" /2015-03-31/", StringComparison.Ordinal);

    private static string? TypeOf(HttpResponseMessage response) =>
        response.Headers.TryGetValues("x-amzn-ErrorType", out IEnumerable<string>? types) ? types.Single() : null;

    [Fact]
    public async Task A_refusal_is_the_same_whether_the_thing_exists_or_not()
    {
        string pull = Rig.Server.Rooms.Tokens.Create(NewName(), Role.Pull, null).Secret;
        using HttpClient client = Rig.ClientWith(pull);

        using HttpResponseMessage there = await client.PostAsync($"/v1/call/{ServerRig.Image}", null);
        using HttpResponseMessage absent = await client.PostAsync("/v1/call/demo/nothing:1", null);

        Assert.Equal(await there.Content.ReadAsStringAsync(), await absent.Content.ReadAsStringAsync());
    }

    [Fact]
    public async Task An_address_that_does_not_exist_tells_nothing_to_who_has_no_token()
    {
        using HttpResponseMessage response = await AskAsync("GET /v1/nothing", null);

        await response.ProblemAsync(401, "unauthorized");
    }

    [Fact]
    public async Task A_token_is_good_as_the_password_of_any_user_too()
    {
        string basic = Convert.ToBase64String(Encoding.ASCII.GetBytes("anybody:" + Rig.AdminToken));

        using HttpResponseMessage response = await AskAsync("GET /v1/tokens", "Basic " + basic);

        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
    }

    [Fact]
    public async Task Metrics_are_open_where_the_operator_says_so_and_nothing_else_is()
    {
        await using ServerRig rig = await ServerRig.StartAsync(o => o with { MetricsOpen = true });
        using HttpClient nobody = rig.ClientWith(null);

        using HttpResponseMessage metrics = await nobody.GetAsync("/metrics");
        using HttpResponseMessage runs = await nobody.GetAsync("/v1/runs");

        Assert.Equal((HttpStatusCode.OK, HttpStatusCode.Unauthorized), (metrics.StatusCode, runs.StatusCode));
    }

    [Theory]
    [InlineData(null, 401, 401)]
    [InlineData(Role.Pull, 200, 403)]
    [InlineData(Role.User, 200, 202)]
    [InlineData(Role.Publisher, 200, 202)]
    [InlineData(Role.Admin, 200, 202)]
    public async Task The_registry_knows_the_same_roles(Role? role, int pulled, int pushed)
    {
        string? token = role is { } some ? Rig.Server.Rooms.Tokens.Create(NewName(), some, null).Secret : null;
        using HttpClient client = Rig.ClientWith(token);

        using HttpResponseMessage pull = await client.GetAsync("/v2/demo/echo/manifests/1");
        using HttpResponseMessage push = await client.PostAsync("/v2/demo/new/blobs/uploads/", null);

        Assert.Equal((pulled, pushed), ((int)pull.StatusCode, (int)push.StatusCode));
        HttpResponseMessage[] answers = [pull, push];
        foreach (HttpResponseMessage refusal in answers.Where(r => r.StatusCode == HttpStatusCode.Unauthorized))
        {
            AuthenticationHeaderValue challenge = refusal.Headers.WwwAuthenticate.First(c => c.Scheme == "Bearer");
            Assert.Contains("/v2/token", challenge.Parameter, StringComparison.Ordinal);
            Assert.Contains("\"UNAUTHORIZED\"", await refusal.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task A_token_of_the_registry_dies_with_the_token_it_was_made_from()
    {
        var created = Rig.Server.Rooms.Tokens.Create(NewName(), Role.User, null);
        using HttpClient nobody = Rig.ClientWith(null);
        using HttpRequestMessage exchange = new(
            HttpMethod.Get, "/v2/token?service=berth&scope=repository:demo/echo:pull");
        exchange.Headers.Authorization = new AuthenticationHeaderValue(
            "Basic", Convert.ToBase64String(Encoding.ASCII.GetBytes("u:" + created.Secret)));
        using HttpResponseMessage answer = await nobody.SendAsync(exchange);
        using var body = System.Text.Json.JsonDocument.Parse(await answer.Content.ReadAsStringAsync());
        using HttpClient holder = Rig.ClientWith(body.RootElement.GetProperty("token").GetString());

        using HttpResponseMessage before = await holder.GetAsync("/v2/demo/echo/manifests/1");
        Rig.Server.Rooms.Tokens.Revoke(created.Token.Id);
        using HttpResponseMessage after = await holder.GetAsync("/v2/demo/echo/manifests/1");

        Assert.Equal((HttpStatusCode.OK, HttpStatusCode.Unauthorized), (before.StatusCode, after.StatusCode));
    }

    private static string NewName() => "t-" + Guid.CreateVersion7().ToString("N");

    /// <summary>Asks a route with names of things that do not exist, so that nothing changes.</summary>
    private async Task<HttpResponseMessage> AskAsync(string route, string? authorization)
    {
        string[] parts = route.Split(' ');
        string path = parts[1].Replace("{**reference}", "demo/nothing:1", StringComparison.Ordinal)
            .Replace("{id}", "01k00000000000000000000000", StringComparison.Ordinal);
        using HttpRequestMessage request = new(new HttpMethod(parts[0]), path);
        if (authorization is not null)
        {
            request.Headers.TryAddWithoutValidation("Authorization", authorization);
        }

        using HttpClient client = Rig.ClientWith(null);
        return await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
    }
}
