using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;
using Berth.Registry.Access;
using Berth.Testing.Registry;
using Xunit;
using static Berth.Testing.Registry.RegistryMessages;

namespace Berth.Tests.Registry;

public sealed class ListTests : IAsyncLifetime
{
    private TestRegistry registry = null!;

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync() => registry = await TestRegistry.StartAsync();

    public ValueTask DisposeAsync() => registry.DisposeAsync();

    [Fact]
    public async Task Tags_come_sorted_and_in_parts()
    {
        foreach (string tag in (string[])["v2", "b", "V10", "a", "v1"])
        {
            await registry.Client.PushImageAsync("demo", tag, "layer");
        }

        Assert.Equal(["V10", "a", "b", "v1", "v2"], await FollowAsync("/v2/demo/tags/list", "tags", parts: 1));
        Assert.Equal(["V10", "a", "b", "v1", "v2"], await FollowAsync("/v2/demo/tags/list?n=2", "tags", parts: 3));
        Assert.Equal(["v1", "v2"], await FollowAsync("/v2/demo/tags/list?last=b", "tags", parts: 1));
        Assert.Empty(await FollowAsync("/v2/demo/tags/list?n=0", "tags", parts: 1));
    }

    [Fact]
    public async Task More_than_a_thousand_tags_come_in_parts_whatever_is_asked_for()
    {
        byte[] manifest = await registry.Client.PushImageAsync("demo", "t0000", "layer");
        for (int i = 1; i <= 1000; i++)
        {
            using HttpResponseMessage put = await registry.Client.PutManifestAsync("demo", $"t{i:0000}", manifest);
        }

        Assert.Equal(1001, (await FollowAsync("/v2/demo/tags/list?n=5000", "tags", parts: 2)).Count);
    }

    [Theory]
    [InlineData("/v2/demo/tags/list?n=-1")]
    [InlineData("/v2/demo/tags/list?n=x")]
    [InlineData("/v2/_catalog?n=1e3")]
    public async Task A_number_of_entries_that_is_none_is_refused(string address)
    {
        await registry.Client.PushImageAsync("demo", "v1", "layer");

        using HttpResponseMessage response = await registry.Client.GetAsync(address, Stop);

        await ExpectErrorAsync(HttpStatusCode.BadRequest, "UNSUPPORTED", response);
    }

    [Fact]
    public async Task Tags_of_a_repository_that_is_not_there_are_unknown()
    {
        await registry.Client.PushBlobAsync("only/blobs", "x"u8.ToArray());

        using HttpResponseMessage absent = await registry.Client.GetAsync("/v2/absent/tags/list", Stop);
        using HttpResponseMessage blobs = await registry.Client.GetAsync("/v2/only/blobs/tags/list", Stop);

        await ExpectErrorAsync(HttpStatusCode.NotFound, "NAME_UNKNOWN", absent);
        await ExpectErrorAsync(HttpStatusCode.NotFound, "NAME_UNKNOWN", blobs);
    }

    [Fact]
    public async Task The_catalog_lists_what_the_caller_may_pull()
    {
        foreach (string repository in (string[])["team/b", "team/a", "other", "team"])
        {
            await registry.Client.PushImageAsync(repository, "v1", "layer");
        }

        registry.Authorizer.Add(
            "team-token", (repository, action) =>
                action == RegistryAction.Pull && repository.StartsWith("team/", StringComparison.Ordinal));
        using HttpClient team = registry.ClientWith(new AuthenticationHeaderValue("Bearer", "team-token"));

        Assert.Equal(
            ["other", "team", "team/a", "team/b"], await FollowAsync("/v2/_catalog?n=3", "repositories", parts: 2));
        using HttpResponseMessage response = await team.GetAsync("/v2/_catalog", Stop);
        Assert.Equal(["team/a", "team/b"], Strings(await response.JsonAsync(), "repositories"));
    }

    private static List<string> Strings(JsonElement body, string member) =>
        [.. body.GetProperty(member).EnumerateArray().Select(e => e.GetString()!)];

    private async Task<List<string>> FollowAsync(string address, string member, int parts)
    {
        List<string> all = [];
        int seen = 0;
        for (string? next = address; next is not null; seen++)
        {
            using HttpResponseMessage response = await registry.Client.GetAsync(next, Stop);
            await ExpectAsync(HttpStatusCode.OK, response);
            all.AddRange(Strings(await response.JsonAsync(), member));
            string link = response.Header("Link");
            next = link.Length == 0 ? null : link[1..link.IndexOf('>', StringComparison.Ordinal)];
        }

        Assert.Equal(parts, seen);
        return all;
    }
}
