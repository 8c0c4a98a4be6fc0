using System.Net;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using Berth.Core.Images;
using Berth.Testing.Registry;
using Xunit;
using static Berth.Testing.Registry.RegistryMessages;

namespace Berth.Tests.Registry;

public sealed class BlobTests : IAsyncLifetime
{
    private readonly byte[] content = RandomNumberGenerator.GetBytes(1_000_000);
    private TestRegistry registry = null!;

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private string Address => $"/v2/demo/app/blobs/{Digest.Sha256(content)}";

    public async ValueTask InitializeAsync()
    {
        registry = await TestRegistry.StartAsync();
        await registry.Client.PushBlobAsync("demo/app", content);
    }

    public ValueTask DisposeAsync() => registry.DisposeAsync();

    [Fact]
    public async Task A_blob_is_told_of_and_served_with_its_digest()
    {
        using HttpRequestMessage ask = new(HttpMethod.Head, Address);
        using HttpResponseMessage head = await registry.Client.SendAsync(ask, Stop);
        using HttpResponseMessage get = await registry.Client.GetAsync(Address, Stop);

        await ExpectAsync(HttpStatusCode.OK, head);
        Assert.Equal(content.Length, head.Content.Headers.ContentLength);
        Assert.Equal(Digest.Sha256(content).Text, head.Header("Docker-Content-Digest"));
        Assert.Equal("bytes", head.Header("Accept-Ranges"));
        Assert.Equal(content, await get.Content.ReadAsByteArrayAsync(Stop));
        Assert.Equal($"\"{Digest.Sha256(content)}\"", get.Header("ETag"));
    }

    [Theory]
    [InlineData("bytes=0-99", 0, 100)]
    [InlineData("bytes=999990-", 999_990, 10)]
    [InlineData("bytes=-5", 999_995, 5)]
    [InlineData("bytes=999990-2000000", 999_990, 10)]
    [InlineData("bytes=-9999999", 0, 1_000_000)]
    [InlineData("bytes=0-99999999999999999999", 0, 1_000_000)]
    public async Task A_range_is_served(string range, int first, int length)
    {
        using HttpResponseMessage response = await GetRangeAsync(range);

        await ExpectAsync(HttpStatusCode.PartialContent, response);
        Assert.Equal($"bytes {first}-{first + length - 1}/1000000", response.Header("Content-Range"));
        Assert.Equal(content[first..(first + length)], await response.Content.ReadAsByteArrayAsync(Stop));
    }

    [Theory]
    [InlineData("bytes=1000000-")]
    [InlineData("bytes=20-10")]
    [InlineData("bytes=-0")]
    [InlineData("bytes=x-y")]
    [InlineData("bytes=5")]
    public async Task A_range_that_is_not_there_is_refused_with_the_size(string range)
    {
        using HttpResponseMessage response = await GetRangeAsync(range);

        await ExpectAsync(HttpStatusCode.RequestedRangeNotSatisfiable, response);
        Assert.Equal("bytes */1000000", response.Header("Content-Range"));
    }

    [Fact]
    public async Task What_a_client_has_already_is_not_sent_again()
    {
        using HttpRequestMessage request = new(HttpMethod.Get, Address);
        request.Headers.IfNoneMatch.Add(new EntityTagHeaderValue($"\"{Digest.Sha256(content)}\""));
        using HttpResponseMessage response = await registry.Client.SendAsync(request, Stop);

        await ExpectAsync(HttpStatusCode.NotModified, response);
    }

    [Fact]
    public async Task A_blob_is_only_where_it_was_pushed()
    {
        await registry.Client.PushImageAsync("other", "v1", "x");
        using HttpResponseMessage response =
            await registry.Client.GetAsync($"/v2/other/blobs/{Digest.Sha256(content)}", Stop);

        await ExpectErrorAsync(HttpStatusCode.NotFound, "BLOB_UNKNOWN", response);
    }

    [Theory]
    [InlineData(1_000_000)]
    [InlineData(1_000)]
    public async Task A_damaged_blob_is_never_served_whole_and_then_unknown(int size)
    {
        byte[] fresh = RandomNumberGenerator.GetBytes(size);
        Digest digest = await registry.Client.PushBlobAsync("demo/app", fresh);
        fresh[^1] ^= 1;
        await File.WriteAllBytesAsync(registry.Content.PathOf(digest)!, fresh, Stop);

        byte[]? whole = null;
        try
        {
            using HttpResponseMessage torn = await registry.Client.GetAsync($"/v2/demo/app/blobs/{digest}", Stop);
            whole = torn.IsSuccessStatusCode ? await torn.Content.ReadAsByteArrayAsync(Stop) : null;
        }
        catch (HttpRequestException)
        {
            // The connection ended before the last bytes.
        }

        Assert.Null(whole);
        using HttpResponseMessage again = await registry.Client.GetAsync($"/v2/demo/app/blobs/{digest}", Stop);
        await ExpectErrorAsync(HttpStatusCode.NotFound, "BLOB_UNKNOWN", again);
        Assert.Equal(1, registry.Server.Counters.DamagedBlobs);
    }

    [Fact]
    public async Task A_part_of_a_damaged_blob_is_not_served()
    {
        byte[] changed = [.. content];
        changed[^1] ^= 1;
        await File.WriteAllBytesAsync(registry.Content.PathOf(Digest.Sha256(content))!, changed, Stop);

        using HttpResponseMessage response = await GetRangeAsync("bytes=0-9");

        await ExpectErrorAsync(HttpStatusCode.NotFound, "BLOB_UNKNOWN", response);
    }

    [Fact]
    public async Task A_blob_goes_from_its_repository_unless_a_manifest_names_it()
    {
        await registry.Client.PushImageAsync("demo/app", "v1", "layer");
        Digest layer = Digest.Sha256("layer"u8);

        using HttpResponseMessage deleted = await registry.Client.DeleteAsync(Address, Stop);
        using HttpResponseMessage again = await registry.Client.DeleteAsync(Address, Stop);
        using HttpResponseMessage used = await registry.Client.DeleteAsync($"/v2/demo/app/blobs/{layer}", Stop);

        await ExpectAsync(HttpStatusCode.Accepted, deleted);
        await ExpectErrorAsync(HttpStatusCode.NotFound, "BLOB_UNKNOWN", again);
        await ExpectErrorAsync(HttpStatusCode.Conflict, "DENIED", used);
    }

    private Task<HttpResponseMessage> GetRangeAsync(string range)
    {
        HttpRequestMessage request = new(HttpMethod.Get, Address);
        request.Headers.TryAddWithoutValidation("Range", range);
        return registry.Client.SendAsync(request, Stop);
    }
}
