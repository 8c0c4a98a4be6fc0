using System.Text;
using System.Text.Json;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Oci.Archives;
using Berth.Oci.Distribution;
using Berth.Oci.Images;
using Berth.Oci.Layers;
using Berth.Testing.Distribution;
using Berth.Testing.Layers;
using Xunit;

namespace Berth.Tests.Archives;

public sealed class ImageArchiveTests : IAsyncDisposable
{
    private readonly StoreRig rig = new();

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    public ValueTask DisposeAsync() => rig.DisposeAsync();

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task An_exported_image_is_imported_with_the_same_digest(bool compressed)
    {
        Digest digest = await rig.PackAsync("demo/app", "1", StoreRig.Options(rig.MakeFolder("app", ("f", "x"))), Stop);
        byte[] archive = await ExportAsync("demo/app", "1");
        await using var other = new StoreRig();
        string path = Path.Combine(other.Folder, "image.tar");
        await File.WriteAllBytesAsync(path, compressed ? LayerRig.Gzip(archive) : archive, Stop);

        using ImageArchive opened = await ImageArchive.OpenAsync(path, other.Folder, Stop);
        ArchivedImage found = Assert.Single(opened.Images);
        await new ImageCopier(opened, other.Repository("copy"), new CopyOptions()).CopyAsync(
            found.Digest.Text, "1", Stop);
        using ImageHandle image = await other.Images.OpenAsync(digest, Stop);

        Assert.Equal(new ArchivedImage("demo/app:1", digest), found);
        Assert.Equal(["f 0644 0:0 f = x"], TreeListing.Of(image.LayerPaths[0]));
        Assert.Equal(digest, other.Repositories.FindTag("copy", "1")!.Digest);
    }

    [Fact]
    public async Task An_archive_from_standard_input_leaves_no_temporary_file()
    {
        await rig.PackAsync("demo", "1", StoreRig.Options(rig.MakeFolder("app", ("f", "x"))), Stop);
        byte[] archive = await ExportAsync("demo", "1");
        string temporary = Directory.CreateDirectory(Path.Combine(rig.Folder, "temporary")).FullName;

        using (ImageArchive opened = await ImageArchive.OpenAsync(new MemoryStream(archive), temporary, Stop))
        {
            Assert.Single(opened.Images);
            ManifestContent manifest = await opened.GetManifestAsync("1", Stop);
            Assert.Equal(opened.Images[0].Digest, manifest.Digest);
        }

        Assert.Empty(Directory.EnumerateFileSystemEntries(temporary));
    }

    [Fact]
    public async Task A_layout_in_a_folder_is_read_too()
    {
        Digest digest = await rig.PackAsync("demo", "1", StoreRig.Options(rig.MakeFolder("app", ("f", "x"))), Stop);
        byte[] archive = await ExportAsync("demo", "1");
        string folder = Directory.CreateDirectory(Path.Combine(rig.Folder, "layout")).FullName;
        await System.Formats.Tar.TarFile.ExtractToDirectoryAsync(new MemoryStream(archive), folder, false, Stop);

        using ImageArchive opened = await ImageArchive.OpenAsync(folder, rig.Folder, Stop);

        Assert.Equal(digest, (await opened.GetManifestAsync("demo:1", Stop)).Digest);
    }

    [Fact]
    public async Task What_docker_save_wrote_is_imported_with_shared_layers_and_both_names()
    {
        byte[] layer = new TarBuilder().File("hello", "world").Build();
        byte[] config = ConfigOf(Digest.Sha256(layer), Digest.Sha256(layer));
        byte[] archive = new TarBuilder()
            .Folder("one").Entry('0', "one/layer.tar", layer, 0, 0, 0, 0).SymbolicLink(
                "two/layer.tar", "../one/layer.tar")
            .Entry('0', "config.json", config, 0, 0, 0, 0)
            .File("manifest.json", """
                [{"Config":"config.json","RepoTags":["a:1","b:2"],"Layers":["one/layer.tar","two/layer.tar"]}]
                """)
            .Build();

        using ImageArchive opened = await ImageArchive.OpenAsync(new MemoryStream(archive), rig.Folder, Stop);
        Digest digest = await new ImageCopier(opened, rig.Repository("a"), new CopyOptions()).CopyAsync(
            "a:1", "1", Stop);
        using ImageHandle image = await rig.Images.OpenAsync(digest, Stop);

        Assert.Equal(["a:1", "b:2"], opened.Images.Select(i => i.Name));
        Assert.Equal(2, image.LayerPaths.Count);
        Assert.Equal(["f 0644 0:0 hello = world"], TreeListing.Of(image.LayerPaths[1]));
    }

    public static TheoryData<string, byte[], string> Hostile { get; } = new()
    {
        { "not a tar", "hello"u8.ToArray(), "cut off" },
        { "a tar of something else", new TarBuilder().File("readme", "x").Build(), "neither the index.json" },
        { "an index that is JSON of another kind", new TarBuilder().File("index.json", "[1]").Build(),
            "index.json can't be used" },
        {
            "an index that is a manifest at once",
            new TarBuilder().File("index.json", """{"schemaVersion":2,"manifests":[],"layers":[]}""").Build(),
            "index.json can't be used"
        },
        {
            "an index with a digest that is a path",
            new TarBuilder().File("index.json", """
                {"schemaVersion":2,"manifests":[{"mediaType":"m","digest":"sha256:../../../etc/passwd","size":1}]}
                """).Build(),
            "no valid digest"
        },
        {
            "docker save that names a file outside",
            new TarBuilder().File("manifest.json", """[{"Config":"../../etc/passwd","Layers":[]}]""").Build(),
            "lacks '../../etc/passwd'"
        },
        {
            "docker save whose link leads outside",
            new TarBuilder().SymbolicLink("c", "/etc/passwd")
                .File("manifest.json", """[{"Config":"c","Layers":[]}]""").Build(),
            "lacks 'c'"
        },
        {
            "docker save whose links go round",
            new TarBuilder().SymbolicLink("c", "d").SymbolicLink("d", "c")
                .File("manifest.json", """[{"Config":"c","Layers":[]}]""").Build(),
            "links in a ring"
        },
        { "docker save of nothing", new TarBuilder().File("manifest.json", "[null]").Build(), "lacks a configuration" },
        { "docker save that is cut", new TarBuilder().File("manifest.json", "[{").Build(),
            "not what docker save writes" },
        { "a fifo as index", new TarBuilder().Entry('6', "index.json", [], 0, 0, 0, 0).Build(), "is a device or fifo" },
        { "a name that climbs", new TarBuilder().File("../index.json").Build(), "climbs out" },
    };

    [Theory]
    [MemberData(nameof(Hostile))]
    public async Task A_hostile_archive_is_refused_by_name(string what, byte[] archive, string says)
    {
        BerthException refusal = await Assert.ThrowsAsync<BerthException>(
            () => ImageArchive.OpenAsync(new MemoryStream(archive), rig.Folder, Stop));

        Assert.True(refusal.Code == ErrorCode.ArchiveRefused, $"{what}: {refusal.Code}");
        Assert.Contains(says, refusal.Message, StringComparison.Ordinal);
        Assert.Empty(Directory.EnumerateFiles(rig.Folder, ".archive-*"));
    }

    [Fact]
    public async Task A_blob_that_is_not_what_its_name_says_is_refused()
    {
        await rig.PackAsync("demo", "1", StoreRig.Options(rig.MakeFolder("app", ("f", "x"))), Stop);
        byte[] archive = await ExportAsync("demo", "1");
        int config = archive.AsSpan().IndexOf("\"architecture\""u8);
        archive[config + 1] ^= 1;

        using ImageArchive opened = await ImageArchive.OpenAsync(new MemoryStream(archive), rig.Folder, Stop);
        await using var other = new StoreRig();
        BerthException refusal = await Assert.ThrowsAsync<BerthException>(
            () => new ImageCopier(opened, other.Repository("r"), new CopyOptions()).CopyAsync("1", "1", Stop));

        Assert.Equal(ErrorCode.DigestMismatch, refusal.Code);
        Assert.Null(other.Repositories.FindTag("r", "1"));
    }

    private static byte[] ConfigOf(params Digest[] diffIds) => Encoding.UTF8.GetBytes(
        $$"""{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["""
        + string.Join(',', diffIds.Select(d => JsonSerializer.Serialize(d.Text))) + "]}}");

    private async Task<byte[]> ExportAsync(string repository, string tag)
    {
        var output = new MemoryStream();
        using var writer = new LayoutArchiveWriter(output, repository);
        await new ImageCopier(rig.Repository(repository), writer, new CopyOptions()).CopyAsync(tag, tag, Stop);
        await writer.CompleteAsync(Stop);
        return output.ToArray();
    }
}
