using System.IO.Compression;
using System.Text;
using Berth.Core.Images;
using Berth.Oci.Images;

namespace Berth.Testing.Layers;

/// <summary>
/// Archives of images (docker save, OCI layout, compressed or not) that lie, lead outside, repeat, lack or exceed
/// something. None may become an image.
/// </summary>
public static class HostileArchives
{
    private const int MiB = 1024 * 1024;

    private static readonly byte[] Layer = new TarBuilder().File("hello", "world").Build();

    public static IReadOnlyDictionary<string, Func<byte[]>> All { get; } =
        new Dictionary<string, Func<byte[]>>([.. Tars(), .. Saves(), .. Layouts(), .. Packed()]);

    /// <summary>Entries beside those of an honest docker save.</summary>
    private static IEnumerable<KeyValuePair<string, Func<byte[]>>> Tars()
    {
        yield return Tar("name climbs", t => t.File("../evil"));
        yield return Tar("name climbs from a folder", t => t.File("a/../../evil"));
        yield return Tar("name climbs and comes back", t => t.File("a/../manifest.json"));
        yield return Tar("name with a line break", t => t.File("a\nb"));
        yield return Tar("name with an escape", t => t.File("a\u001b[2Jb"));
        yield return Tar("name without letters", t => t.File(""));
        yield return Tar("component of 256 bytes", t => t.Pax("path", new string('a', 256)).File("x"));
        yield return Tar("path of 1,100 bytes", t => t.Pax("path", Deep(550)).File("x"));
        yield return Tar("40 folders deep", t => t.Pax("path", Deep(40)).File("x"));
        yield return Tar("fifo", t => t.Entry('6', "f", [], 0, 0, 0, 0));
        yield return Tar("character device", t => t.Device("c", '3', 1, 3));
        yield return Tar("block device", t => t.Device("b", '4', 8, 0));
        yield return Tar("hard link that climbs", t => t.HardLink("h", "../../etc/passwd"));
        yield return Tar("GNU name that climbs", t => t.GnuLongName("../evil").File("x"));
        yield return Tar("GNU link that climbs", t => t.GnuLongLink("../../evil").HardLink("x", "y"));
        yield return Tar("pax name that climbs", t => t.Pax("path", "../evil").File("x"));
        yield return Tar("global pax name that climbs", t => t.GlobalPax("path", "../evil").File("x"));
        yield return Tar("pax size beyond the end", t => t.Pax("size", "99999999999").File("x"));
        yield return Tar("pax size below zero", t => t.Pax("size", "-5").File("x"));
        yield return Tar("size that is no number", t => t.Lying("x", h => TarBuilder.Put(h, 124, "8888888888 ")));
        yield return Tar("pax header of 2 MiB", t => t.Pax("comment", new string('c', 2 * MiB)).File("x"));
        yield return Tar("40 headers for one entry", t => Repeat(t, 40, b => b.GnuLongName("x")).File("x"));
        yield return Tar("100,001 entries", t => Repeat(t, 100_001, b => b.File("x")));
        yield return Tar("wrong checksum", t => t.Raw(new byte[511]).Raw([1]));
        yield return new("cut within a header", () => Save(Manifest()).BuildOpen()[..^700]);
        yield return new("cut within data", () => Save(Manifest()).BuildOpen()[..700]);
        yield return new("twice the manifest, the later one bad", () => Save(Manifest()).File(
            "manifest.json", """[{"Config":"none","Layers":[]}]""").Build());
    }

    private static IEnumerable<KeyValuePair<string, Func<byte[]>>> Saves()
    {
        yield return new("no manifest", () => new TarBuilder().File("config.json", "{}").Build());
        yield return Json("{}");
        yield return Json("[{");
        yield return Json("[null]");
        yield return Json("[" + new string('[', 5000) + new string(']', 5000) + "]");
        yield return new("manifest of 5 MiB", () => Save("[" + new string(' ', 5 * MiB) + "]").Build());
        yield return new("configuration outside", () => Save(Manifest(config: "../../etc/passwd")).Build());
        yield return new("configuration by its whole path", () => Save(Manifest(config: "/etc/passwd")).Build());
        yield return new("configuration is a link outside", () =>
            Save(Manifest(config: "c")).SymbolicLink("c", "/etc/passwd").Build());
        yield return new("links in a ring", () =>
            Save(Manifest(config: "c")).SymbolicLink("c", "d").SymbolicLink("d", "c").Build());
        yield return new("configuration is a folder", () => Save(Manifest(config: "c")).Folder("c").Build());
        yield return new("layer missing", () => Save(Manifest(layer: "none")).Build());
        yield return new("1,000 layers too many", () => Save(
            """[{"Config":"config.json","Layers":["layer.tar" """
            + string.Concat(Enumerable.Repeat(",\"layer.tar\"", 1200)) + "]}]").Build());
        yield return new("configuration is no JSON", () => Save(Manifest(), "hello"u8.ToArray()).Build());
        yield return new("fewer layers than the configuration says", () =>
            Save(Manifest(), Config(Digest.Sha256(Layer), Digest.Sha256(Layer))).Build());
        yield return new("another layer than the configuration says", () =>
            Save(Manifest(), Config(Digest.Sha256("x"u8))).Build());
        yield return new("a digest in the configuration that is a path", () => Save(Manifest(), Encoding.UTF8.GetBytes(
            """{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:../../x"]}}"""))
            .Build());
        yield return new("layer that is no tar", () => SaveOf("hello"u8.ToArray()));
        yield return new("layer whose gzip is cut", () => SaveOf(Gzip(Layer)[..^20], Digest.Sha256(Layer)));
        yield return new("layer packed twice", () => SaveOf(Gzip(Gzip(Layer)), Digest.Sha256(Layer)));
        yield return new("layer packed twice, and said so", () =>
            SaveOf(Gzip(Gzip(Layer)), Digest.Sha256(Gzip(Layer))));
    }

    private static IEnumerable<KeyValuePair<string, Func<byte[]>>> Layouts()
    {
        yield return new("index of another kind", () => new TarBuilder().File("index.json", "[1]").Build());
        yield return new("index that is a manifest at once", () =>
            Layout("""{"schemaVersion":2,"manifests":[],"layers":[]}"""));
        yield return new("index of 5 MiB", () => Layout("{" + new string(' ', 5 * MiB) + "}"));
        string[] digests =
            ["sha256:../../../etc/passwd", "md5:abc", "sha256:ABC", "", "sha256:" + new string('0', 64)];
        foreach (string digest in digests)
        {
            yield return new($"index that names '{digest}'", () => Layout(Index(digest, 10)));
        }

        byte[] config = Config(Digest.Sha256(Layer));
        byte[] manifest = OciManifest(config, Digest.Sha256(Layer).Text, Layer.Length);
        yield return new("manifest of less than no bytes", () =>
            Layout(Index(Digest.Sha256(manifest).Text, -1), manifest, config, Layer));

        yield return new("blob that is another", () => Layout(
            Index(Digest.Sha256(manifest).Text, manifest.Length),
            [(Digest.Sha256(manifest), [.. manifest[..^1], 0x20])]));
        yield return new("layer missing in the layout", () =>
            Layout(Index(Digest.Sha256(manifest).Text, manifest.Length), manifest, config));
        foreach (long size in (long[])[-1, 1, Layer.Length + 1, 1L << 40])
        {
            byte[] lying = OciManifest(config, Digest.Sha256(Layer).Text, size);
            yield return new($"layer of {size} bytes", () =>
                Layout(Index(Digest.Sha256(lying).Text, lying.Length), lying, config, Layer));
        }
    }

    private static IEnumerable<KeyValuePair<string, Func<byte[]>>> Packed()
    {
        yield return new("gzip that is cut", () => Gzip(Save(Manifest()).Build())[..^30]);
        yield return new("gzip in gzip", () => Gzip(Gzip(Save(Manifest()).Build())));
        yield return new("gzip that is damaged", () =>
        {
            byte[] packed = Gzip(Save(Manifest()).Build());
            packed[packed.Length / 2] ^= 0xff;
            return packed;
        });
        yield return new("300 MiB of zeros in gzip", () => Gzip(new byte[300 * MiB]));
        yield return new("no tar", () => "hello"u8.ToArray());
        yield return new("nothing", () => []);
    }

    private static KeyValuePair<string, Func<byte[]>> Tar(string name, Func<TarBuilder, TarBuilder> add) =>
        new(name, () => add(Save(Manifest())).Build());

    private static KeyValuePair<string, Func<byte[]>> Json(string manifest) => new(
        $"manifest '{(manifest.Length > 20 ? manifest[..20] : manifest)}'", () => Save(manifest).Build());

    private static TarBuilder Save(string manifest, byte[]? config = null) => new TarBuilder()
        .Entry('0', "layer.tar", Layer, 0, 0, 0, 0)
        .Entry('0', "config.json", config ?? Config(Digest.Sha256(Layer)), 0, 0, 0, 0)
        .File("manifest.json", manifest);

    private static byte[] SaveOf(byte[] layer, Digest? diffId = null) => new TarBuilder()
        .Entry('0', "layer.tar", layer, 0, 0, 0, 0)
        .Entry('0', "config.json", Config(diffId ?? Digest.Sha256(layer)), 0, 0, 0, 0)
        .File("manifest.json", Manifest()).Build();

    private static string Manifest(string config = "config.json", string layer = "layer.tar") =>
        $$"""[{"Config":"{{config}}","RepoTags":["a:1"],"Layers":["{{layer}}"]}]""";

    private static byte[] Config(params Digest[] diffIds) => Encoding.UTF8.GetBytes(
        """{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["""
        + string.Join(',', diffIds.Select(d => $"\"{d}\"")) + "]}}");

    private static string Index(string digest, long size) =>
        $$"""
        {"schemaVersion":2,"manifests":[
        {"mediaType":"{{MediaTypes.OciManifest}}","digest":"{{digest}}","size":{{size}}}]}
        """;

    private static byte[] OciManifest(byte[] config, string layer, long size) => Encoding.UTF8.GetBytes(
        $$"""
        {"schemaVersion":2,"mediaType":"{{MediaTypes.OciManifest}}",
        "config":{"mediaType":"{{MediaTypes.OciConfig}}","digest":"{{Digest.Sha256(config)}}","size":{{config.Length}}},
        "layers":[{"mediaType":"{{MediaTypes.OciLayer}}","digest":"{{layer}}","size":{{size}}}]}
        """);

    private static byte[] Layout(string index, params byte[][] blobs) =>
        Layout(index, [.. blobs.Select(b => (Digest.Sha256(b), b))]);

    private static byte[] Layout(string index, (Digest Name, byte[] Content)[] blobs)
    {
        TarBuilder tar = new TarBuilder().File("oci-layout", """{"imageLayoutVersion":"1.0.0"}""");
        foreach ((Digest name, byte[] content) in blobs)
        {
            tar.Entry('0', $"blobs/sha256/{name.Text["sha256:".Length..]}", content, 0, 0, 0, 0);
        }

        return tar.File("index.json", index).Build();
    }

    private static TarBuilder Repeat(TarBuilder tar, int times, Action<TarBuilder> add)
    {
        for (int i = 0; i < times; i++)
        {
            add(tar);
        }

        return tar;
    }

    private static string Deep(int folders) => string.Join('/', Enumerable.Repeat("d", folders)) + "/x";

    private static byte[] Gzip(byte[] content)
    {
        using MemoryStream packed = new();
        using (GZipStream gzip = new(packed, CompressionLevel.Fastest, leaveOpen: true))
        {
            gzip.Write(content);
        }

        return packed.ToArray();
    }
}
