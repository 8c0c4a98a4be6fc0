using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Oci.Images;
using Berth.Testing.Layers;
using Berth.Tests.Archives;
using Xunit;

namespace Berth.Tests.Layers;

public sealed class HostileLayerTests : IAsyncDisposable
{
    private readonly LayerRig rig = new(HostileLayers.Limits);

    public static TheoryData<string> Names { get; } = [.. HostileLayers.All.Keys];

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    public ValueTask DisposeAsync() => rig.DisposeAsync();

    [Theory]
    [MemberData(nameof(Names))]
    public async Task A_hostile_layer_is_refused_by_name_and_leaves_nothing(string name)
    {
        string outside = Directory.CreateDirectory(Path.Combine(rig.Folder, "outside")).FullName;
        await File.WriteAllTextAsync(Path.Combine(outside, "victim"), "untouched", Stop);
        List<string> before = TreeListing.Of(outside);
        HostileLayer hostile = HostileLayers.All[name];

        BerthException refusal = await HostileBounds.RefusalAsync(stop => rig.UnpackAsync(hostile.Tar, stop));

        Assert.Equal(ErrorCode.ArchiveRefused, refusal.Code);
        Assert.Contains(hostile.Says, refusal.Message, StringComparison.Ordinal);
        Assert.DoesNotContain(refusal.Message, char.IsControl);
        Assert.Empty(Directory.EnumerateFileSystemEntries(rig.LayersFolder));
        Assert.Equal(before, TreeListing.Of(outside));
    }

    [Fact]
    public async Task An_archive_cut_anywhere_is_refused()
    {
        byte[] whole = new TarBuilder().Folder("d").Pax("mtime", "1.5").File("d/a", new string('x', 1500))
            .GnuLongName("d/long").File("short", "y").SymbolicLink("l", "a").HardLink("h", "d/a").File(".wh.z").Build();
        Digest diffId = Digest.Sha256(whole);

        for (int length = 0; length < whole.Length; length += length % 512 == 511 ? 1 : 511)
        {
            Descriptor cut = await rig.PutAsync(whole[..length], Stop);
            BerthException refusal = await Assert.ThrowsAsync<BerthException>(
                () => rig.Store.EnsureUnpackedAsync(cut, diffId, Stop));
            Assert.True(
                refusal.Code is ErrorCode.ArchiveRefused or ErrorCode.DigestMismatch, $"{length}: {refusal.Code}");
        }

        Assert.Empty(Directory.EnumerateFileSystemEntries(rig.LayersFolder));
    }

    [Fact]
    public async Task Compressed_data_cut_anywhere_is_refused()
    {
        byte[] plain = new TarBuilder().File("a", string.Concat(Enumerable.Range(0, 500))).Build();
        byte[] gzip = LayerRig.Gzip(plain);

        // One by one at the end: without the last eight all content is there, and the diff id is right.
        for (int length = 2; length < gzip.Length; length += length < gzip.Length - 24 ? 7 : 1)
        {
            Descriptor cut = await rig.PutAsync(gzip[..length], Stop);
            BerthException refusal = await Assert.ThrowsAsync<BerthException>(
                () => rig.Store.EnsureUnpackedAsync(cut, Digest.Sha256(plain), Stop));
            Assert.True(
                refusal.Code is ErrorCode.ArchiveRefused or ErrorCode.DigestMismatch, $"{length}: {refusal.Code}");
        }
    }

    [Theory]
    [InlineData("00", 1)]
    [InlineData("1f", 1)]
    [InlineData("1f8b", 1)]
    [InlineData("1f8b0800000000000003", 1)]
    [InlineData("28b52ffd", 1)]
    [InlineData("00", 600)]
    [InlineData("00", 20_000)]
    public async Task What_follows_compressed_data_is_refused(string hex, int times)
    {
        byte[] rest = [.. Enumerable.Repeat(Convert.FromHexString(hex), times).SelectMany(b => b)];
        byte[] plain = new TarBuilder().File("a", string.Concat(Enumerable.Range(0, 500))).Build();
        byte[] gzip = LayerRig.Gzip(plain);

        foreach (byte[] followed in (byte[][])[[.. gzip, .. rest], [.. ZstdCompressor.Compress(plain), .. rest]])
        {
            Descriptor layer = await rig.PutAsync(followed, Stop);
            BerthException refusal = await Assert.ThrowsAsync<BerthException>(
                () => rig.Store.EnsureUnpackedAsync(layer, Digest.Sha256(plain), Stop));
            Assert.Equal(ErrorCode.ArchiveRefused, refusal.Code);
            Assert.Contains("damaged or cut off", refusal.Message, StringComparison.Ordinal);
        }

        await rig.Store.EnsureUnpackedAsync(await rig.PutAsync(gzip, Stop), Digest.Sha256(plain), Stop);
    }

    [Fact]
    public async Task A_footer_that_is_repeated_is_refused_too()
    {
        byte[] plain = new TarBuilder().File("a").Build();
        byte[] gzip = LayerRig.Gzip(plain);
        Descriptor layer = await rig.PutAsync([.. gzip, .. gzip[^8..]], Stop);

        BerthException refusal = await Assert.ThrowsAsync<BerthException>(
            () => rig.Store.EnsureUnpackedAsync(layer, Digest.Sha256(plain), Stop));

        Assert.Equal(ErrorCode.ArchiveRefused, refusal.Code);
    }

    [Fact]
    public async Task A_flipped_bit_in_compressed_data_is_refused()
    {
        byte[] plain = new TarBuilder().File("a", string.Concat(Enumerable.Range(0, 500))).Build();
        byte[] gzip = LayerRig.Gzip(plain);

        // The last byte of the data may end in bits that no reader looks at; the eight after it are sum and length.
        IEnumerable<int> places = Enumerable.Range(10, gzip.Length - 10)
            .Where(i => i > gzip.Length - 9 || (i < gzip.Length - 9 && i % 13 == 0));
        foreach (int at in places)
        {
            byte[] damaged = [.. gzip];
            damaged[at] ^= 0x10;
            Descriptor layer = await rig.PutAsync(damaged, Stop);
            await Assert.ThrowsAsync<BerthException>(
                () => rig.Store.EnsureUnpackedAsync(layer, Digest.Sha256(plain), Stop));
        }

        Assert.Empty(Directory.EnumerateFileSystemEntries(rig.LayersFolder));
    }

    [Fact]
    public async Task A_gzip_bomb_is_refused_by_its_ratio()
    {
        byte[] bomb = LayerRig.Gzip(new TarBuilder().Entry('0', "zeros", new byte[8 << 20], 0, 0, 0, 0).Build());
        Descriptor layer = await rig.PutAsync(bomb, Stop);

        BerthException refusal = await Assert.ThrowsAsync<BerthException>(
            () => rig.Store.EnsureUnpackedAsync(layer, Digest.Sha256("x"u8), Stop));

        Assert.Equal(ErrorCode.ArchiveRefused, refusal.Code);
        Assert.Contains("more than 100 times as many", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Zeros_after_the_end_count_against_the_limit_too()
    {
        byte[] padded = [.. new TarBuilder().File("a").Build(), .. new byte[17 << 20]];

        BerthException refusal = await Assert.ThrowsAsync<BerthException>(() => rig.UnpackAsync(padded, Stop));

        Assert.Contains("holds more than 16777216 bytes", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Content_other_than_the_diff_id_says_is_refused()
    {
        byte[] tar = new TarBuilder().File("a", "x").Build();
        Descriptor layer = await rig.PutAsync(tar, Stop);

        BerthException refusal = await Assert.ThrowsAsync<BerthException>(
            () => rig.Store.EnsureUnpackedAsync(layer, Digest.Sha256("other"u8), Stop));

        Assert.Equal(ErrorCode.DigestMismatch, refusal.Code);
        Assert.Empty(Directory.EnumerateFileSystemEntries(rig.LayersFolder));
    }

    [Fact]
    public async Task A_size_other_than_the_manifest_says_is_refused()
    {
        byte[] tar = new TarBuilder().File("a", "x").Build();
        Descriptor layer = (await rig.PutAsync(tar, Stop)) with { Size = 5 };

        BerthException refusal = await Assert.ThrowsAsync<BerthException>(
            () => rig.Store.EnsureUnpackedAsync(layer, Digest.Sha256(tar), Stop));

        Assert.Equal(ErrorCode.SizeInvalid, refusal.Code);
    }
}
