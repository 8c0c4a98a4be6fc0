using System.Net;
using System.Net.Http.Headers;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Registry.Mirrors;
using Berth.Registry.Policies;
using Berth.Testing.Registry;
using Microsoft.AspNetCore.Http;
using Xunit;
using static Berth.Testing.Registry.RegistryMessages;

namespace Berth.Tests.Registry;

public sealed class MirrorTests : IAsyncLifetime
{
    private PlayedUpstream upstream = null!;
    private TestRegistry registry = null!;

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private string Blob => $"/v2/hub/app/blobs/{Digest.Sha256(upstream.Layer)}";

    public async ValueTask InitializeAsync()
    {
        upstream = await PlayedUpstream.StartAsync();
        registry = await TestRegistry.StartAsync();
        await MirrorAsync("hub", upstream.Url + "up");
    }

    public async ValueTask DisposeAsync()
    {
        await registry.DisposeAsync();
        await upstream.DisposeAsync();
    }

    [Fact]
    public async Task What_was_pulled_once_is_here()
    {
        byte[] manifest = await ManifestAsync("v1");
        byte[] layer = await registry.Client.GetByteArrayAsync(Blob, Stop);
        await StoredAsync();
        int asked = upstream.Requests.Count();

        Assert.Equal(upstream.Layer, layer);
        Assert.Equal(manifest, await ManifestAsync("v1"));
        Assert.Equal(manifest, await ManifestAsync(Digest.Sha256(manifest).Text));
        Assert.Equal(layer, await registry.Client.GetByteArrayAsync(Blob, Stop));
        Assert.Equal(asked, upstream.Requests.Count());
        await registry.RestartAsync();
        await upstream.DisposeAsync();
        Assert.Equal(layer, await registry.Client.GetByteArrayAsync(Blob, Stop));
        Assert.Equal(manifest, await ManifestAsync("v1"));
    }

    [Fact]
    public async Task A_tag_is_asked_for_again_after_a_minute_and_followed_when_it_moved()
    {
        byte[] first = await ManifestAsync("v1");
        registry.Time.Advance(TimeSpan.FromSeconds(61));
        Assert.Equal(first, await ManifestAsync("v1"));
        Assert.Equal(1, upstream.Count("GET /v2/up/app/manifests/v1"));
        byte[] second = upstream.Put("v1", "another layer"u8.ToArray());

        Assert.Equal(first, await ManifestAsync("v1"));
        registry.Time.Advance(TimeSpan.FromSeconds(61));
        Assert.Equal(second, await ManifestAsync("v1"));
        Assert.Equal(2, upstream.Count("GET /v2/up/app/manifests/v1"));
    }

    [Theory]
    [InlineData(500)]
    [InlineData(503)]
    [InlineData(429)]
    [InlineData(401)]
    public async Task When_upstream_fails_what_is_here_is_served_and_upstream_left_alone_for_a_minute(int status)
    {
        byte[] manifest = await ManifestAsync("v1");
        registry.Time.Advance(TimeSpan.FromSeconds(61));
        upstream.Fault = async context =>
        {
            await PlayedUpstream.FailAsync(context, status);
            return true;
        };

        Assert.Equal(manifest, await ManifestAsync("v1"));
        int asked = upstream.Requests.Count();
        Assert.Equal(manifest, await ManifestAsync("v1"));
        Assert.Equal(asked, upstream.Requests.Count());
        using HttpResponseMessage unknown = await registry.Client.GetAsync("/v2/hub/app/manifests/v2", Stop);
        Assert.Equal(HttpStatusCode.BadGateway, unknown.StatusCode);
    }

    [Fact]
    public async Task When_upstream_hangs_what_is_here_is_served_within_seconds()
    {
        byte[] manifest = await ManifestAsync("v1");
        registry.Time.Advance(TimeSpan.FromSeconds(61));
        TaskCompletionSource reached = new();
        upstream.Fault = async context =>
        {
            reached.TrySetResult();
            await Task.Delay(Timeout.Infinite, context.RequestAborted).ConfigureAwait(
                ConfigureAwaitOptions.SuppressThrowing);
            return true;
        };

        Task<byte[]> asking = ManifestAsync("v1");
        await reached.Task;
        registry.Time.Advance(TimeSpan.FromSeconds(6));

        Assert.Equal(manifest, await asking);
    }

    [Fact]
    public async Task What_upstream_lacks_is_unknown()
    {
        using HttpResponseMessage manifest = await registry.Client.GetAsync("/v2/hub/app/manifests/v9", Stop);
        using HttpResponseMessage blob = await registry.Client.GetAsync(
            $"/v2/hub/app/blobs/{Digest.Sha256("none"u8)}", Stop);
        using HttpResponseMessage other = await registry.Client.GetAsync("/v2/hub/other/manifests/v1", Stop);
        using HttpResponseMessage unmirrored = await registry.Client.GetAsync("/v2/hubs/app/manifests/v1", Stop);

        await ExpectErrorAsync(HttpStatusCode.NotFound, "MANIFEST_UNKNOWN", manifest);
        await ExpectErrorAsync(HttpStatusCode.NotFound, "BLOB_UNKNOWN", blob);
        await ExpectErrorAsync(HttpStatusCode.NotFound, "MANIFEST_UNKNOWN", other);
        await ExpectErrorAsync(HttpStatusCode.NotFound, "MANIFEST_UNKNOWN", unmirrored);
    }

    [Fact]
    public async Task Many_callers_share_one_fetch()
    {
        TaskCompletionSource go = new();
        upstream.Fault = async context =>
        {
            if (context.Request.Method == "GET")
            {
                await go.Task;
            }

            return false;
        };

        Task<byte[]>[] callers =
            [.. Enumerable.Range(0, 12).Select(_ => registry.Client.GetByteArrayAsync(Blob, Stop))];
        go.SetResult();

        Assert.All(await Task.WhenAll(callers), bytes => Assert.Equal(upstream.Layer, bytes));
        Assert.Equal(1, upstream.Count("GET "));
    }

    [Fact]
    public async Task A_blob_streams_through_while_it_comes()
    {
        TaskCompletionSource rest = new();
        upstream.Fault = async context =>
        {
            if (context.Request.Method != "GET")
            {
                return false;
            }

            context.Response.ContentLength = upstream.Layer.Length;
            await context.Response.Body.WriteAsync(upstream.Layer.AsMemory(0, 1_500_000));
            await rest.Task;
            await context.Response.Body.WriteAsync(upstream.Layer.AsMemory(1_500_000));
            return true;
        };

        using HttpResponseMessage response = await registry.Client.GetAsync(
            Blob, HttpCompletionOption.ResponseHeadersRead, Stop);
        await using Stream body = await response.Content.ReadAsStreamAsync(Stop);
        byte[] begin = new byte[1_000_000];
        await body.ReadExactlyAsync(begin, Stop);
        rest.SetResult();

        Assert.Equal(upstream.Layer[..1_000_000], begin);
        using MemoryStream end = new();
        await body.CopyToAsync(end, Stop);
        Assert.Equal(upstream.Layer[1_000_000..], end.ToArray());
    }

    [Fact]
    public async Task A_caller_who_leaves_ends_no_fetch()
    {
        TaskCompletionSource rest = new();
        upstream.Fault = async context =>
        {
            if (context.Request.Method == "GET")
            {
                await rest.Task;
            }

            return false;
        };
        using CancellationTokenSource leaving = new();
        Task<HttpResponseMessage> leaver = registry.Client.GetAsync(Blob, leaving.Token);
        while (upstream.Count("GET ") == 0)
        {
            await Task.Yield();
        }

        await leaving.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => leaver);
        rest.SetResult();

        await StoredAsync();
        Assert.Equal(1, upstream.Count("GET "));
    }

    [Theory]
    [InlineData("other bytes")]
    [InlineData("more bytes")]
    public async Task Content_that_upstream_lies_about_is_never_served_whole_nor_kept(string lie)
    {
        byte[] wrong = [.. upstream.Layer];
        wrong[^1] ^= 1;
        wrong = lie == "more bytes" ? [.. wrong, 1] : wrong;
        upstream.Fault = async context =>
        {
            if (context.Request.Method != "GET" || !context.Request.Path.Value!.Contains("/blobs/"))
            {
                return false;
            }

            await context.Response.Body.WriteAsync(wrong);
            return true;
        };

        await Assert.ThrowsAnyAsync<Exception>(() => registry.Client.GetByteArrayAsync(Blob, Stop));
        upstream.Fault = _ => Task.FromResult(false);

        Assert.Equal(upstream.Layer, await registry.Client.GetByteArrayAsync(Blob, Stop));
        await StoredAsync();
        Assert.Empty(Directory.EnumerateFiles(Path.Combine(registry.Folder, "uploads")));
    }

    [Fact]
    public async Task A_manifest_that_has_not_the_digest_asked_for_is_refused()
    {
        byte[] real = await ManifestAsync("v1");
        upstream.Fault = async context =>
        {
            await context.Response.Body.WriteAsync(real.Append((byte)0x20).ToArray());
            return true;
        };

        using HttpResponseMessage response = await registry.Client.GetAsync(
            $"/v2/hub/app/manifests/{Digest.Sha256("other"u8)}", Stop);

        Assert.Equal(HttpStatusCode.BadGateway, response.StatusCode);
    }

    [Fact]
    public async Task A_blob_is_told_of_before_it_is_here_and_a_part_of_it_is_served()
    {
        using HttpRequestMessage head = new(HttpMethod.Head, Blob);
        using HttpResponseMessage told = await registry.Client.SendAsync(head, Stop);
        using HttpRequestMessage part = new(HttpMethod.Get, Blob);
        part.Headers.Range = new RangeHeaderValue(5, 9);

        using HttpResponseMessage served = await registry.Client.SendAsync(part, Stop);

        await ExpectAsync(HttpStatusCode.OK, told);
        Assert.Equal($"{upstream.Layer.Length}", told.Header("Content-Length"));
        await ExpectAsync(HttpStatusCode.PartialContent, served);
        Assert.Equal(upstream.Layer[5..10], await served.Content.ReadAsByteArrayAsync(Stop));
    }

    [Fact]
    public async Task Nothing_is_pushed_to_a_cache()
    {
        byte[] manifest = await ManifestAsync("v1");

        using HttpResponseMessage upload = await registry.Client.PostAsync("/v2/hub/app/blobs/uploads/", null, Stop);
        using HttpResponseMessage put = await registry.Client.PutManifestAsync("hub/app", "v1", manifest);

        await ExpectErrorAsync(HttpStatusCode.Forbidden, "DENIED", upload);
        await ExpectErrorAsync(HttpStatusCode.Forbidden, "DENIED", put);
    }

    [Fact]
    public async Task An_address_that_the_operator_does_not_allow_is_not_connected_to()
    {
        registry.ConnectUpstream = (context, _) => throw new BerthException(
            ErrorCode.Forbidden, $"{context.DnsEndPoint.Host} has no public address.");
        await registry.RestartAsync();

        using HttpResponseMessage response = await registry.Client.GetAsync("/v2/hub/app/manifests/v1", Stop);

        Assert.Equal(HttpStatusCode.BadGateway, response.StatusCode);
        Assert.Contains(
            "has no public address", await response.Content.ReadAsStringAsync(Stop), StringComparison.Ordinal);
        Assert.Empty(upstream.Requests);
    }

    [Theory]
    [InlineData("ftp://registry.example")]
    [InlineData("https://user:secret@registry.example")]
    [InlineData("registry.example")]
    [InlineData("https://registry.example/?x=1")]
    public async Task An_address_that_is_no_registry_s_is_refused(string url) => Assert.Equal(
        ErrorCode.InvalidRequest, (await Assert.ThrowsAsync<BerthException>(() => MirrorAsync("x", url))).Code);

    private Task MirrorAsync(string scope, string url) => registry.Policies.SetAsync(
        new RepositoryPolicy(scope, null, null, null, null, new UpstreamPolicy(url, null, null)), Stop);

    private async Task<byte[]> ManifestAsync(string reference)
    {
        using HttpResponseMessage response = await registry.Client.GetAsync($"/v2/hub/app/manifests/{reference}", Stop);
        await ExpectAsync(HttpStatusCode.OK, response);
        return await response.Content.ReadAsByteArrayAsync(Stop);
    }

    /// <summary>The answer may be whole a moment before the repository has the blob.</summary>
    private async Task StoredAsync()
    {
        while (!registry.Repositories.HasBlob("hub/app", Digest.Sha256(upstream.Layer)))
        {
            Stop.ThrowIfCancellationRequested();
            await Task.Yield();
        }
    }
}
