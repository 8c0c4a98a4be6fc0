using System.Net;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Text.Json;
using Berth.Core.Images;
using Berth.Oci.Repositories;
using Berth.Registry.Access;
using Berth.Registry.Policies;
using Berth.Testing.Registry;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;
using static Berth.Testing.Registry.RegistryMessages;

namespace Berth.Tests.Registry;

public sealed class PolicyTests : IAsyncLifetime
{
    private TestRegistry registry = null!;

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync() => registry = await TestRegistry.StartAsync();

    public ValueTask DisposeAsync() => registry.DisposeAsync();

    [Fact]
    public async Task An_immutable_tag_is_neither_moved_nor_removed()
    {
        byte[] first = await registry.Client.PushImageAsync("team/app", "v1", "one");
        await SayAsync(new("team", ["v*"], null, null, null));
        byte[] other = await registry.Client.PushImageAsync("team/app", "latest", "two");

        using HttpResponseMessage moved = await registry.Client.PutManifestAsync("team/app", "v1", other);
        using HttpResponseMessage again = await registry.Client.PutManifestAsync("team/app", "v1", first);
        using HttpResponseMessage untagged = await registry.Client.DeleteAsync("/v2/team/app/manifests/v1", Stop);
        using HttpResponseMessage removed = await registry.Client.DeleteAsync(
            $"/v2/team/app/manifests/{Digest.Sha256(first)}", Stop);
        using HttpResponseMessage added = await registry.Client.PutManifestAsync("team/app", "v2", other);
        using HttpResponseMessage free = await registry.Client.PutManifestAsync("team/app", "latest", first);

        await ExpectErrorAsync(HttpStatusCode.Conflict, "DENIED", moved);
        await ExpectAsync(HttpStatusCode.Created, again);
        await ExpectErrorAsync(HttpStatusCode.Conflict, "DENIED", untagged);
        await ExpectErrorAsync(HttpStatusCode.Conflict, "DENIED", removed);
        await ExpectAsync(HttpStatusCode.Created, added);
        await ExpectAsync(HttpStatusCode.Created, free);
        Assert.Equal(Digest.Sha256(first), registry.Repositories.FindTag("team/app", "v1")!.Digest);
    }

    [Fact]
    public async Task Of_several_images_pushed_under_one_new_immutable_tag_one_wins()
    {
        await SayAsync(new("*", ["v*"], null, null, null));
        byte[][] images = new byte[8][];
        for (int i = 0; i < images.Length; i++)
        {
            images[i] = await registry.Client.PushImageAsync("demo", $"build-{i}", $"layer {i}");
        }

        HttpResponseMessage[] answers = await Task.WhenAll(
            images.Select(image => registry.Client.PutManifestAsync("demo", "v1", image)));

        Assert.Single(answers, a => a.StatusCode == HttpStatusCode.Created);
        Assert.All(answers, a => Assert.True(a.StatusCode is HttpStatusCode.Created or HttpStatusCode.Conflict));
        Array.ForEach(answers, a => a.Dispose());
    }

    [Fact]
    public async Task A_quota_is_exact_to_the_byte()
    {
        await SayAsync(new("team", null, 1000, null, null));

        await registry.Client.PushBlobAsync("team/a", new byte[600]);
        using HttpResponseMessage over = await PushAsync("team/b", RandomNumberGenerator.GetBytes(401));
        using HttpResponseMessage fits = await PushAsync("team/b", RandomNumberGenerator.GetBytes(400));
        using HttpResponseMessage again = await PushAsync("team/a", new byte[600]);
        using HttpResponseMessage elsewhere = await PushAsync("teams", RandomNumberGenerator.GetBytes(2000));

        await ExpectErrorAsync(HttpStatusCode.Forbidden, "DENIED", over);
        await ExpectAsync(HttpStatusCode.Created, fits);
        await ExpectAsync(HttpStatusCode.Created, again);
        await ExpectAsync(HttpStatusCode.Created, elsewhere);
        Assert.Equal(1000, registry.Repositories.BytesOf(new RepositoryQuota("team", 0)));
    }

    [Fact]
    public async Task Pushes_at_once_never_pass_a_quota_together()
    {
        await SayAsync(new("team", null, 10_500, null, null));

        HttpResponseMessage[] answers = await Task.WhenAll(
            Enumerable.Range(0, 32).Select(i => PushAsync($"team/r{i % 4}", RandomNumberGenerator.GetBytes(1000))));

        Assert.Equal(10, answers.Count(a => a.StatusCode == HttpStatusCode.Created));
        Assert.Equal(22, answers.Count(a => a.StatusCode == HttpStatusCode.Forbidden));
        Assert.Equal(10_000, registry.Repositories.BytesOf(new RepositoryQuota("team", 0)));
        await registry.RestartAsync();
        Assert.Equal(10_000, registry.Repositories.BytesOf(new RepositoryQuota("team", 0)));
        Array.ForEach(answers, a => a.Dispose());
    }

    [Fact]
    public async Task Manifests_and_mounts_count_towards_every_quota_above()
    {
        byte[] layer = System.Text.Encoding.UTF8.GetBytes(new string('x', 500));
        byte[] manifest = await registry.Client.PushImageAsync("other", "v1", new string('x', 500));
        await SayAsync(new("*", null, 2000, null, null));
        long before = registry.Repositories.BytesOf(new RepositoryQuota("*", 0));
        await SayAsync(new("team", null, 499, null, null));

        using HttpResponseMessage mounted = await registry.Client.PostAsync(
            $"/v2/team/app/blobs/uploads/?mount={Digest.Sha256(layer)}&from=other", null, Stop);
        using HttpResponseMessage tagged = await registry.Client.PutManifestAsync("other", "v2", manifest);

        await ExpectErrorAsync(HttpStatusCode.Forbidden, "DENIED", mounted);
        await ExpectAsync(HttpStatusCode.Created, tagged);
        Assert.Equal(before, registry.Repositories.BytesOf(new RepositoryQuota("*", 0)));
    }

    [Fact]
    public async Task What_was_removed_and_collected_makes_room()
    {
        await SayAsync(new("team", null, 1500, null, null));
        byte[] manifest = await registry.Client.PushImageAsync("team/app", "v1", new string('x', 700));
        using HttpResponseMessage full = await PushAsync("team/app", new byte[900]);
        await ExpectErrorAsync(HttpStatusCode.Forbidden, "DENIED", full);

        using HttpResponseMessage removed = await registry.Client.DeleteAsync(
            $"/v2/team/app/manifests/{Digest.Sha256(manifest)}", Stop);
        registry.Time.Advance(TimeSpan.FromHours(2));
        await registry.Collector(TimeSpan.FromHours(1)).CollectAsync(Stop);

        using HttpResponseMessage fits = await PushAsync("team/app", new byte[900]);
        await ExpectAsync(HttpStatusCode.Created, fits);
    }

    [Fact]
    public async Task A_blob_larger_than_the_whole_quota_is_refused_before_it_has_come()
    {
        await SayAsync(new("team", null, 1000, null, null));
        using HttpResponseMessage begun = await registry.Client.PostAsync("/v2/team/app/blobs/uploads/", null, Stop);
        string upload = begun.Header("Location");

        using HttpResponseMessage sent = await registry.Client.PatchAsync(upload, Bytes(new byte[1001]), Stop);

        await ExpectErrorAsync(HttpStatusCode.Forbidden, "DENIED", sent);
        Assert.Empty(Directory.EnumerateFiles(Path.Combine(registry.Folder, "uploads")));
    }

    [Fact]
    public async Task Retention_removes_what_no_rule_keeps_with_its_image()
    {
        await SayAsync(new("team", null, null, null, new RetentionPolicy(2, null, ["v*"], null)));
        foreach (string tag in (string[])["v1", "b1", "b2", "b3"])
        {
            await registry.Client.PushImageAsync("team/app", tag, tag);
            await registry.Client.PushImageAsync("other", tag, tag);
            registry.Time.Advance(TimeSpan.FromHours(1));
        }

        RetentionPass pass = new(
            registry.Repositories, new ImageCatalog(registry.Repositories, registry.Content), registry.Policies,
            registry.Time, NullLoggerFactory.Instance);

        Assert.Equal(["team/app:b1"], pass.Plan(null).Select(r => $"{r.Repository}:{r.Tag}"));
        Assert.Empty(pass.Plan("other"));
        Assert.Single(await pass.RunAsync(null, Stop));
        Assert.Empty(await pass.RunAsync(null, Stop));
        Assert.Equal(3, registry.Repositories.Manifests("team/app").Count);
        Assert.Equal(4, registry.Repositories.Manifests("other").Count);
    }

    [Fact]
    public async Task Without_a_token_only_what_a_policy_opens_is_pulled()
    {
        await SayAsync(new("public", null, null, true, null));
        await SayAsync(new("public/not", null, null, false, null));
        await registry.RestartAsync();
        foreach (string repository in (string[])["public/app", "public/not/app", "secret"])
        {
            await registry.Client.PushImageAsync(repository, "v1", "layer");
        }

        using HttpClient nobody = registry.ClientWith(null);

        using HttpResponseMessage open = await nobody.GetAsync("/v2/public/app/manifests/v1", Stop);
        await ExpectAsync(HttpStatusCode.OK, open);
        foreach (string closed in (string[])[
            "/v2/", "/v2/_catalog", "/v2/secret/manifests/v1", "/v2/public/not/app/manifests/v1",
            "/v2/no/such/tags/list"])
        {
            using HttpResponseMessage refused = await nobody.GetAsync(closed, Stop);
            await ExpectErrorAsync(HttpStatusCode.Unauthorized, "UNAUTHORIZED", refused);
            Assert.StartsWith("Bearer ", refused.Header("WWW-Authenticate"), StringComparison.Ordinal);
        }

        using HttpResponseMessage push = await nobody.PostAsync("/v2/public/app/blobs/uploads/", null, Stop);
        await ExpectErrorAsync(HttpStatusCode.Unauthorized, "UNAUTHORIZED", push);
    }

    [Fact]
    public async Task A_token_fetched_without_credentials_pulls_what_is_open()
    {
        await SayAsync(new("public", null, null, true, null));
        await registry.RestartAsync();
        await registry.Client.PushImageAsync("public/app", "v1", "layer");
        await registry.Client.PushImageAsync("secret", "v1", "layer");
        using HttpClient nobody = registry.ClientWith(null);

        using HttpResponseMessage answer = await nobody.GetAsync(
            "/v2/token?scope=repository:public/app:pull,push&scope=repository:secret:pull", Stop);
        JsonElement token = await answer.JsonAsync();
        using HttpClient holder = registry.ClientWith(
            new AuthenticationHeaderValue("Bearer", token.GetProperty("token").GetString()));

        Assert.Equal("repository:public/app:pull", token.GetProperty("scope").GetString());
        using HttpResponseMessage pulled = await holder.GetAsync("/v2/public/app/manifests/v1", Stop);
        using HttpResponseMessage refused = await holder.GetAsync("/v2/secret/manifests/v1", Stop);
        using HttpResponseMessage wrong = await SendBasicAsync("wrong");
        await ExpectAsync(HttpStatusCode.OK, pulled);
        await ExpectErrorAsync(HttpStatusCode.Unauthorized, "UNAUTHORIZED", refused);
        await ExpectErrorAsync(HttpStatusCode.Unauthorized, "UNAUTHORIZED", wrong);
    }

    [Theory]
    [InlineData("team/*:pull,push", "team/a/b", RegistryAction.Push, true)]
    [InlineData("team/*:pull,push", "team/a", RegistryAction.Overwrite, false)]
    [InlineData("team/*:pull", "teams/a", RegistryAction.Pull, false)]
    [InlineData("team/app:delete,overwrite", "team/app", RegistryAction.Delete, true)]
    public void A_grant_allows_its_actions_where_its_pattern_matches(
        string grant, string repository, RegistryAction action, bool allowed) =>
        Assert.Equal(allowed, RepositoryGrant.Parse(grant).Allows(repository, action));

    private Task SayAsync(RepositoryPolicy policy) => registry.Policies.SetAsync(policy, Stop);

    private Task<HttpResponseMessage> PushAsync(string repository, byte[] content) => registry.Client.PostAsync(
        $"/v2/{repository}/blobs/uploads/?digest={Digest.Sha256(content)}", Bytes(content), Stop);

    private async Task<HttpResponseMessage> SendBasicAsync(string password)
    {
        using HttpClient client = registry.ClientWith(new AuthenticationHeaderValue(
            "Basic", Convert.ToBase64String(System.Text.Encoding.UTF8.GetBytes("any:" + password))));
        return await client.GetAsync("/v2/token", Stop);
    }
}
