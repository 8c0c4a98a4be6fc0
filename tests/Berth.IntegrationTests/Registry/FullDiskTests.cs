using System.Net;
using System.Security.Cryptography;
using Berth.Core.Images;
using Berth.Testing.Content;
using Berth.Testing.Registry;
using Xunit;
using static Berth.Testing.Registry.RegistryMessages;

namespace Berth.IntegrationTests.Registry;

/// <summary>A registry whose disk is full says so, keeps what it has, and goes on when there is space again.</summary>
public sealed class FullDiskTests : IAsyncLifetime
{
    private const int DiskBytes = 8 * 1024 * 1024;

    private TemporaryFolder folder = null!;
    private TestRegistry registry = null!;

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        folder = new TemporaryFolder();
        Directory.CreateDirectory(folder["disk"]);
        await Tool.RunAsync("mount", "-t", "tmpfs", "-o", $"size={DiskBytes}", "berth-test", folder["disk"]);
        registry = await TestRegistry.StartAsync(folder: new TemporaryFolder(folder["disk/data"]));
    }

    public async ValueTask DisposeAsync()
    {
        await registry.DisposeAsync();
        await Tool.RunAsync("umount", folder["disk"]);
        folder.Dispose();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_blob_that_does_not_fit_is_refused_and_leaves_nothing(bool inOneRequest)
    {
        Digest kept = await registry.Client.PushBlobAsync("demo", RandomNumberGenerator.GetBytes(2_000_000));
        byte[] large = RandomNumberGenerator.GetBytes(DiskBytes);

        using HttpResponseMessage refused = inOneRequest
            ? await registry.Client.PostAsync(
                $"/v2/demo/blobs/uploads/?digest={Digest.Sha256(large)}", Bytes(large), Stop)
            : await registry.Client.PatchAsync(await StartAsync(), Bytes(large), Stop);

        await ExpectErrorAsync(HttpStatusCode.InsufficientStorage, "UNKNOWN", refused);
        Assert.NotEmpty(refused.Header("Retry-After"));
        Assert.Empty(Directory.GetFiles(folder["disk/data/uploads"]));
        Assert.Empty(Directory.GetFiles(folder["disk/data/blobs/temp"]));
        Assert.Equal([kept], registry.Content.Enumerate().Select(b => b.Digest));
        Digest next = await registry.Client.PushBlobAsync("demo", RandomNumberGenerator.GetBytes(3_000_000));
        Assert.Equal(3_000_000, registry.Content.SizeOf(next));
    }

    private async Task<string> StartAsync()
    {
        using HttpResponseMessage started = await registry.Client.PostAsync("/v2/demo/blobs/uploads/", null, Stop);
        return started.Header("Location");
    }
}
