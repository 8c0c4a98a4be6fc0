using System.Text;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Oci.Images;
using Berth.Oci.Layers;
using Berth.Testing.Layers;
using Xunit;

namespace Berth.Tests.Layers;

public sealed class LayerStoreTests : IAsyncDisposable
{
    private readonly LayerRig rig = new();

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    public ValueTask DisposeAsync() => rig.DisposeAsync();

    [Fact]
    public async Task Owners_modes_links_and_contents_come_out_as_packed()
    {
        string path = await rig.UnpackAsync(
            new TarBuilder()
                .Folder("./", 0b111_101_000, 7, 8)
                .Folder("usr/", 0b1_111_111_111)
                .File("usr/su", "program", 0b100_111_101_101)
                .File("usr/mail", "m", 0b010_111_101_101, 1000, 65_535)
                .HardLink("usr/su2", "./usr/su")
                .SymbolicLink("sh", "/usr/su", user: 33)
                .SymbolicLink("up", "../../outside")
                .File("/absolute/path//./name", "kept inside")
                .Build(),
            Stop);

        Assert.Equal(
            [
                "d 0755 0:0 absolute",
                "d 0755 0:0 absolute/path",
                "f 0644 0:0 absolute/path/name = kept inside",
                "l 33:33 sh -> /usr/su",
                "l 0:0 up -> ../../outside",
                "d 1777 0:0 usr",
                "f 2755 1000:65535 usr/mail = m",
                "f 4755 0:0 usr/su = program",
                "f 4755 0:0 usr/su2 = program",
            ],
            TreeListing.Of(path));
        Assert.Equal((UnixFileMode)0b111_101_000, File.GetUnixFileMode(path));
    }

    [Fact]
    public async Task Times_are_kept_also_of_folders_filled_later()
    {
        string path = await rig.UnpackAsync(
            new TarBuilder()
                .Folder("d", time: 1_000_000_000)
                .Pax("mtime", "1234567890.25").File("d/f", "x")
                .File("go", "zero time", time: 0).Build(),
            Stop);

        Assert.Equal(DateTimeOffset.FromUnixTimeSeconds(1_000_000_000), TimeOf(path + "/d"));
        Assert.Equal(DateTimeOffset.FromUnixTimeMilliseconds(1_234_567_890_250), TimeOf(path + "/d/f"));
        Assert.Equal(DateTimeOffset.UnixEpoch, TimeOf(path + "/go"));
    }

    [Fact]
    public async Task Removed_files_become_what_overlayfs_understands()
    {
        string path = await rig.UnpackAsync(
            new TarBuilder()
                .Folder("etc").File("etc/.wh.gone").File(".wh.whole")
                .Folder("var").File("var/.wh..wh..opq").File("var/new", "n")
                .File(".wh.again").Folder("again").File("again/x", "made after its whiteout")
                .Folder("before").File(".wh.before")
                .File("kept", "k").File(".wh.kept")
                .Build(),
            Stop);

        Assert.Equal(
            [
                "d 0755 0:0 again [trusted.overlay.opaque=y]",
                "f 0644 0:0 again/x = made after its whiteout",
                "d 0755 0:0 before [trusted.overlay.opaque=y]",
                "d 0755 0:0 etc",
                "whiteout etc/gone",
                "f 0644 0:0 kept = k",
                "d 0755 0:0 var [trusted.overlay.opaque=y]",
                "f 0644 0:0 var/new = n",
                "whiteout whole",
            ],
            TreeListing.Of(path));
    }

    [Fact]
    public async Task A_folder_made_anew_hides_the_one_below_in_whatever_order_and_without_an_entry()
    {
        string path = await rig.UnpackAsync(
            new TarBuilder()
                .File(".wh.a").File("a/f", "after")
                .File("b/f", "before").File(".wh.b")
                .File(".wh.c").File("c/d/f", "deeper")
                .File("e/.wh.x").SymbolicLink("e/x/l", "f").Folder("e/x", 0b111_000_000)
                .File(".wh.g").File("g/.wh.h")
                .File(".wh.k").File("k", "a file").File(".wh.l").HardLink("l", "k")
                .Build(),
            Stop);

        Assert.Equal(
            [
                "d 0755 0:0 a [trusted.overlay.opaque=y]",
                "f 0644 0:0 a/f = after",
                "d 0755 0:0 b [trusted.overlay.opaque=y]",
                "f 0644 0:0 b/f = before",
                "d 0755 0:0 c [trusted.overlay.opaque=y]",
                "d 0755 0:0 c/d",
                "f 0644 0:0 c/d/f = deeper",
                "d 0755 0:0 e",
                "d 0700 0:0 e/x [trusted.overlay.opaque=y]",
                "l 0:0 e/x/l -> f",
                "d 0755 0:0 g [trusted.overlay.opaque=y]",
                "whiteout g/h",
                "f 0644 0:0 k = a file",
                "f 0644 0:0 l = a file",
            ],
            TreeListing.Of(path));
    }

    [Fact]
    public async Task Only_user_attributes_are_kept()
    {
        string path = await rig.UnpackAsync(
            new TarBuilder()
                .Pax(
                    ("SCHILY.xattr.user.note", "kept"u8.ToArray()),
                    ("SCHILY.xattr.security.capability", [1, 0, 0, 2, 0, 4, 0, 0]),
                    ("SCHILY.xattr.trusted.overlay.redirect", "/etc"u8.ToArray()),
                    ("SCHILY.xattr.trusted.overlay.opaque", "y"u8.ToArray()),
                    ("SCHILY.xattr.user.overlay.opaque", "y"u8.ToArray()),
                    ("SCHILY.xattr.system.posix_acl_access", [2, 0, 0, 0]))
                .Folder("d").Build(),
            Stop);

        Assert.Equal(["d 0755 0:0 d [user.note=kept]"], TreeListing.Of(path));
    }

    [Fact]
    public async Task Names_of_every_form_are_read()
    {
        string component = new('n', 120);
        string path = await rig.UnpackAsync(
            new TarBuilder()
                .GnuLongName($"a/{component}").GnuLongLink(new string('t', 300)).SymbolicLink("x", "y")
                .Pax("path", $"b/{component}").File("x", "pax")
                .Lying("prefixed", h => TarBuilder.Put(h, 345, "p/q"))
                .Lying("v7/", h => h.AsSpan(257, 8).Clear())
                .Pax("path", "grüße").File("x")
                .Lying("latin\u00e4", _ => { })
                .GlobalPax("comment", "as git writes it").File("last")
                .Build(),
            Stop);

        Assert.Equal(
            [
                $"l 0:0 a/{component} -> {new string('t', 300)}",
                $"f 0644 0:0 b/{component} = pax",
                "f 0644 0:0 " + Encoding.Latin1.GetString("grüße"u8) + " = ",
                "f 0644 0:0 last = ",
                "f 0644 0:0 latin\u00e4 = ",
                "f 0644 0:0 p/q/prefixed = ",
                "d 0644 0:0 v7",
            ],
            TreeListing.Of(path).Where(l => !l.StartsWith("d 0755", StringComparison.Ordinal)));
    }

    [Theory]
    [InlineData(1024, "with its padding")]
    [InlineData(513, "without")]
    public async Task An_archive_may_end_without_its_marker(int length, string padding)
    {
        string path = await rig.UnpackAsync(new TarBuilder().File("a", "x").BuildOpen()[..length], Stop);

        Assert.True(TreeListing.Of(path) is ["f 0644 0:0 a = x"], padding);
    }

    [Fact]
    public async Task Device_nodes_in_dev_are_left_out()
    {
        string path = await rig.UnpackAsync(
            new TarBuilder()
                .Folder("dev").Device("dev/null", '3', 1, 3).Device("./dev/sda", '4', 8, 0)
                .Entry('6', "dev/initctl", [], 0, 0, 0, 0).SymbolicLink("dev/fd", "/proc/self/fd").Build(),
            Stop);

        Assert.Equal(["d 0755 0:0 dev", "l 0:0 dev/fd -> /proc/self/fd"], TreeListing.Of(path));
    }

    [Fact]
    public async Task Special_files_elsewhere_are_left_out_when_so_configured()
    {
        await using var lenient = new LayerRig(LayerLimits.Default with { SpecialFiles = SpecialFiles.Skip });

        string path = await lenient.UnpackAsync(
            new TarBuilder().Entry('6', "var/spool/pickup", [], 0, 0, 0, 0).Device("x", '4', 8, 0).Build(), Stop);

        Assert.Equal(["d 0755 0:0 var", "d 0755 0:0 var/spool"], TreeListing.Of(path));
    }

    [Fact]
    public async Task The_last_entry_of_a_name_wins_and_a_link_is_replaced_not_followed()
    {
        await File.WriteAllTextAsync(Path.Combine(rig.Folder, "victim"), "untouched", Stop);
        string path = await rig.UnpackAsync(
            new TarBuilder()
                .File("a", "old").File("a", "new")
                .SymbolicLink("b", "../../victim").File("b", "in place of a link")
                .SymbolicLink("c", "/tmp").Folder("c").File("c/f", "in a folder in place of a link")
                .Folder("d").File("d", "in place of a folder")
                .File("e", "file").Folder("e", 0b111_000_000).Folder("e", 0b111_101_101)
                .Build(),
            Stop);

        Assert.Equal(
            [
                "f 0644 0:0 a = new",
                "f 0644 0:0 b = in place of a link",
                "d 0755 0:0 c",
                "f 0644 0:0 c/f = in a folder in place of a link",
                "f 0644 0:0 d = in place of a folder",
                "d 0755 0:0 e",
            ],
            TreeListing.Of(path));
        Assert.Equal("untouched", await File.ReadAllTextAsync(Path.Combine(rig.Folder, "victim"), Stop));
    }

    [Fact]
    public async Task Files_in_a_folder_with_the_group_bit_keep_their_own_group()
    {
        string path = await rig.UnpackAsync(
            new TarBuilder().Folder("g", 0b010_111_101_101, 0, 50).File("g/f").Folder("g/d").SymbolicLink(
                "g/l", "f").Build(),
            Stop);

        Assert.Equal(
            ["d 2755 0:50 g", "d 0755 0:0 g/d", "f 0644 0:0 g/f = ", "l 0:0 g/l -> f"], TreeListing.Of(path));
    }

    [Fact]
    public async Task Plain_gzip_and_several_gzip_members_give_the_same_layer()
    {
        byte[] tar = new TarBuilder().File("a", new string('x', 5000)).Build();
        Digest diffId = Digest.Sha256(tar);
        byte[][] forms = [tar, LayerRig.Gzip(tar), [.. LayerRig.Gzip(tar[..700]), .. LayerRig.Gzip(tar[700..])]];

        foreach (byte[] form in forms)
        {
            await using var fresh = new LayerRig();
            string path = await fresh.Store.EnsureUnpackedAsync(await fresh.PutAsync(form, Stop), diffId, Stop);
            Assert.Equal(["f 0644 0:0 a = " + new string('x', 100)], TreeListing.Of(path));
        }
    }

    [Fact]
    public async Task A_layer_of_many_entries_is_counted_beside_the_unpacking()
    {
        await using var counting = new LayerRig(LayerLimits.Default with { CountAfter = 1 });
        var tar = new TarBuilder();
        for (int i = 0; i < 2_000; i++)
        {
            tar.File($"f{i:d4}", "x");
        }

        string path = await counting.UnpackAsync(tar.Build(), Stop);

        Assert.Equal(2_000, TreeListing.Of(path).Count);
        Assert.Empty(counting.Leftovers);
    }

    [Fact]
    public async Task Callers_share_one_unpacking()
    {
        byte[] tar = new TarBuilder().File("a", new string('x', 500_000)).Build();
        Descriptor layer = await rig.PutAsync(tar, Stop);

        string[] paths = await Task.WhenAll(
            Enumerable.Range(0, 8).Select(_ => rig.Store.EnsureUnpackedAsync(layer, Digest.Sha256(tar), Stop)));

        Assert.Single(paths.Distinct());
        Assert.Empty(rig.Leftovers);
    }

    [Fact]
    public async Task A_caller_that_gives_up_does_not_stop_the_others()
    {
        byte[] tar = new TarBuilder().File("a", new string('x', 500_000)).Build();
        Descriptor layer = await rig.PutAsync(tar, Stop);
        using var impatient = new CancellationTokenSource();
        await impatient.CancelAsync();

        Task<string> first = rig.Store.EnsureUnpackedAsync(layer, Digest.Sha256(tar), impatient.Token);
        string path = await rig.Store.EnsureUnpackedAsync(layer, Digest.Sha256(tar), Stop);

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => first);
        Assert.True(Directory.Exists(path));
    }

    [Fact]
    public async Task A_layer_on_disk_is_found_again_and_a_half_one_is_removed()
    {
        byte[] tar = new TarBuilder().File("a", "x").Build();
        string path = await rig.UnpackAsync(tar, Stop);
        await rig.ReopenAsync();
        Assert.Equal(path, rig.Store.PathOf(Digest.Sha256(tar)));
        File.Delete(Path.Combine(rig.LayersFolder, ".synced-" + Digest.Sha256(tar).Hex));
        Directory.CreateDirectory(Path.Combine(rig.LayersFolder, ".tmp-7"));

        await rig.ReopenAsync();

        Assert.Null(rig.Store.PathOf(Digest.Sha256(tar)));
        await rig.Store.DisposeAsync();
        Assert.Empty(Directory.EnumerateFileSystemEntries(rig.LayersFolder));
    }

    [Fact]
    public async Task A_held_layer_is_not_collected_and_a_free_one_is()
    {
        byte[] tar = new TarBuilder().Folder("d").Lying("d/latin\u00e4", _ => { }).Build();
        Digest diffId = Digest.Sha256(tar);
        string path = await rig.UnpackAsync(tar, Stop);
        DateTimeOffset later = TimeProvider.System.GetUtcNow() + TimeSpan.FromHours(1);

        using (rig.Store.Hold(diffId))
        {
            Assert.False(rig.Store.TryCollect(diffId, later));
            Assert.Contains(diffId, rig.Store.Held());
        }

        Assert.False(rig.Store.TryCollect(diffId, TimeProvider.System.GetUtcNow() - TimeSpan.FromHours(1)));
        Assert.True(rig.Store.TryCollect(diffId, later));
        Assert.False(Directory.Exists(path));
        Assert.Empty(rig.Store.Enumerate());
    }

    [Fact]
    public async Task A_blob_that_is_missing_is_named()
    {
        var layer = new Descriptor(MediaTypes.OciLayer, Digest.Sha256("gone"u8).Text, 4);

        BerthException refusal = await Assert.ThrowsAsync<BerthException>(
            () => rig.Store.EnsureUnpackedAsync(layer, Digest.Sha256("x"u8), Stop));

        Assert.Equal(ErrorCode.BlobUnknown, refusal.Code);
        Assert.Contains(layer.DigestText, refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Zstd_layers_are_read_and_bombs_windows_and_cuts_refused()
    {
        byte[] tar = new TarBuilder().File("a", new string('x', 100_000)).Build();
        Digest diffId = Digest.Sha256(tar);
        byte[] zstd = ZstdCompressor.Compress(tar);
        byte[] skippable = [0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];

        string path = await rig.Store.EnsureUnpackedAsync(
            await rig.PutAsync([.. skippable, .. zstd, .. skippable], Stop), diffId, Stop);
        Assert.Single(TreeListing.Of(path));

        await using var fresh = new LayerRig(HostileLayers.Limits);
        BerthException cut = await RefusalOf(fresh, zstd[..^9], diffId);
        Assert.Contains("cut off", cut.Message, StringComparison.Ordinal);
        byte[] bomb = ZstdCompressor.Compress(new TarBuilder().Entry('0', "z", new byte[8 << 20], 0, 0, 0, 0).Build());
        BerthException ratio = await RefusalOf(fresh, bomb, diffId);
        Assert.Contains("times as many", ratio.Message, StringComparison.Ordinal);
        byte[] wide = ZstdCompressor.Compress([.. tar, .. new byte[12 << 20]], windowLog: 27);
        BerthException window = await RefusalOf(fresh, wide, diffId);
        Assert.Contains("a window of at most 8 MiB", window.Message, StringComparison.Ordinal);
    }

    private static async Task<BerthException> RefusalOf(LayerRig rig, byte[] blob, Digest diffId)
    {
        Descriptor layer = await rig.PutAsync(blob, Stop);
        return await Assert.ThrowsAsync<BerthException>(() => rig.Store.EnsureUnpackedAsync(layer, diffId, Stop));
    }

    private static DateTimeOffset TimeOf(string path) => new(File.GetLastWriteTimeUtc(path), TimeSpan.Zero);
}
