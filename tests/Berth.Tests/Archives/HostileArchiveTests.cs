using Berth.Core.Errors;
using Berth.Oci.Archives;
using Berth.Oci.Distribution;
using Berth.Oci.Images;
using Berth.Oci.Layers;
using Berth.Testing.Distribution;
using Berth.Testing.Layers;
using Xunit;

namespace Berth.Tests.Archives;

/// <summary>
/// No hostile archive of an image becomes one: each is refused by a rule, soon, with little memory, and leaves nothing.
/// The limits are generous: they find what hangs or grows, not what is slow.
/// </summary>
[Collection("memory")]
public sealed class HostileArchiveTests
{
    private const long MostMemory = 64L * 1024 * 1024;

    /// <summary>What is measured by hand is 5 s; a busy machine takes several times that.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private static readonly ErrorCode[] Rules =
    [
        ErrorCode.ArchiveRefused, ErrorCode.DigestMismatch, ErrorCode.SizeInvalid, ErrorCode.ManifestInvalid,
        ErrorCode.ManifestUnknown, ErrorCode.BlobUnknown, ErrorCode.ImageNotFound, ErrorCode.InvalidDigest,
    ];

    public static TheoryData<string> Names { get; } = [.. HostileArchives.All.Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public async Task A_hostile_archive_becomes_no_image(string name)
    {
        await using StoreRig rig = new();
        byte[] archive = HostileArchives.All[name]();
        using CancellationTokenSource limit = new(Patience);
        long before = GC.GetTotalMemory(forceFullCollection: true);
        using Peak peak = new();

        BerthException refusal = await Assert.ThrowsAsync<BerthException>(() => ImportAsync(rig, archive, limit.Token));

        Assert.True(Rules.Contains(refusal.Code), $"{refusal.Code}: {refusal.Message}");
        Assert.DoesNotContain(refusal.Message, char.IsControl);
        Assert.InRange(peak.Bytes - before, long.MinValue, MostMemory);
        Assert.Empty(Directory.EnumerateFiles(rig.Folder, ".archive-*"));
    }

    [Fact]
    public void There_are_enough_of_them() => Assert.InRange(HostileArchives.All.Count, 48, int.MaxValue);

    /// <summary>Everything that is done with an image until it could run.</summary>
    private static async Task ImportAsync(StoreRig rig, byte[] archive, CancellationToken cancellationToken)
    {
        using ImageArchive opened = await ImageArchive.OpenAsync(
            new MemoryStream(archive), rig.Folder, cancellationToken);
        foreach (ArchivedImage image in opened.Images)
        {
            await new ImageCopier(opened, rig.Repository("hostile"), new CopyOptions()).CopyAsync(
                image.Digest.Text, "1", cancellationToken);
            using ImageHandle ready = await rig.Images.OpenAsync(image.Digest, cancellationToken);
        }
    }

    /// <summary>The most that was alive while it was there, looked at every few milliseconds.</summary>
    private sealed class Peak : IDisposable
    {
        private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(20);

        private readonly Timer timer;
        private long bytes;

        public Peak() => timer = new Timer(_ => Look(), null, Pause, Pause);

        public long Bytes => Interlocked.Read(ref bytes);

        public void Dispose() => timer.Dispose();

        private void Look() => Interlocked.Exchange(
            ref bytes, Math.Max(Interlocked.Read(ref bytes), GC.GetTotalMemory(forceFullCollection: true)));
    }
}

/// <summary>Tests that look at the memory of the whole process: alone.</summary>
[CollectionDefinition("memory", DisableParallelization = true)]
public sealed class MemoryCollection;
