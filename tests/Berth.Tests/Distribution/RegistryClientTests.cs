using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Oci.Distribution;
using Berth.Oci.Images;
using Berth.Testing.Distribution;
using Microsoft.AspNetCore.Http;
using Xunit;

namespace Berth.Tests.Distribution;

/// <summary>The client against registries that break off, redirect, lie or ask for credentials.</summary>
public sealed class RegistryClientTests
{
    private static readonly byte[] Content = MakeContent();
    private static readonly Descriptor Blob = new(MediaTypes.OciLayer, Digest.Sha256(Content).Text, Content.Length);

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_download_that_breaks_off_goes_on_from_where_it_was(bool honoursRanges)
    {
        int answers = 0;
        await using PlayedRegistry registry = await PlayedRegistry.StartAsync(async context =>
        {
            int from = honoursRanges && context.Request.GetTypedHeaders().Range is { } range
                ? (int)range.Ranges.First().From! : 0;
            if (from > 0)
            {
                context.Response.StatusCode = 206;
                context.Response.Headers.ContentRange = $"bytes {from}-{Content.Length - 1}/{Content.Length}";
            }

            context.Response.ContentLength = Content.Length - from;
            if (++answers <= 3)
            {
                await context.Response.Body.WriteAsync(
                    Content.AsMemory(from, Math.Min(100_000 * answers, Content.Length - from)), Stop);
                await context.Response.Body.FlushAsync(Stop);
                context.Abort();
                return;
            }

            await context.Response.Body.WriteAsync(Content.AsMemory(from), Stop);
        });

        byte[] read = await DownloadAsync(registry.Address, null);

        Assert.Equal(Content, read);
        Assert.Equal(4, registry.Requests.Count);
        Assert.All(registry.Requests.Skip(1), r => Assert.StartsWith("bytes=", r.Range, StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_download_that_always_breaks_off_fails_by_name()
    {
        await using PlayedRegistry registry = await PlayedRegistry.StartAsync(async context =>
        {
            context.Response.ContentLength = Content.Length;
            await context.Response.Body.WriteAsync(Content.AsMemory(0, 10), Stop);
            await context.Response.Body.FlushAsync(Stop);
            context.Abort();
        });

        BerthException refusal = await Assert.ThrowsAsync<BerthException>(() => DownloadAsync(registry.Address, null));

        Assert.Equal(ErrorCode.Upstream, refusal.Code);
        Assert.Contains("broke off 6 times", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Credentials_do_not_follow_a_redirect_to_another_host()
    {
        await using PlayedRegistry storage = await PlayedRegistry.StartAsync(
            context => context.Response.Body.WriteAsync(Content, Stop).AsTask());
        await using PlayedRegistry registry = await PlayedRegistry.StartAsync(context =>
        {
            if (context.Request.Headers.Authorization.Count == 0)
            {
                context.Response.StatusCode = 401;
                context.Response.Headers.WWWAuthenticate = "Basic realm=\"r\"";
            }
            else
            {
                context.Response.Redirect($"{storage.Address}elsewhere");
            }

            return Task.CompletedTask;
        });

        byte[] read = await DownloadAsync(registry.Address, new RegistryCredentials("user", "secret"));

        Assert.Equal(Content, read);
        Assert.StartsWith("Basic ", registry.Requests.Last().Authorization, StringComparison.Ordinal);
        Assert.Equal("", Assert.Single(storage.Requests).Authorization);
    }

    [Fact]
    public async Task A_redirect_without_end_is_left()
    {
        await using PlayedRegistry registry = await PlayedRegistry.StartAsync(context =>
        {
            context.Response.Redirect("again");
            return Task.CompletedTask;
        });

        BerthException refusal = await Assert.ThrowsAsync<BerthException>(() => DownloadAsync(registry.Address, null));

        Assert.Contains("redirects more than 5 times", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_token_is_fetched_once_with_the_scope_asked_for_and_used_again()
    {
        PlayedRegistry registry = null!;
        registry = await PlayedRegistry.StartAsync(async context =>
        {
            if (context.Request.Path == "/token")
            {
                await context.Response.WriteAsync("""{"token":"good","expires_in":300}""", Stop);
            }
            else if (context.Request.Headers.Authorization != "Bearer good")
            {
                context.Response.StatusCode = 401;
                context.Response.Headers.WWWAuthenticate =
                    $"Bearer realm=\"{registry.Address}token\",service=\"the, "
                        + "service\",scope=\"repository:demo:pull,push\"";
            }
            else
            {
                await context.Response.Body.WriteAsync(Content, Stop);
            }
        });
        await using (registry)
        {
            using var connection = new RegistryConnection(
                registry.Address, new RegistryCredentials("user", "secret"), TimeProvider.System);
            RegistryRepository repository = connection.Repository("demo");

            await ReadAsync(repository);
            await ReadAsync(repository);

            PlayedRegistry.Asked token = Assert.Single(
                registry.Requests, r => r.What.StartsWith("GET /token", StringComparison.Ordinal));
            Assert.Equal("GET /token?service=the%2C%20service&scope=repository%3Ademo%3Apull%2Cpush", token.What);
            Assert.Equal("Basic " + Convert.ToBase64String("user:secret"u8), token.Authorization);
            Assert.Equal(4, registry.Requests.Count);
        }
    }

    [Fact]
    public async Task Credentials_are_not_sent_to_a_token_server_elsewhere_without_https()
    {
        await using PlayedRegistry thief = await PlayedRegistry.StartAsync(
            context => context.Response.WriteAsync("""{"token":"x"}""", Stop));
        await using PlayedRegistry registry = await PlayedRegistry.StartAsync(context =>
        {
            context.Response.StatusCode = 401;
            context.Response.Headers.WWWAuthenticate = $"Bearer realm=\"{thief.Address}token\",service=\"s\"";
            return Task.CompletedTask;
        });

        BerthException refusal = await Assert.ThrowsAsync<BerthException>(
            () => DownloadAsync(registry.Address, new RegistryCredentials("user", "secret")));

        Assert.Equal(ErrorCode.Upstream, refusal.Code);
        Assert.Empty(thief.Requests);
    }

    [Fact]
    public async Task A_manifest_that_is_not_what_was_asked_for_is_refused()
    {
        await using PlayedRegistry registry = await PlayedRegistry.StartAsync(
            context => context.Response.WriteAsync("""{"schemaVersion":2,"manifests":[]}""", Stop));
        using var connection = new RegistryConnection(registry.Address, null, TimeProvider.System);

        BerthException refusal = await Assert.ThrowsAsync<BerthException>(
            () => connection.Repository("demo").GetManifestAsync(Digest.Sha256("other"u8).Text, Stop));

        Assert.Equal(ErrorCode.DigestMismatch, refusal.Code);
    }

    [Fact]
    public async Task A_manifest_without_end_is_refused()
    {
        await using PlayedRegistry registry = await PlayedRegistry.StartAsync(
            context => context.Response.Body.WriteAsync(new byte[ManifestDocument.MaxBytes + 1], Stop).AsTask());
        using var connection = new RegistryConnection(registry.Address, null, TimeProvider.System);

        BerthException refusal = await Assert.ThrowsAsync<BerthException>(
            () => connection.Repository("demo").GetManifestAsync("1", Stop));

        Assert.Equal(ErrorCode.SizeInvalid, refusal.Code);
    }

    [Fact]
    public async Task A_blob_with_more_bytes_than_claimed_or_other_ones_is_not_kept()
    {
        await using PlayedRegistry registry = await PlayedRegistry.StartAsync(
            context => context.Response.Body.WriteAsync(Content, Stop).AsTask());
        using var connection = new RegistryConnection(registry.Address, null, TimeProvider.System);
        await using var local = new StoreRig();

        foreach (Descriptor lie in (Descriptor[])[
            Blob with { Size = 100 }, Blob with { DigestText = Digest.Sha256("other"u8).Text }])
        {
            var config = new Descriptor(MediaTypes.OciConfig, lie.DigestText, lie.Size);
            byte[] manifest = System.Text.Json.JsonSerializer.SerializeToUtf8Bytes(
                new ImageManifest(2, MediaTypes.OciManifest, config, []), OciJson.Default.ImageManifest);
            var origin = new OneManifest(
                new ManifestContent(Digest.Sha256(manifest), MediaTypes.OciManifest, manifest),
                connection.Repository("demo"));

            BerthException refusal = await Assert.ThrowsAsync<BerthException>(
                () => new ImageCopier(origin, local.Repository("r"), new CopyOptions()).CopyAsync("1", "1", Stop));

            Assert.True(refusal.Code is ErrorCode.SizeInvalid or ErrorCode.DigestMismatch, refusal.Message);
            Assert.Null(local.Content.SizeOf(lie.Digest));
        }
    }

    [Fact]
    public async Task A_registrys_own_words_are_passed_on_without_control_characters()
    {
        await using PlayedRegistry registry = await PlayedRegistry.StartAsync(context =>
        {
            context.Response.StatusCode = 429;
            context.Response.Headers.RetryAfter = "7";
            return context.Response.WriteAsync(
                "{\"errors\":[{\"code\":\"TOOMANYREQUESTS\",\"message\":\"slow \\u001b[31mdown\"}]}", Stop);
        });
        using var connection = new RegistryConnection(registry.Address, null, TimeProvider.System);

        BerthException refusal = await Assert.ThrowsAsync<BerthException>(
            () => connection.Repository("demo").GetManifestAsync("1", Stop));

        Assert.Contains("status 429, TOOMANYREQUESTS slow [31mdown", refusal.Message, StringComparison.Ordinal);
        Assert.Equal(TimeSpan.FromSeconds(7), refusal.RetryAfter);
    }

    private static byte[] MakeContent()
    {
        byte[] content = new byte[1_000_000];
        new Random(5).NextBytes(content);
        return content;
    }

    private static async Task<byte[]> DownloadAsync(Uri address, RegistryCredentials? credentials)
    {
        using var connection = new RegistryConnection(address, credentials, TimeProvider.System);
        return await ReadAsync(connection.Repository("demo"));
    }

    private static async Task<byte[]> ReadAsync(RegistryRepository repository)
    {
        await using Stream stream = await repository.OpenBlobAsync(Blob, Stop);
        var read = new MemoryStream();
        await stream.CopyToAsync(read, Stop);
        return read.ToArray();
    }

    private sealed class OneManifest(ManifestContent manifest, IImageOrigin blobs) : IImageOrigin
    {
        public Task<ManifestContent> GetManifestAsync(string tagOrDigest, CancellationToken cancellationToken) =>
            Task.FromResult(manifest);

        public Task<Stream> OpenBlobAsync(Descriptor blob, CancellationToken cancellationToken) =>
            blobs.OpenBlobAsync(blob, cancellationToken);
    }
}
