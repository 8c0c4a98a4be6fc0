using System.Net;
using System.Text.Json;
using Berth.Core.Images;
using Berth.Oci.Images;
using Berth.Registry.Mirrors;
using Berth.Registry.Policies;
using Berth.Testing.Distribution;
using Berth.Testing.Registry;
using Microsoft.AspNetCore.Http;
using Xunit;
using static Berth.Testing.Registry.RegistryMessages;

namespace Berth.Tests.Registry;

/// <summary>What refers to an image of another registry (signatures, bills of materials) comes through the cache.
/// </summary>
public sealed class MirroredReferrersTests : IAsyncLifetime
{
    private const string Sbom = "application/vnd.example.sbom.v1";
    private const string Signature = "application/vnd.example.signature.v1";
    private static readonly byte[] Image = Manifest("{}"u8.ToArray(), "layer"u8.ToArray());

    private static readonly Descriptor Subject =
        new(MediaTypes.OciManifest, Digest.Sha256(Image).Text, Image.Length);

    private PlainRegistry upstream = null!;
    private TestRegistry registry = null!;

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private int Asked => upstream.Requests.Count(r => r.Contains("/referrers/", StringComparison.Ordinal));

    public async ValueTask InitializeAsync()
    {
        upstream = await PlainRegistry.StartAsync();
        upstream.Put("v1", Image);
        registry = await TestRegistry.StartAsync();
        await registry.Policies.SetAsync(
            new RepositoryPolicy(
                "hub", null, null, null, null, new UpstreamPolicy(upstream.Address + "up", null, null)),
            Stop);
    }

    public async ValueTask DisposeAsync()
    {
        await registry.DisposeAsync();
        await upstream.DisposeAsync();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task They_are_listed_as_upstream_lists_them_and_can_be_pulled(bool byTag)
    {
        byte[][] artifacts = Put(byTag, Sbom, Signature);

        using HttpResponseMessage answer = await AskAsync();
        string[] listed = await DigestsAsync(answer);

        await ExpectAsync(HttpStatusCode.OK, answer);
        Assert.Equal(MediaTypes.OciIndex, answer.Content.Headers.ContentType!.MediaType);
        Assert.Equal(artifacts.Select(a => Digest.Sha256(a).Text).Order(StringComparer.Ordinal), listed);
        Assert.Equal(artifacts[0], await registry.Client.GetByteArrayAsync(
            $"/v2/hub/app/manifests/{Digest.Sha256(artifacts[0])}", Stop));
    }

    [Fact]
    public async Task They_are_filtered_by_type()
    {
        byte[][] artifacts = Put(byTag: false, Sbom, Signature);

        using HttpResponseMessage answer = await AskAsync($"?artifactType={Signature}");

        Assert.Equal([Digest.Sha256(artifacts[1]).Text], await DigestsAsync(answer));
        Assert.Equal("artifactType", answer.Header("OCI-Filters-Applied"));
    }

    [Fact]
    public async Task They_are_asked_for_again_after_a_minute()
    {
        Put(byTag: false, Sbom);
        Assert.Single(await ListAsync());
        Put(byTag: false, Sbom, Signature);
        Assert.Single(await ListAsync());
        Assert.Equal(1, Asked);

        registry.Time.Advance(TimeSpan.FromSeconds(61));

        Assert.Equal(2, (await ListAsync()).Length);
        Put(byTag: false);
        registry.Time.Advance(TimeSpan.FromSeconds(61));
        Assert.Empty(await ListAsync());
    }

    [Theory]
    [InlineData(500)]
    [InlineData(401)]
    [InlineData(429)]
    public async Task When_upstream_fails_those_it_told_last_are_served_also_after_a_restart(int status)
    {
        Put(byTag: true, Sbom, Signature);
        string[] before = await ListAsync();
        registry.Time.Advance(TimeSpan.FromSeconds(61));
        Fail(status);

        Assert.Equal(before, await ListAsync());
        int asked = upstream.Requests.Count();
        Assert.Equal(before, await ListAsync());
        Assert.Equal(asked, upstream.Requests.Count());
        await registry.RestartAsync();
        Assert.Equal(before, await ListAsync());
    }

    [Fact]
    public async Task When_upstream_hangs_those_it_told_last_are_served_within_seconds()
    {
        Put(byTag: false, Sbom);
        string[] before = await ListAsync();
        registry.Time.Advance(TimeSpan.FromSeconds(61));
        TaskCompletionSource reached = new();
        upstream.Fault = async context =>
        {
            reached.TrySetResult();
            await Task.Delay(Timeout.Infinite, context.RequestAborted).ConfigureAwait(
                ConfigureAwaitOptions.SuppressThrowing);
            return true;
        };

        Task<string[]> asking = ListAsync();
        await reached.Task;
        registry.Time.Advance(TimeSpan.FromSeconds(6));

        Assert.Equal(before, await asking);
    }

    [Fact]
    public async Task That_there_are_none_is_said_only_by_upstream()
    {
        using HttpResponseMessage none = await AskAsync();
        await ExpectAsync(HttpStatusCode.OK, none);
        Assert.Empty(await DigestsAsync(none));
        Fail(503);

        using HttpResponseMessage failed = await AskAsync();

        // The image was not pulled, so nothing is kept about it.
        await ExpectErrorAsync(HttpStatusCode.BadGateway, "UNKNOWN", failed);
        Assert.Empty(Directory.EnumerateFileSystemEntries(Path.Combine(registry.Folder, "repositories")));
    }

    [Fact]
    public async Task That_there_are_none_of_an_image_that_is_here_is_kept()
    {
        await registry.Client.GetByteArrayAsync("/v2/hub/app/manifests/v1", Stop);
        Assert.Empty(await ListAsync());
        registry.Time.Advance(TimeSpan.FromSeconds(61));
        Fail(503);

        Assert.Empty(await ListAsync());
        using HttpResponseMessage deleted = await registry.Client.DeleteAsync(
            $"/v2/hub/app/manifests/{Subject.DigestText}", Stop);
        await ExpectAsync(HttpStatusCode.Accepted, deleted);
        registry.Time.Advance(TimeSpan.FromSeconds(61));
        using HttpResponseMessage after = await AskAsync();
        Assert.Equal(HttpStatusCode.BadGateway, after.StatusCode);
    }

    [Fact]
    public async Task A_damaged_copy_of_the_list_is_asked_for_again()
    {
        Put(byTag: false, Sbom);
        string[] before = await ListAsync();
        await File.WriteAllTextAsync(
            Path.Combine(registry.Folder, $"repositories/hub/app/_upstream/sha256-{Subject.Digest.Hex}"), "[{", Stop);

        Assert.Equal(before, await ListAsync());
        Assert.Equal(2, Asked);
    }

    [Fact]
    public async Task A_long_list_comes_in_parts()
    {
        Descriptor[] many = [.. Enumerable.Range(0, 1500).Select(i => Subject with
        {
            DigestText = Digest.Sha256(BitConverter.GetBytes(i)).Text,
        })];
        upstream.Put("sha256-" + Subject.Digest.Hex, IndexOf(many), MediaTypes.OciIndex);

        using HttpResponseMessage first = await AskAsync();
        string next = first.Header("Link").Split('<', '>')[1];
        using HttpResponseMessage second = await registry.Client.GetAsync(next, Stop);

        Assert.Equal(
            many.Select(d => d.DigestText).Order(StringComparer.Ordinal),
            [.. await DigestsAsync(first), .. await DigestsAsync(second)]);
        Assert.Equal("", second.Header("Link"));
    }

    [Fact]
    public async Task Without_the_right_to_pull_nothing_is_asked()
    {
        using HttpClient nobody = registry.ClientWith(null);

        using HttpResponseMessage answer = await nobody.GetAsync($"/v2/hub/app/referrers/{Subject.DigestText}", Stop);

        Assert.Equal(HttpStatusCode.Unauthorized, answer.StatusCode);
        Assert.Empty(upstream.Requests);
    }

    private static byte[] IndexOf(IEnumerable<Descriptor> entries) => JsonSerializer.SerializeToUtf8Bytes(
        new ImageIndex(2, MediaTypes.OciIndex, [.. entries]), OciJson.Default.ImageIndex);

    /// <summary>Has upstream list artifacts of these types, by itself or, as older registries, by the tag.</summary>
    private byte[][] Put(bool byTag, params string[] types)
    {
        byte[][] artifacts = [.. types.Select(t => PlainRegistry.Artifact(Subject, t, t))];
        byte[] list = IndexOf(artifacts.Zip(types, (a, t) => new Descriptor(
            MediaTypes.OciManifest, Digest.Sha256(a).Text, a.Length, ArtifactType: t)));
        foreach (byte[] artifact in artifacts)
        {
            upstream.Put(Digest.Sha256(artifact).Text, artifact);
        }

        if (byTag)
        {
            upstream.Put("sha256-" + Subject.Digest.Hex, list, MediaTypes.OciIndex);
            return artifacts;
        }

        upstream.Fault = async context =>
        {
            if (context.Request.Path != $"/v2/up/app/referrers/{Subject.DigestText}")
            {
                return false;
            }

            context.Response.ContentType = MediaTypes.OciIndex;
            await context.Response.Body.WriteAsync(list, Stop);
            return true;
        };
        return artifacts;
    }

    private void Fail(int status) => upstream.Fault = async context =>
    {
        await PlayedUpstream.FailAsync(context, status);
        return true;
    };

    private Task<HttpResponseMessage> AskAsync(string query = "") =>
        registry.Client.GetAsync($"/v2/hub/app/referrers/{Subject.DigestText}{query}", Stop);

    private async Task<string[]> ListAsync()
    {
        using HttpResponseMessage answer = await AskAsync();
        await ExpectAsync(HttpStatusCode.OK, answer);
        return await DigestsAsync(answer);
    }

    private static async Task<string[]> DigestsAsync(HttpResponseMessage answer) =>
        [.. (await answer.JsonAsync()).GetProperty("manifests").EnumerateArray()
            .Select(d => d.GetProperty("digest").GetString()!)];
}
