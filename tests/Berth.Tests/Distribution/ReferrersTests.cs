using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Oci.Distribution;
using Berth.Oci.Images;
using Berth.Testing.Distribution;
using Berth.Testing.Registry;
using Microsoft.AspNetCore.Http;
using Xunit;

namespace Berth.Tests.Distribution;

/// <summary>
/// What a client owes manifests with a subject (distribution specification 1.1): the list under a tag where the
/// registry keeps none, and where to look for it.
/// </summary>
public sealed class ReferrersTests : IAsyncLifetime
{
    private const string Sbom = "application/vnd.example.sbom.v1";
    private static readonly byte[] Image = RegistryMessages.Manifest("{}"u8.ToArray(), "layer"u8.ToArray());
    private static readonly Descriptor Subject = Describe(Image);
    private static readonly string Tag = "sha256-" + Subject.Digest.Hex;

    private PlainRegistry registry = null!;
    private RegistryConnection connection = null!;

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private RegistryRepository Repository => connection.Repository("app");

    private IEnumerable<string> TagRequests => registry.Requests.Where(r => r.Contains(Tag, StringComparison.Ordinal));

    public async ValueTask InitializeAsync()
    {
        registry = await PlainRegistry.StartAsync();
        connection = new RegistryConnection(registry.Address, null, TimeProvider.System);
    }

    public async ValueTask DisposeAsync()
    {
        connection.Dispose();
        await registry.DisposeAsync();
    }

    [Fact]
    public async Task A_registry_without_referrers_gets_the_list_under_a_tag()
    {
        byte[] signature = PlainRegistry.Artifact(Subject, Sbom, "one");
        byte[] untyped = PlainRegistry.Artifact(Subject, null, "two");

        await PutAsync(signature, "signature");
        await PutAsync(untyped, null);
        await PutAsync(signature, "again");

        using JsonDocument list = JsonDocument.Parse(registry.Find(Tag)!);
        Assert.Equal(MediaTypes.OciIndex, list.RootElement.GetProperty("mediaType").GetString());
        JsonElement[] entries = [.. list.RootElement.GetProperty("manifests").EnumerateArray()];
        Assert.Equal(
            [Digest.Sha256(signature).Text, Digest.Sha256(untyped).Text],
            entries.Select(e => e.GetProperty("digest").GetString()!));
        // Without a type of its own, that of the configuration.
        Assert.Equal(
            [Sbom, MediaTypes.OciEmpty], entries.Select(e => e.GetProperty("artifactType").GetString()!));
        Assert.Equal(
            ["one", "two"], entries.Select(e => e.GetProperty("annotations").GetProperty("note").GetString()!));
        Assert.Equal(
            [signature.Length, untyped.Length], entries.Select(e => e.GetProperty("size").GetInt32()));
    }

    [Fact]
    public async Task An_index_about_a_subject_is_listed_too()
    {
        byte[] index = JsonSerializer.SerializeToUtf8Bytes(
            new ImageIndex(2, MediaTypes.OciIndex, [], Subject, Sbom), OciJson.Default.ImageIndex);

        await PutAsync(index, "index", MediaTypes.OciIndex);

        Descriptor listed = Assert.Single(await Repository.ReferrersAsync(Subject.Digest, Stop));
        Assert.Equal(
            (MediaTypes.OciIndex, Digest.Sha256(index).Text, Sbom),
            (listed.MediaType, listed.DigestText, listed.ArtifactType));
    }

    [Fact]
    public async Task A_registry_that_answers_with_the_subject_is_left_to_keep_the_list()
    {
        registry.KnowsSubjects = true;

        await PutAsync(PlainRegistry.Artifact(Subject, Sbom, "one"), "signature");

        Assert.Empty(TagRequests);
    }

    [Fact]
    public async Task An_image_without_a_subject_is_no_entry_of_a_list()
    {
        await PutAsync(Image, "v1");

        Assert.Equal(["PUT /v2/app/manifests/v1"], registry.Requests);
    }

    [Fact]
    public async Task What_others_have_in_the_list_stays_as_it_is()
    {
        registry.Put(Tag, Encoding.UTF8.GetBytes(
            $$$"""
            {"schemaVersion":2,"mediaType":"{{{MediaTypes.OciIndex}}}","annotations":{"by":"another"},"manifests":[
            {"mediaType":"{{{MediaTypes.OciManifest}}}","digest":"{{{Subject.DigestText}}}","size":1,"data":"eA=="}]}
            """), MediaTypes.OciIndex);

        await PutAsync(PlainRegistry.Artifact(Subject, Sbom, "one"), "signature");

        using JsonDocument list = JsonDocument.Parse(registry.Find(Tag)!);
        Assert.Equal("another", list.RootElement.GetProperty("annotations").GetProperty("by").GetString());
        Assert.Equal(2, list.RootElement.GetProperty("manifests").GetArrayLength());
        Assert.Equal("eA==", list.RootElement.GetProperty("manifests")[0].GetProperty("data").GetString());
    }

    [Fact]
    public async Task An_entry_that_another_client_wrote_over_is_made_again()
    {
        byte[] mine = PlainRegistry.Artifact(Subject, Sbom, "mine");
        Descriptor theirs = Describe(PlainRegistry.Artifact(Subject, Sbom, "theirs"));
        byte[] over = JsonSerializer.SerializeToUtf8Bytes(
            new ImageIndex(2, MediaTypes.OciIndex, [theirs]), OciJson.Default.ImageIndex);
        int reads = 0;
        registry.Fault = context =>
        {
            // They read when there was no list, and write after we did.
            if (context.Request.Method == "GET" && context.Request.Path == $"/v2/app/manifests/{Tag}" && ++reads == 2)
            {
                registry.Put(Tag, over, MediaTypes.OciIndex);
            }

            return Task.FromResult(false);
        };

        await PutAsync(mine, "signature");

        Assert.Equal(
            [theirs.DigestText, Digest.Sha256(mine).Text],
            (await Repository.ReferrersAsync(Subject.Digest, Stop)).Select(d => d.DigestText));
    }

    [Fact]
    public async Task A_tag_that_holds_something_else_is_told_and_left()
    {
        registry.Put(Tag, Image);

        BerthException refusal = await Assert.ThrowsAsync<BerthException>(
            () => PutAsync(PlainRegistry.Artifact(Subject, Sbom, "one"), "signature"));

        Assert.Contains("was published", refusal.Message, StringComparison.Ordinal);
        Assert.Contains("left as it is", refusal.Message, StringComparison.Ordinal);
        Assert.Contains(Tag, refusal.Message, StringComparison.Ordinal);
        Assert.NotNull(registry.Find("signature"));
        Assert.Equal(Image, registry.Find(Tag));
        Assert.Empty(await Repository.ReferrersAsync(Subject.Digest, Stop));
    }

    [Fact]
    public async Task The_tag_of_a_sha512_has_the_first_64_digits()
    {
        Digest subject = Digest.FromHash("sha512", SHA512.HashData(Image));
        byte[] signature = PlainRegistry.Artifact(Subject with { DigestText = subject.Text }, Sbom, "one");

        await PutAsync(signature, "signature");

        Assert.NotNull(registry.Find("sha512-" + subject.Hex[..64]));
        Assert.Equal(
            Digest.Sha256(signature).Text,
            Assert.Single(await Repository.ReferrersAsync(subject, Stop)).DigestText);
    }

    [Theory]
    [InlineData(404, MediaTypes.OciIndex)]
    [InlineData(200, "text/html")]
    public async Task Without_the_list_of_the_registry_that_of_the_tag_is_taken(int status, string type)
    {
        await PutAsync(PlainRegistry.Artifact(Subject, Sbom, "one"), "signature");
        registry.Fault = async context =>
        {
            if (!context.Request.Path.Value!.Contains("/referrers/"))
            {
                return false;
            }

            context.Response.StatusCode = status;
            context.Response.ContentType = type;
            await context.Response.WriteAsync("<html>welcome</html>", Stop);
            return true;
        };

        Assert.Single(await Repository.ReferrersAsync(Subject.Digest, Stop));
        Assert.Empty(await Repository.ReferrersAsync(Digest.Sha256("other"u8), Stop));
    }

    [Fact]
    public async Task The_list_of_the_registry_is_read_to_its_last_page_and_no_tag_is_asked_for()
    {
        Answer(context => context.Request.Query.TryGetValue("last", out var last)
            ? (Page(last == "1" ? "2" : "3"), last == "1" ? "/v2/app/referrers/x?last=2" : null)
            : (Page("1"), "?last=1"));

        IReadOnlyList<Descriptor> listed = await Repository.ReferrersAsync(Subject.Digest, Stop);

        Assert.Equal(["1", "2", "3"], listed.Select(d => d.ArtifactType));
        Assert.Empty(TagRequests);
    }

    [Theory]
    [InlineData("http://elsewhere.example/v2/app/referrers/x", "goes on elsewhere")]
    [InlineData("?again", "without end")]
    public async Task A_list_that_leads_elsewhere_or_never_ends_is_refused(string next, string why)
    {
        Answer(_ => (Page("1"), next));

        BerthException refusal = await Assert.ThrowsAsync<BerthException>(
            () => Repository.ReferrersAsync(Subject.Digest, Stop));

        Assert.True(refusal.Code == ErrorCode.Upstream, why);
    }

    [Fact]
    public async Task A_registry_that_fails_has_not_said_that_there_are_none()
    {
        registry.Fault = async context =>
        {
            await PlayedUpstream.FailAsync(context, 503);
            return true;
        };

        BerthException refusal = await Assert.ThrowsAsync<BerthException>(
            () => Repository.ReferrersAsync(Subject.Digest, Stop));

        Assert.Equal(ErrorCode.Upstream, refusal.Code);
    }

    private static Descriptor Describe(byte[] manifest) =>
        new(MediaTypes.OciManifest, Digest.Sha256(manifest).Text, manifest.Length);

    private static byte[] Page(string type) => JsonSerializer.SerializeToUtf8Bytes(
        new ImageIndex(2, MediaTypes.OciIndex, [Subject with { ArtifactType = type }]), OciJson.Default.ImageIndex);

    private void Answer(Func<HttpContext, (byte[] Page, string? Next)> answer) => registry.Fault = async context =>
    {
        (byte[] page, string? next) = answer(context);
        context.Response.ContentType = MediaTypes.OciIndex;
        if (next is not null)
        {
            context.Response.Headers.Link = $"<{next}>; rel=\"next\"";
        }

        await context.Response.Body.WriteAsync(page, Stop);
        return true;
    };

    private Task PutAsync(byte[] manifest, string? tag, string mediaType = MediaTypes.OciManifest) =>
        Repository.PutManifestAsync(new ManifestContent(Digest.Sha256(manifest), mediaType, manifest), tag, Stop);
}
