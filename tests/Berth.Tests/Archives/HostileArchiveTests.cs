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
/// No hostile archive of an image becomes one: each is refused by a rule, and leaves nothing.
/// </summary>
public sealed class HostileArchiveTests
{
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

        BerthException refusal = await HostileBounds.RefusalAsync(stop => ImportAsync(rig, archive, stop));

        Assert.True(Rules.Contains(refusal.Code), $"{refusal.Code}: {refusal.Message}");
        Assert.DoesNotContain(refusal.Message, char.IsControl);
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
}
