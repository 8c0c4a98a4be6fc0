using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using Berth.Api.Access;
using Berth.Api.Images;
using Berth.Api.Repositories;
using Berth.Core.Images;
using Berth.Testing.Server;
using Xunit;

namespace Berth.Tests.Server;

/// <summary>Repositories over HTTP: policies, retention, robots; and images compared and pruned.</summary>
public sealed class RepositoryTests : IAsyncLifetime
{
    private ServerRig rig = null!;

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync() => rig = await ServerRig.StartAsync();

    public ValueTask DisposeAsync() => rig.DisposeAsync();

    [Fact]
    public async Task A_policy_is_set_shown_and_removed()
    {
        await SetAsync("*", new PolicyView(Quota: "10GiB"));
        RepositoryDetail set = await SetAsync(
            "demo/echo", new PolicyView(ImmutableTags: ["v*"], Retention: new(3, "30d", ["v*"], null)));
        RepositoryPage page = (await rig.Client.GetFromJsonAsync(
            "/v1/repositories", RepositoryJson.Default.RepositoryPage, Stop))!;
        RepositoryDetail cleared = await SetAsync("demo/echo", new PolicyView());

        Assert.Equal(["v*"], set.Policy!.ImmutableTags!);
        Assert.Equal("30d", set.Policy.Retention!.KeepFor);
        Assert.Equal("10GiB", set.Effective.Quota);
        Assert.Equal(set.Bytes, Assert.Single(set.Quotas).Used);
        Assert.Equal(1, Assert.Single(page.Repositories).Tags);
        Assert.Equal(["*", "demo/echo"], page.Policies.Select(p => p.Scope));
        Assert.Null(cleared.Policy);
    }

    [Theory]
    [InlineData("""{"quota":"much"}""", "invalid_request")]
    [InlineData("""{"quota":7}""", "invalid_request")]
    [InlineData("""{"immutableTags":["[a-z]"]}""", "invalid_request")]
    [InlineData("""{"retention":{"keep":["v*"]}}""", "invalid_request")]
    [InlineData("""{"retention":{"keepFor":"-1d"}}""", "invalid_request")]
    [InlineData("""{"upstream":{"url":"file:///etc/passwd"}}""", "invalid_request")]
    [InlineData("""{"upstream":{}}""", "invalid_request")]
    [InlineData("""{"webhooks":["http://127.0.0.1:1/"]}""", "callback_forbidden")]
    [InlineData("""{"webhooks":["hook"]}""", "callback_forbidden")]
    public async Task A_policy_that_cannot_be_is_refused(string policy, string code)
    {
        using StringContent body = new(policy, MediaTypeHeaderValue.Parse("application/json"));

        using HttpResponseMessage response = await rig.Client.PutAsync("/v1/repositories/demo", body, Stop);

        await response.ProblemAsync(400, code);
        Assert.Empty(rig.Server.Rooms.Policies.All());
    }

    [Fact]
    public async Task The_password_of_an_upstream_is_kept_and_never_told()
    {
        UpstreamView upstream = new("https://registry.example.org", "ci", "secret");
        await SetAsync("hub", new PolicyView(Upstream: upstream));

        await SetAsync("hub", new PolicyView(Quota: "1GiB", Upstream: upstream with { Password = null }));
        string told = await rig.Client.GetStringAsync("/v1/repositories/hub", Stop);

        Assert.DoesNotContain("secret", told, StringComparison.Ordinal);
        Assert.Equal("secret", rig.Server.Rooms.Policies.Find("hub")!.Upstream!.Password);
        await SetAsync(
            "hub", new PolicyView(Upstream: upstream with { Url = "https://other.example", Password = null }));
        Assert.Null(rig.Server.Rooms.Policies.Find("hub")!.Upstream!.Password);
    }

    [Fact]
    public async Task A_robot_does_what_its_token_says_and_nothing_else()
    {
        using HttpResponseMessage made = await rig.Client.PostAsJsonAsync(
            "/v1/tokens", new TokenRequest("robot", "robot", "1d", ["team/*:pull,push"]),
            AccessJson.Default.TokenRequest, Stop);
        TokenCreated token = (await made.Content.ReadFromJsonAsync(AccessJson.Default.TokenCreated, Stop))!;

        async Task<HttpStatusCode> AskAsync(string method, string path)
        {
            using HttpRequestMessage request = new(new HttpMethod(method), path);
            request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", token.Secret);
            using HttpResponseMessage response = await rig.Client.SendAsync(request, Stop);
            return response.StatusCode;
        }

        Assert.Equal(["team/*:pull,push"], token.Token.Repositories!);
        Assert.Equal(HttpStatusCode.Accepted, await AskAsync("POST", "/v2/team/app/blobs/uploads/"));
        Assert.Equal(HttpStatusCode.NotFound, await AskAsync("POST", "/v2/demo/echo/blobs/uploads/"));
        Assert.Equal(HttpStatusCode.NotFound, await AskAsync("GET", "/v2/demo/echo/manifests/1"));
        Assert.Equal(HttpStatusCode.Forbidden, await AskAsync("GET", "/v1/images"));
        Assert.Equal(HttpStatusCode.Forbidden, await AskAsync("POST", "/v1/call/demo/echo:1"));
    }

    [Theory]
    [InlineData("robot", null)]
    [InlineData("user", "team/*:pull")]
    [InlineData("robot", "team/*")]
    [InlineData("robot", "team/*:fly")]
    public async Task A_robot_and_only_a_robot_says_what_it_may_do_where(string role, string? grant)
    {
        using HttpResponseMessage response = await rig.Client.PostAsJsonAsync(
            "/v1/tokens", new TokenRequest("x", role, null, grant is null ? null : [grant]),
            AccessJson.Default.TokenRequest, Stop);

        await response.ProblemAsync(400, "invalid_request");
    }

    [Fact]
    public async Task Retention_tells_first_and_then_removes()
    {
        await SetAsync("demo", new PolicyView(Retention: new(0)));

        RetentionReport told = await RetainAsync(dryRun: true);
        RetentionReport done = await RetainAsync(dryRun: false);
        RetentionReport again = await RetainAsync(dryRun: false);

        Assert.Equal("1", Assert.Single(told.Removed).Tag);
        Assert.Equal(told.Removed, done.Removed);
        Assert.Empty(again.Removed);
        using HttpResponseMessage gone = await rig.GetAsync("/v1/repositories/demo/echo");
        await gone.ProblemAsync(404, "not_found");
    }

    [Fact]
    public async Task A_repository_is_removed_unless_a_tag_is_immutable()
    {
        await SetAsync("demo", new PolicyView(ImmutableTags: ["1"]));
        using HttpResponseMessage kept = await rig.Client.DeleteAsync("/v1/repositories/demo/echo", Stop);
        await kept.ProblemAsync(409, "tag_immutable");

        await SetAsync("demo", new PolicyView());
        using HttpResponseMessage removed = await rig.Client.DeleteAsync("/v1/repositories/demo/echo", Stop);
        using HttpResponseMessage again = await rig.Client.DeleteAsync("/v1/repositories/demo/echo", Stop);

        Assert.Equal(HttpStatusCode.NoContent, removed.StatusCode);
        await again.ProblemAsync(404, "not_found");
    }

    [Fact]
    public async Task An_image_that_lost_its_tag_is_pruned()
    {
        Digest before = rig.Digest;
        await rig.MoveImageAsync();

        PruneReport young = await PruneAsync(new PruneRequest("1h", DryRun: true));
        PruneReport told = await PruneAsync(new PruneRequest(null, DryRun: true));
        PruneReport done = await PruneAsync(new PruneRequest(null, DryRun: false));

        Assert.Empty(young.Removed);
        Assert.Equal(before.Text, Assert.Single(told.Removed).Digest);
        Assert.Equal(told.Removed, done.Removed);
        Assert.Null(rig.Server.Rooms.Repositories.FindManifest("demo/echo", before));
    }

    [Theory]
    [InlineData("image=demo/echo:1&base=demo/echo:1", 200)]
    [InlineData("image=demo/nothing", 404)]
    [InlineData("base=demo/echo:1", 400)]
    [InlineData("image=demo/echo:1&layer=1", 400)]
    [InlineData("image=Not", 400)]
    public async Task Images_are_compared_by_reference(string query, int status)
    {
        using HttpResponseMessage response = await rig.GetAsync("/v1/image-diff?" + query);

        Assert.Equal(status, (int)response.StatusCode);
    }

    private async Task<RepositoryDetail> SetAsync(string scope, PolicyView policy)
    {
        using HttpResponseMessage response = await rig.Client.PutAsJsonAsync(
            "/v1/repositories/" + scope, policy, RepositoryJson.Default.PolicyView, Stop);
        Assert.True(response.IsSuccessStatusCode, await response.Content.ReadAsStringAsync(Stop));
        return (await response.Content.ReadFromJsonAsync(RepositoryJson.Default.RepositoryDetail, Stop))!;
    }

    private async Task<RetentionReport> RetainAsync(bool dryRun)
    {
        using HttpResponseMessage response = await rig.Client.PostAsJsonAsync(
            "/v1/retention", new RetentionRequest(null, dryRun), RepositoryJson.Default.RetentionRequest, Stop);
        return (await response.Content.ReadFromJsonAsync(RepositoryJson.Default.RetentionReport, Stop))!;
    }

    private async Task<PruneReport> PruneAsync(PruneRequest request)
    {
        using HttpResponseMessage response = await rig.Client.PostAsJsonAsync(
            "/v1/images/prune", request, ImageJson.Default.PruneRequest, Stop);
        return (await response.Content.ReadFromJsonAsync(ImageJson.Default.PruneReport, Stop))!;
    }
}
