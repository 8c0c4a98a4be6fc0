using System.Text;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Oci.Images;
using Berth.Testing.Layers;
using Xunit;

namespace Berth.Tests.Layers;

/// <summary>A diff id is a claim of whoever made the image: a layer is had only by a blob that holds it.</summary>
public sealed class LayerProofTests : IAsyncDisposable
{
    private static readonly byte[] Tar = new TarBuilder().File("secret", new string('s', 5000)).Build();
    private static readonly Digest DiffId = Digest.Sha256(Tar);

    private readonly LayerRig rig = new();

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    public ValueTask DisposeAsync() => rig.DisposeAsync();

    [Theory]
    [InlineData("garbage, not a tar", "but the image's configuration says")]
    [InlineData("", "but the image's configuration says")]
    public async Task Another_blob_does_not_get_a_layer_by_its_diff_id(string content, string says)
    {
        await rig.UnpackAsync(Tar, Stop);
        byte[] plain = Encoding.UTF8.GetBytes(content);

        foreach (byte[] blob in (byte[][])[LayerRig.Gzip(plain), ZstdCompressor.Compress(plain), plain])
        {
            BerthException refusal = await RefusalOf(blob);

            Assert.Equal(ErrorCode.DigestMismatch, refusal.Code);
            Assert.Contains(says, refusal.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task A_layer_of_another_image_does_not_get_it_either()
    {
        byte[] other = new TarBuilder().File("mine").Build();
        await rig.UnpackAsync(Tar, Stop);
        await rig.UnpackAsync(other, Stop);

        BerthException refusal = await RefusalOf(other);

        Assert.Equal(ErrorCode.DigestMismatch, refusal.Code);
    }

    [Fact]
    public async Task All_blobs_that_hold_the_layer_get_it()
    {
        string path = await rig.UnpackAsync(Tar, Stop);

        foreach (byte[] blob in (byte[][])[LayerRig.Gzip(Tar), ZstdCompressor.Compress(Tar), Tar])
        {
            Assert.Equal(path, await rig.Store.EnsureUnpackedAsync(await rig.PutAsync(blob, Stop), DiffId, Stop));
        }

        Assert.Empty(rig.Leftovers);
    }

    [Fact]
    public async Task No_more_is_decompressed_than_the_layer_has()
    {
        await rig.UnpackAsync(Tar, Stop);

        BerthException refusal = await RefusalOf(LayerRig.Gzip([.. Tar, .. new byte[64 << 20]]));

        Assert.Equal(ErrorCode.DigestMismatch, refusal.Code);
        Assert.Contains($"longer than the {Tar.Length} bytes", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_was_found_out_is_kept_over_a_restart()
    {
        Descriptor plain = await rig.PutAsync(Tar, Stop);
        Descriptor gzip = await rig.PutAsync(LayerRig.Gzip(Tar), Stop);
        string path = await rig.Store.EnsureUnpackedAsync(plain, DiffId, Stop);
        await rig.ReopenAsync();
        await rig.Store.EnsureUnpackedAsync(gzip, DiffId, Stop);
        await rig.ReopenAsync();
        Remove(plain, gzip);

        Assert.Equal(path, await rig.Store.EnsureUnpackedAsync(plain, DiffId, Stop));
        Assert.Equal(path, await rig.Store.EnsureUnpackedAsync(gzip, DiffId, Stop));
    }

    [Theory]
    [InlineData("")]
    [InlineData("sha256:12")]
    [InlineData("\0\0\0\n\n")]
    public async Task A_layer_whose_mark_names_no_blob_has_them_read_once_more(string mark)
    {
        Descriptor gzip = await rig.PutAsync(LayerRig.Gzip(Tar), Stop);
        string path = await rig.Store.EnsureUnpackedAsync(gzip, DiffId, Stop);
        await rig.Store.DisposeAsync();
        await File.WriteAllTextAsync(Path.Combine(rig.LayersFolder, ".synced-" + DiffId.Hex), mark, Stop);
        await rig.ReopenAsync();

        Assert.Equal(path, rig.Store.PathOf(DiffId));
        Assert.Equal(ErrorCode.DigestMismatch, (await RefusalOf([.. Tar, 0])).Code);
        Assert.Equal(path, await rig.Store.EnsureUnpackedAsync(gzip, DiffId, Stop));
        await rig.ReopenAsync();
        Remove(gzip);
        Assert.Equal(path, await rig.Store.EnsureUnpackedAsync(gzip, DiffId, Stop));
    }

    [Fact]
    public async Task Without_the_blob_nothing_is_proved()
    {
        await rig.UnpackAsync(Tar, Stop);
        Descriptor gone = await rig.PutAsync(LayerRig.Gzip(Tar), Stop);
        Remove(gone);

        BerthException refusal = await Assert.ThrowsAsync<BerthException>(
            () => rig.Store.EnsureUnpackedAsync(gone, DiffId, Stop));

        Assert.Equal(ErrorCode.BlobUnknown, refusal.Code);
    }

    private async Task<BerthException> RefusalOf(byte[] blob)
    {
        Descriptor layer = await rig.PutAsync(blob, Stop);
        return await Assert.ThrowsAsync<BerthException>(() => rig.Store.EnsureUnpackedAsync(layer, DiffId, Stop));
    }

    private void Remove(params IEnumerable<Descriptor> blobs)
    {
        foreach (Descriptor blob in blobs)
        {
            File.Delete(rig.Content.PathOf(blob.Digest)!);
        }
    }
}
