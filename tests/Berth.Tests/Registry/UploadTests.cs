using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using Berth.Core.Images;
using Berth.Testing.Registry;
using Xunit;
using static Berth.Testing.Registry.RegistryMessages;

namespace Berth.Tests.Registry;

public sealed class UploadTests : IAsyncLifetime
{
    private readonly byte[] content = RandomNumberGenerator.GetBytes(3_000_000);
    private TestRegistry registry = null!;

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private Digest ContentDigest => Digest.Sha256(content);

    public async ValueTask InitializeAsync() => registry = await TestRegistry.StartAsync(maxBlobBytes: 4_000_000);

    public ValueTask DisposeAsync() => registry.DisposeAsync();

    [Fact]
    public async Task A_blob_comes_in_one_request()
    {
        using HttpResponseMessage response = await registry.Client.PostAsync(
            $"/v2/demo/blobs/uploads/?digest={ContentDigest}", Bytes(content), Stop);

        await ExpectAsync(HttpStatusCode.Created, response);
        Assert.Equal($"/v2/demo/blobs/{ContentDigest}", response.Header("Location"));
        Assert.Equal(ContentDigest.Text, response.Header("Docker-Content-Digest"));
        await ExpectStoredAsync();
    }

    [Fact]
    public async Task A_blob_may_be_named_by_sha512()
    {
        Digest digest = Digest.FromHash("sha512", SHA512.HashData(content));

        using HttpResponseMessage response = await registry.Client.PostAsync(
            $"/v2/demo/blobs/uploads/?digest={digest}", Bytes(content), Stop);

        await ExpectAsync(HttpStatusCode.Created, response);
        Assert.Equal(content, await registry.Client.GetByteArrayAsync($"/v2/demo/blobs/{digest}", Stop));
    }

    [Fact]
    public async Task A_blob_comes_in_one_stream_as_docker_sends_it()
    {
        string upload = await StartAsync();

        using HttpResponseMessage patched = await PatchAsync(upload, content, range: null);
        using HttpResponseMessage finished = await PutAsync(upload, ContentDigest, []);

        await ExpectAsync(HttpStatusCode.Accepted, patched);
        Assert.Equal("0-2999999", patched.Header("Range"));
        await ExpectAsync(HttpStatusCode.Created, finished);
        await ExpectStoredAsync();
    }

    [Theory]
    [InlineData("{0}-{1}")]
    [InlineData("bytes {0}-{1}/*")]
    public async Task A_blob_comes_in_chunks_and_the_last_with_its_digest(string form)
    {
        string upload = await StartAsync();

        using HttpResponseMessage first = await PatchAsync(
            upload, content[..1_000_000], string.Format(form, 0, 999_999));
        using HttpResponseMessage status = await registry.Client.GetAsync(upload, Stop);
        using HttpResponseMessage second = await PatchAsync(
            upload, content[1_000_000..2_500_000], string.Format(form, 1_000_000, 2_499_999));
        using HttpResponseMessage last = await PutAsync(upload, ContentDigest, content[2_500_000..]);

        await ExpectAsync(HttpStatusCode.Accepted, first);
        await ExpectAsync(HttpStatusCode.NoContent, status);
        Assert.Equal("0-999999", status.Header("Range"));
        await ExpectAsync(HttpStatusCode.Accepted, second);
        await ExpectAsync(HttpStatusCode.Created, last);
        await ExpectStoredAsync();
    }

    [Fact]
    public async Task A_chunk_out_of_order_is_refused_and_the_upload_goes_on()
    {
        string upload = await StartAsync();
        using HttpResponseMessage first = await PatchAsync(upload, content[..1000], "0-999");

        using HttpResponseMessage wrong = await PatchAsync(upload, content[2000..3000], "2000-2999");
        using HttpResponseMessage repeated = await PatchAsync(upload, content[..1000], "0-999");
        using HttpResponseMessage right = await PatchAsync(upload, content[1000..], "1000-2999999");
        using HttpResponseMessage finished = await PutAsync(upload, ContentDigest, []);

        await ExpectErrorAsync(HttpStatusCode.RequestedRangeNotSatisfiable, "BLOB_UPLOAD_INVALID", wrong);
        Assert.Equal("0-999", wrong.Header("Range"));
        Assert.Equal(upload, wrong.Header("Location"));
        await ExpectAsync(HttpStatusCode.RequestedRangeNotSatisfiable, repeated);
        await ExpectAsync(HttpStatusCode.Accepted, right);
        await ExpectAsync(HttpStatusCode.Created, finished);
    }

    [Theory]
    [InlineData("0-10")]
    [InlineData("5-1")]
    [InlineData("nonsense")]
    public async Task A_chunk_whose_range_is_wrong_is_refused(string range)
    {
        string upload = await StartAsync();

        using HttpResponseMessage response = await PatchAsync(upload, content[..1000], range);

        await ExpectAsync(HttpStatusCode.BadRequest, response);
    }

    [Fact]
    public async Task An_upload_is_resumed_by_the_next_server()
    {
        string upload = await StartAsync();
        using HttpResponseMessage before = await PatchAsync(upload, content[..1_234_567], "0-1234566");
        await registry.RestartAsync();

        using HttpResponseMessage status = await registry.Client.GetAsync(upload, Stop);
        using HttpResponseMessage rest = await PatchAsync(upload, content[1_234_567..], "1234567-2999999");
        using HttpResponseMessage finished = await PutAsync(upload, ContentDigest, []);

        Assert.Equal("0-1234566", status.Header("Range"));
        await ExpectAsync(HttpStatusCode.Accepted, rest);
        await ExpectAsync(HttpStatusCode.Created, finished);
        await ExpectStoredAsync();
    }

    [Fact]
    public async Task What_arrived_before_the_connection_broke_counts()
    {
        string upload = await StartAsync();
        using (TcpClient socket = new())
        {
            string[] host = registry.Host.Split(':');
            await socket.ConnectAsync(host[0], int.Parse(host[1]), Stop);
            NetworkStream stream = socket.GetStream();
            await stream.WriteAsync(
                Encoding.ASCII.GetBytes(
                    $"PATCH {upload} HTTP/1.1\r\nHost: {registry.Host}\r\n"
                    + $"Authorization: Bearer {FakeAuthorizer.Admin}\r\n"
                    + $"Content-Type: application/octet-stream\r\nContent-Length: {content.Length}\r\n\r\n"), Stop);
            await stream.WriteAsync(content.AsMemory(0, 600_000), Stop);
            await WaitForAsync(() => registry.Server.Counters.BytesReceived == 600_000, "600,000 bytes received");
        }

        HttpResponseMessage status = await registry.Client.GetAsync(upload, Stop);
        while (status.StatusCode == HttpStatusCode.Conflict)
        {
            // The server has not noticed the broken connection yet.
            status = await registry.Client.GetAsync(upload, Stop);
        }

        Assert.Equal("0-599999", status.Header("Range"));
        using HttpResponseMessage finished = await PutAsync(upload, ContentDigest, content[600_000..]);
        await ExpectAsync(HttpStatusCode.Created, finished);
    }

    [Fact]
    public async Task Another_digest_than_claimed_is_refused_and_leaves_nothing()
    {
        string upload = await StartAsync();

        using HttpResponseMessage single = await registry.Client.PostAsync(
            $"/v2/demo/blobs/uploads/?digest={Digest.Sha256("other"u8)}", Bytes(content), Stop);
        using HttpResponseMessage finished = await PutAsync(upload, Digest.Sha256("other"u8), content);
        using HttpResponseMessage status = await registry.Client.GetAsync(upload, Stop);

        await ExpectErrorAsync(HttpStatusCode.BadRequest, "DIGEST_INVALID", single);
        await ExpectErrorAsync(HttpStatusCode.BadRequest, "DIGEST_INVALID", finished);
        await ExpectErrorAsync(HttpStatusCode.NotFound, "BLOB_UPLOAD_UNKNOWN", status);
        ExpectNothingLeft();
        Assert.Empty(registry.Content.Enumerate());
    }

    [Fact]
    public async Task A_blob_over_the_limit_is_refused_whether_announced_or_streamed()
    {
        byte[] large = new byte[4_000_001];
        string upload = await StartAsync();
        string streamed = await StartAsync();

        using HttpResponseMessage announced = await PatchAsync(upload, large, range: null);
        using HttpRequestMessage request = new(HttpMethod.Patch, streamed) { Content = Bytes(large) };
        request.Headers.TransferEncodingChunked = true;
        using HttpResponseMessage chunked = await registry.Client.SendAsync(request, Stop);

        await ExpectErrorAsync(HttpStatusCode.RequestEntityTooLarge, "SIZE_INVALID", announced);
        await ExpectErrorAsync(HttpStatusCode.RequestEntityTooLarge, "SIZE_INVALID", chunked);
        ExpectNothingLeft();
    }

    [Fact]
    public async Task A_cancelled_upload_is_gone()
    {
        string upload = await StartAsync();

        using HttpResponseMessage cancelled = await registry.Client.DeleteAsync(upload, Stop);
        using HttpResponseMessage patched = await PatchAsync(upload, content, range: null);

        await ExpectAsync(HttpStatusCode.NoContent, cancelled);
        await ExpectErrorAsync(HttpStatusCode.NotFound, "BLOB_UPLOAD_UNKNOWN", patched);
        ExpectNothingLeft();
    }

    [Fact]
    public async Task An_upload_belongs_to_its_repository()
    {
        string upload = await StartAsync();

        using HttpResponseMessage response = await registry.Client.GetAsync(
            upload.Replace("/demo/", "/other/", StringComparison.Ordinal), Stop);

        await ExpectErrorAsync(HttpStatusCode.NotFound, "BLOB_UPLOAD_UNKNOWN", response);
    }

    [Fact]
    public async Task An_upload_that_nobody_continues_for_a_day_is_removed()
    {
        string forgotten = await StartAsync();
        using HttpResponseMessage patched = await PatchAsync(forgotten, content, range: null);
        registry.Time.Advance(TimeSpan.FromHours(25));
        string current = await StartAsync();

        await ClosedAsync(forgotten);
        registry.Server.SweepUploads(Stop);

        using HttpResponseMessage gone = await registry.Client.GetAsync(forgotten, Stop);
        using HttpResponseMessage alive = await registry.Client.GetAsync(current, Stop);
        await ExpectErrorAsync(HttpStatusCode.NotFound, "BLOB_UPLOAD_UNKNOWN", gone);
        await ExpectAsync(HttpStatusCode.NoContent, alive);
        Assert.Equal(2, Directory.GetFiles(Path.Combine(registry.Folder, "uploads")).Length);
    }

    [Fact]
    public async Task An_idle_upload_is_closed_after_minutes_and_can_be_gone_on_with()
    {
        string upload = await StartAsync();
        using HttpResponseMessage first = await PatchAsync(upload, content[..1_000_000], range: null);
        Assert.Contains(upload.Split('/')[^1], OpenFiles());

        registry.Time.Advance(TimeSpan.FromMinutes(11));
        await ClosedAsync(upload);
        using HttpResponseMessage finished = await PutAsync(upload, ContentDigest, content[1_000_000..]);

        await ExpectAsync(HttpStatusCode.Created, finished);
        await ExpectStoredAsync();
    }

    [Fact]
    public async Task Begun_uploads_that_nobody_uses_give_way_to_new_ones()
    {
        string oldest = await StartAsync();
        registry.Time.Advance(TimeSpan.FromSeconds(1));
        for (int i = 1; i < 1000; i++)
        {
            await StartAsync();
        }

        using HttpResponseMessage refused = await registry.Client.PostAsync("/v2/demo/blobs/uploads/", null, Stop);
        registry.Time.Advance(TimeSpan.FromSeconds(29));
        await StartAsync();

        await ExpectErrorAsync(HttpStatusCode.TooManyRequests, "TOOMANYREQUESTS", refused);
        Assert.Equal("30", refused.Header("Retry-After"));
        Assert.DoesNotContain(oldest.Split('/')[^1], OpenFiles());
    }

    [Fact]
    public async Task A_blob_is_mounted_from_another_repository()
    {
        await registry.Client.PushBlobAsync("demo", content);

        using HttpResponseMessage mounted = await registry.Client.PostAsync(
            $"/v2/other/blobs/uploads/?mount={ContentDigest}&from=demo", null, Stop);
        using HttpResponseMessage absent = await registry.Client.PostAsync(
            $"/v2/other/blobs/uploads/?mount={Digest.Sha256("absent"u8)}&from=demo", null, Stop);

        await ExpectAsync(HttpStatusCode.Created, mounted);
        Assert.Equal(content, await registry.Client.GetByteArrayAsync($"/v2/other/blobs/{ContentDigest}", Stop));
        await ExpectAsync(HttpStatusCode.Accepted, absent);
        Assert.Contains("/blobs/uploads/", absent.Header("Location"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_a_killed_server_was_just_writing_is_gone_at_the_next_start()
    {
        await registry.Client.PushImageAsync("demo", "v1", "layer");
        string[] left =
        [
            Path.Combine(registry.Folder, "uploads", $"{Guid.Empty:n}.repository"),
            Path.Combine(registry.Folder, "repositories/demo/_tags/.half"),
            Path.Combine(registry.Folder, "repositories/demo/_manifests/.half"),
            Path.Combine(registry.Folder, "repositories/demo/_referrers/sha256-ab/.half"),
        ];
        foreach (string file in left)
        {
            Directory.CreateDirectory(Path.GetDirectoryName(file)!);
            await File.WriteAllTextAsync(file, "demo", Stop);
        }

        // As a power cut leaves it: bytes that belong to no repository.
        string unnamed = Path.Combine(registry.Folder, "uploads", new string('1', 32));
        await File.WriteAllTextAsync(unnamed, "bytes", Stop);
        await File.WriteAllTextAsync(unnamed + ".repository", "", Stop);
        left = [.. left, unnamed, unnamed + ".repository"];

        await registry.RestartAsync();
        using HttpResponseMessage manifest = await registry.Client.GetAsync("/v2/demo/manifests/v1", Stop);

        await ExpectAsync(HttpStatusCode.OK, manifest);
        Assert.All(left, file => Assert.False(File.Exists(file), file));
    }

    [Theory]
    [InlineData("../../../etc/passwd")]
    [InlineData("00000000000000000000000000000000")]
    [InlineData("x")]
    public async Task An_id_that_was_never_given_is_unknown(string id)
    {
        using HttpResponseMessage response = await registry.Client.GetAsync(
            $"/v2/demo/blobs/uploads/{Uri.EscapeDataString(id)}", Stop);

        Assert.Contains(response.StatusCode, (HttpStatusCode[])[HttpStatusCode.NotFound, HttpStatusCode.BadRequest]);
    }

    private async Task<string> StartAsync()
    {
        using HttpResponseMessage started = await registry.Client.PostAsync("/v2/demo/blobs/uploads/", null, Stop);
        await ExpectAsync(HttpStatusCode.Accepted, started);
        return started.Header("Location");
    }

    private Task<HttpResponseMessage> PatchAsync(string upload, byte[] bytes, string? range)
    {
        HttpRequestMessage request = new(HttpMethod.Patch, upload) { Content = Bytes(bytes) };
        if (range is not null)
        {
            request.Content.Headers.TryAddWithoutValidation("Content-Range", range);
        }

        return registry.Client.SendAsync(request, Stop);
    }

    private Task<HttpResponseMessage> PutAsync(string upload, Digest digest, byte[] bytes) =>
        registry.Client.PutAsync($"{upload}?digest={digest}", Bytes(bytes), Stop);

    private async Task ExpectStoredAsync() => Assert.Equal(
        content, await registry.Client.GetByteArrayAsync($"/v2/demo/blobs/{ContentDigest}", Stop));

    private void ExpectNothingLeft()
    {
        Assert.Empty(Directory.GetFiles(Path.Combine(registry.Folder, "uploads")));
        Assert.Empty(Directory.GetFiles(Path.Combine(registry.Folder, "blobs/temp")));
    }

    private static async Task WaitForAsync(Func<bool> condition, string what)
    {
        using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(Stop);
        limit.CancelAfter(TimeSpan.FromSeconds(30));
        while (!condition())
        {
            Assert.False(limit.IsCancellationRequested, $"waited for: {what}");
            await Task.Yield();
        }
    }

    /// <summary>Names of the uploads that this process has open.</summary>
    private IEnumerable<string?> OpenFiles()
    {
        string folder = Path.Combine(registry.Folder, "uploads");
        return new DirectoryInfo("/proc/self/fd").EnumerateFileSystemInfos()
            .Select(link => link.LinkTarget)
            .Where(target => target is not null && Path.GetDirectoryName(target) == folder)
            .Select(Path.GetFileName);
    }

    private async Task ClosedAsync(string upload)
    {
        using CancellationTokenSource limit = new(TimeSpan.FromSeconds(30));
        while (OpenFiles().Contains(upload.Split('/')[^1]))
        {
            Assert.False(limit.IsCancellationRequested, "The idle upload is still open.");
            await Task.Delay(1, Stop);
        }
    }
}
