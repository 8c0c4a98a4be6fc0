using System.Net;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Oci.Images;
using Berth.Registry;
using Berth.Testing.Registry;
using Xunit;
using static Berth.Testing.Registry.RegistryMessages;

namespace Berth.Tests.Registry;

public sealed class ManifestTests : IAsyncLifetime
{
    private static readonly byte[] Config = Encoding.UTF8.GetBytes("""{"architecture":"amd64","os":"linux"}""");
    private static readonly byte[] Layer = Encoding.UTF8.GetBytes("layer");

    private readonly RefusingObserver observer = new();
    private TestRegistry registry = null!;

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        registry = await TestRegistry.StartAsync();
        registry.Observers.Add(observer);
        await registry.Client.PushBlobAsync("demo", Config);
        await registry.Client.PushBlobAsync("demo", Layer);
    }

    public ValueTask DisposeAsync() => registry.DisposeAsync();

    [Fact]
    public async Task A_manifest_is_served_byte_by_byte_by_tag_and_digest()
    {
        byte[] manifest = [.. Manifest(Config, Layer), .. "\n  "u8];

        using HttpResponseMessage put = await registry.Client.PutManifestAsync("demo", "v1", manifest);

        await ExpectAsync(HttpStatusCode.Created, put);
        Digest digest = Digest.Sha256(manifest);
        Assert.Equal(digest.Text, put.Header("Docker-Content-Digest"));
        Assert.Equal($"/v2/demo/manifests/{digest}", put.Header("Location"));
        foreach (string reference in (string[])["v1", digest.Text])
        {
            using HttpResponseMessage get = await registry.Client.GetAsync($"/v2/demo/manifests/{reference}", Stop);
            await ExpectAsync(HttpStatusCode.OK, get);
            Assert.Equal(manifest, await get.Content.ReadAsByteArrayAsync(Stop));
            Assert.Equal(MediaTypes.OciManifest, get.Header("Content-Type"));
            Assert.Equal(digest.Text, get.Header("Docker-Content-Digest"));
        }
    }

    [Fact]
    public async Task A_manifest_may_be_named_by_sha512()
    {
        byte[] manifest = Manifest(Config, Layer);
        Digest digest = Digest.FromHash("sha512", SHA512.HashData(manifest));

        using HttpResponseMessage put = await registry.Client.PutManifestAsync("demo", digest.Text, manifest);

        await ExpectAsync(HttpStatusCode.Created, put);
        Assert.Equal(manifest, await registry.Client.GetByteArrayAsync($"/v2/demo/manifests/{digest}", Stop));
    }

    [Fact]
    public async Task A_manifest_pushed_survives_a_restart()
    {
        byte[] manifest = Manifest(Config, Layer);
        using HttpResponseMessage put = await registry.Client.PutManifestAsync("demo", "v1", manifest);

        await registry.RestartAsync();

        Assert.Equal(manifest, await registry.Client.GetByteArrayAsync("/v2/demo/manifests/v1", Stop));
        Assert.Equal(Layer, await registry.Client.GetByteArrayAsync($"/v2/demo/blobs/{Digest.Sha256(Layer)}", Stop));
    }

    [Theory]
    [InlineData("application/vnd.oci.image.manifest.v1+json", true)]
    [InlineData("application/vnd.x+json, application/vnd.oci.image.manifest.v1+json;q=0.5", true)]
    [InlineData("*/*", true)]
    [InlineData("application/json", true)]
    [InlineData("application/vnd.docker.distribution.manifest.v2+json", false)]
    public async Task A_client_gets_only_what_it_accepts(string accept, bool served)
    {
        using HttpResponseMessage put = await registry.Client.PutManifestAsync("demo", "v1", Manifest(Config, Layer));
        using HttpRequestMessage request = new(HttpMethod.Get, "/v2/demo/manifests/v1");
        request.Headers.TryAddWithoutValidation("Accept", accept);

        using HttpResponseMessage response = await registry.Client.SendAsync(request, Stop);

        await ExpectAsync(served ? HttpStatusCode.OK : HttpStatusCode.NotFound, response);
    }

    [Theory]
    [InlineData("""{"schemaVersion":2,"config":{""", "MANIFEST_INVALID")]
    [InlineData("[]", "MANIFEST_INVALID")]
    [InlineData("""{"schemaVersion":1,"layers":[]}""", "MANIFEST_INVALID")]
    [InlineData("""{"schemaVersion":2}""", "MANIFEST_INVALID")]
    [InlineData("""{"schemaVersion":2,"mediaType":"\ud800"}""", "MANIFEST_INVALID")]
    [InlineData("""{"schemaVersion":2,"layers":[],"layers":[]}""", "MANIFEST_INVALID")]
    [InlineData("""{"schemaVersion":2,"layers":[],"manifests":[]}""", "MANIFEST_INVALID")]
    [InlineData(
        """{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}""",
        "MANIFEST_INVALID")]
    [InlineData(
        """{"schemaVersion":2,"config":{"mediaType":"x","digest":"sha256:1","size":2},"layers":[]}""",
        "MANIFEST_INVALID")]
    [InlineData("""{"schemaVersion":2,"config":{"mediaType":"x","size":2},"layers":[null]}""", "MANIFEST_INVALID")]
    public async Task A_document_that_is_no_manifest_is_refused(string text, string code)
    {
        using HttpResponseMessage put =
            await registry.Client.PutManifestAsync("demo", "v1", Encoding.UTF8.GetBytes(text));

        await ExpectErrorAsync(HttpStatusCode.BadRequest, code, put);
        Assert.Null(registry.Repositories.FindTag("demo", "v1"));
    }

    [Fact]
    public async Task Media_type_and_content_type_must_agree()
    {
        using HttpResponseMessage put =
            await registry.Client.PutManifestAsync("demo", "v1", Manifest(Config, Layer), MediaTypes.DockerManifest);
        using HttpResponseMessage other =
            await registry.Client.PutManifestAsync("demo", "v1", Manifest(Config, Layer), "text/plain");

        await ExpectErrorAsync(HttpStatusCode.BadRequest, "MANIFEST_INVALID", put);
        await ExpectErrorAsync(HttpStatusCode.BadRequest, "MANIFEST_INVALID", other);
    }

    [Fact]
    public async Task A_manifest_whose_content_is_not_there_is_refused()
    {
        using HttpResponseMessage blob =
            await registry.Client.PutManifestAsync("demo", "v1", Manifest(Config, "absent"u8.ToArray()));
        using HttpResponseMessage child = await registry.Client.PutManifestAsync(
            "demo", "v1", Index(Manifest(Config, Layer)), MediaTypes.OciIndex);
        using HttpResponseMessage elsewhere =
            await registry.Client.PutManifestAsync("other", "v1", Manifest(Config, Layer));

        await ExpectErrorAsync(HttpStatusCode.NotFound, "MANIFEST_BLOB_UNKNOWN", blob);
        await ExpectErrorAsync(HttpStatusCode.NotFound, "MANIFEST_BLOB_UNKNOWN", child);
        await ExpectErrorAsync(HttpStatusCode.NotFound, "MANIFEST_BLOB_UNKNOWN", elsewhere);
    }

    [Fact]
    public async Task A_size_that_is_not_the_content_s_is_refused()
    {
        string manifest = Encoding.UTF8.GetString(Manifest(Config, Layer));
        byte[] wrong = Encoding.UTF8.GetBytes(
            manifest.Replace("\"size\":5", "\"size\":6", StringComparison.Ordinal));

        using HttpResponseMessage put = await registry.Client.PutManifestAsync("demo", "v1", wrong);

        await ExpectErrorAsync(HttpStatusCode.BadRequest, "SIZE_INVALID", put);
    }

    [Fact]
    public async Task A_manifest_with_another_digest_than_its_address_is_refused()
    {
        using HttpResponseMessage put = await registry.Client.PutManifestAsync(
            "demo", Digest.Sha256("other"u8).Text, Manifest(Config, Layer));

        await ExpectErrorAsync(HttpStatusCode.BadRequest, "DIGEST_INVALID", put);
    }

    [Theory]
    [InlineData(0, HttpStatusCode.Created)]
    [InlineData(1, HttpStatusCode.RequestEntityTooLarge)]
    public async Task A_manifest_has_at_most_four_mebibytes(int over, HttpStatusCode expected)
    {
        byte[] manifest = new byte[ManifestDocument.MaxBytes + over];
        manifest.AsSpan().Fill((byte)' ');
        Manifest(Config, Layer).CopyTo(manifest, 0);

        using HttpResponseMessage put = await registry.Client.PutManifestAsync("demo", "v1", manifest);

        await ExpectAsync(expected, put);
    }

    [Fact]
    public async Task Deleting_a_tag_leaves_the_manifest_and_deleting_that_takes_its_tags()
    {
        byte[] manifest = Manifest(Config, Layer);
        string byDigest = $"/v2/demo/manifests/{Digest.Sha256(manifest)}";
        foreach (string tag in (string[])["v1", "v2"])
        {
            using HttpResponseMessage put = await registry.Client.PutManifestAsync("demo", tag, manifest);
        }

        using HttpResponseMessage untagged = await registry.Client.DeleteAsync("/v2/demo/manifests/v1", Stop);
        using HttpResponseMessage still = await registry.Client.GetAsync(byDigest, Stop);
        using HttpResponseMessage deleted = await registry.Client.DeleteAsync(byDigest, Stop);
        using HttpResponseMessage gone = await registry.Client.GetAsync("/v2/demo/manifests/v2", Stop);
        using HttpResponseMessage again = await registry.Client.DeleteAsync(byDigest, Stop);

        await ExpectAsync(HttpStatusCode.Accepted, untagged);
        await ExpectAsync(HttpStatusCode.OK, still);
        await ExpectAsync(HttpStatusCode.Accepted, deleted);
        await ExpectErrorAsync(HttpStatusCode.NotFound, "MANIFEST_UNKNOWN", gone);
        await ExpectErrorAsync(HttpStatusCode.NotFound, "MANIFEST_UNKNOWN", again);
    }

    [Fact]
    public async Task A_damaged_manifest_is_unknown_until_it_is_pushed_again()
    {
        byte[] manifest = Manifest(Config, Layer);
        using HttpResponseMessage put = await registry.Client.PutManifestAsync("demo", "v1", manifest);
        byte[] changed = [.. manifest[..^1], (byte)' '];
        await File.WriteAllBytesAsync(registry.Content.PathOf(Digest.Sha256(manifest))!, changed, Stop);

        using HttpResponseMessage damaged = await registry.Client.GetAsync("/v2/demo/manifests/v1", Stop);
        using HttpRequestMessage ask = new(HttpMethod.Head, "/v2/demo/manifests/v1");
        using HttpResponseMessage told = await registry.Client.SendAsync(ask, Stop);
        using HttpResponseMessage again = await registry.Client.PutManifestAsync("demo", "v1", manifest);

        await ExpectErrorAsync(HttpStatusCode.NotFound, "MANIFEST_UNKNOWN", damaged);
        await ExpectAsync(HttpStatusCode.NotFound, told);
        await ExpectAsync(HttpStatusCode.Created, again);
        Assert.Equal(manifest, await registry.Client.GetByteArrayAsync("/v2/demo/manifests/v1", Stop));
    }

    [Fact]
    public async Task An_observer_s_refusal_refuses_the_push()
    {
        observer.Refuses = true;

        using HttpResponseMessage put = await registry.Client.PutManifestAsync("demo", "v1", Manifest(Config, Layer));
        using HttpResponseMessage get = await registry.Client.GetAsync("/v2/demo/manifests/v1", Stop);

        await ExpectErrorAsync(HttpStatusCode.BadRequest, "MANIFEST_INVALID", put);
        await ExpectAsync(HttpStatusCode.NotFound, get);
    }

    [Fact]
    public async Task What_refers_to_a_manifest_is_listed_and_filtered()
    {
        byte[] subject = Manifest(Config, Layer);
        Descriptor about = new(MediaTypes.OciManifest, Digest.Sha256(subject).Text, subject.Length);
        byte[] first = Manifest(Config, Layer, about, "application/x.signature");
        byte[] second = Manifest(Config, Layer, about);
        using HttpResponseMessage put =
            await registry.Client.PutManifestAsync("demo", Digest.Sha256(first).Text, first);
        using HttpResponseMessage put2 = await registry.Client.PutManifestAsync("demo", "sbom", second);

        string address = $"/v2/demo/referrers/{Digest.Sha256(subject)}";
        using HttpResponseMessage all = await registry.Client.GetAsync(address, Stop);
        using HttpResponseMessage filtered =
            await registry.Client.GetAsync(address + "?artifactType=application/x.signature", Stop);
        using HttpResponseMessage none =
            await registry.Client.GetAsync($"/v2/demo/referrers/{Digest.Sha256("x"u8)}", Stop);

        Assert.Equal(about.DigestText, put.Header("OCI-Subject"));
        Assert.Equal(MediaTypes.OciIndex, all.Header("Content-Type"));
        JsonElement index = await all.JsonAsync();
        Assert.Equal(2, index.GetProperty("manifests").GetArrayLength());
        JsonElement only = (await filtered.JsonAsync()).GetProperty("manifests").EnumerateArray().Single();
        Assert.Equal(Digest.Sha256(first).Text, only.GetProperty("digest").GetString());
        Assert.Equal("application/x.signature", only.GetProperty("artifactType").GetString());
        Assert.Equal("artifactType", filtered.Header("OCI-Filters-Applied"));
        Assert.Equal(0, (await none.JsonAsync()).GetProperty("manifests").GetArrayLength());
    }

    [Fact]
    public async Task What_a_client_has_already_is_not_sent_again()
    {
        byte[] manifest = Manifest(Config, Layer);
        using HttpResponseMessage put = await registry.Client.PutManifestAsync("demo", "v1", manifest);
        using HttpRequestMessage request = new(HttpMethod.Get, "/v2/demo/manifests/v1");
        request.Headers.IfNoneMatch.Add(new EntityTagHeaderValue($"\"{Digest.Sha256(manifest)}\""));

        using HttpResponseMessage response = await registry.Client.SendAsync(request, Stop);

        await ExpectAsync(HttpStatusCode.NotModified, response);
    }

    private sealed class RefusingObserver : IManifestObserver
    {
        public bool Refuses { get; set; }

        public Task OnManifestAsync(
            string repository, Digest digest, string mediaType, CancellationToken cancellationToken) => Refuses
            ? throw new BerthException(ErrorCode.ArchiveRefused, "The layer has an entry '../x' outside its folder.")
            : Task.CompletedTask;
    }
}
