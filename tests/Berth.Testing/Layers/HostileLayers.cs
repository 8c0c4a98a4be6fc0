using System.Text;
using Berth.Oci.Layers;
using Berth.Oci.Tar;

namespace Berth.Testing.Layers;

/// <summary>An archive that must not be unpacked.</summary>
/// <param name="Tar">The uncompressed archive.</param>
/// <param name="Says">What the refusal must say, so that a person knows which entry broke which rule.</param>
public sealed record HostileLayer(byte[] Tar, string Says);

/// <summary>
/// Archives made to get out of their folder, to deceive one reader or another, or to exhaust the machine.
/// </summary>
public static class HostileLayers
{
    /// <summary>Small bounds, so that going past them is cheap.</summary>
    public static LayerLimits Limits { get; } = LayerLimits.Default with
    {
        Tar = TarLimits.Default with { Entries = 500, Bytes = 16 * 1024 * 1024 },
        RatioAfter = 1024 * 1024,
        MaxRatio = 100,
        FolderNames = 32 * 1024,
        CountAfter = 100,
    };

    public static IReadOnlyDictionary<string, HostileLayer> All { get; } = new Dictionary<string, HostileLayer>
    {
        ["parent of the root"] = new(new TarBuilder().File("../escape", "x").Build(), "'../escape' climbs out"),
        ["parent in the middle"] = new(new TarBuilder().File("a/../../escape", "x").Build(), "climbs out"),
        ["parent at the end"] = new(new TarBuilder().Folder("a/..").Build(), "climbs out"),
        ["parent in a pax path"] = new(
            new TarBuilder().Pax("path", "a/../../escape").File("innocent").Build(), "climbs out"),
        ["parent in a GNU name"] = new(
            new TarBuilder().GnuLongName("../../escape").File("innocent").Build(), "climbs out"),
        ["parent in a ustar prefix"] = new(
            new TarBuilder().Lying("escape", h => TarBuilder.Put(h, 345, "a/../..")).Build(), "climbs out"),
        ["file through an absolute link"] = new(
            new TarBuilder().SymbolicLink("out", "/tmp").File("out/escape", "x").Build(), "lies under 'out'"),
        ["file through a relative link"] = new(
            new TarBuilder().SymbolicLink("out", "../../outside").File("out/escape", "x").Build(), "lies under 'out'"),
        ["file through a link to itself"] = new(
            new TarBuilder().SymbolicLink("ring", "ring").File("ring/x").Build(), "lies under 'ring'"),
        ["file through a link in the middle"] = new(
            new TarBuilder().Folder("a").SymbolicLink("a/b", "/").File("a/b/etc/escape").Build(), "lies under 'a/b'"),
        ["folder through a link"] = new(
            new TarBuilder().SymbolicLink("out", "/tmp").Folder("out/escape").Build(), "lies under 'out'"),
        ["link through a link"] = new(
            new TarBuilder().SymbolicLink("out", "/tmp").SymbolicLink("out/escape", "x").Build(), "lies under 'out'"),
        ["file under a file"] = new(new TarBuilder().File("a", "x").File("a/b").Build(), "lies under 'a'"),
        ["whiteout through a link"] = new(
            new TarBuilder().SymbolicLink("out", "/tmp").File("out/.wh.victim").Build(), "lies under 'out'"),
        ["opaque marker through a link"] = new(
            new TarBuilder().SymbolicLink("out", "/tmp").File("out/.wh..wh..opq").Build(), "lies under 'out'"),
        ["hard link out of the tree"] = new(
            new TarBuilder().HardLink("a", "../../etc/passwd").Build(), "'../../etc/passwd' climbs out"),
        ["hard link to an absolute name"] = new(
            new TarBuilder().HardLink("a", "/etc/passwd").Build(), "'/etc/passwd', which is no file of the same layer"),
        ["hard link through a link"] = new(
            new TarBuilder().SymbolicLink("out", "/etc").HardLink("a", "out/passwd").Build(),
            "'out/passwd', which is no file"),
        ["hard link to a folder"] = new(
            new TarBuilder().Folder("d").HardLink("a", "d").Build(), "'d', which is no file"),
        ["hard link to the root"] = new(new TarBuilder().HardLink("a", "./").Build(), "which is no file"),
        ["hard link to itself"] = new(new TarBuilder().File("a").HardLink("a", "./a").Build(), "hard link to itself"),
        ["hard link to nothing"] = new(
            new TarBuilder().HardLink("a", "later").File("later").Build(), "'later', which is no file"),
        ["hard link to a whiteout"] = new(
            new TarBuilder().File(".wh.b").HardLink("a", "b").Build(), "'b', which is no file"),
        ["hard link without a target"] = new(new TarBuilder().HardLink("a", "").Build(), "has no name"),
        ["symbolic link without a target"] = new(
            new TarBuilder().SymbolicLink("a", "").Build(), "link target of 0 bytes"),
        ["symbolic link with an endless target"] = new(
            new TarBuilder().GnuLongLink(new string('x', 4096)).SymbolicLink("a", "x").Build(),
            "link target of 4096 bytes"),
        ["root as a file"] = new(new TarBuilder().File("./", "").SymbolicLink(".", "/tmp").Build(), "replace the root"),
        ["no name"] = new(new TarBuilder().File("").Build(), "has no name"),
        ["block device"] = new(new TarBuilder().Device("disk", '4', 8, 0).Build(), "'disk' is a device outside dev/"),
        ["character device"] = new(new TarBuilder().Device("mem", '3', 1, 1).Build(), "'mem' is a device outside dev/"),
        ["whiteout device written by hand"] = new(new TarBuilder().Device("x", '3', 0, 0).Build(), "is a device"),
        ["device beside dev"] = new(new TarBuilder().Device("device/mem", '3', 1, 1).Build(), "is a device"),
        ["fifo"] = new(new TarBuilder().Entry('6', "pipe", [], 0, 0, 0, 0).Build(), "'pipe' is a fifo"),
        ["unknown type"] = new(
            new TarBuilder().Entry('Z', "odd", [], 0, 0, 0, 0).Build(), "'odd' has the unknown type 0x5a"),
        ["volume label"] = new(new TarBuilder().Entry('V', "label", [], 0, 0, 0, 0).Build(), "unknown type"),
        ["GNU sparse file"] = new(
            new TarBuilder().Entry('S', "sparse", [], 0, 0, 0, 0).Build(), "'sparse' is a sparse file"),
        ["pax sparse file"] = new(
            new TarBuilder().Pax("GNU.sparse.realsize", "99999999").File("sparse").Build(), "sparse file"),
        ["newline in a name"] = new(new TarBuilder().File("a\nb").Build(), "control character 0x0a"),
        ["escape sequence in a name"] = new(new TarBuilder().File("a\u001b[2Jb").Build(), "control character 0x1b"),
        ["delete character in a name"] = new(new TarBuilder().File("a\u007f").Build(), "control character 0x7f"),
        ["zero byte in a pax path"] = new(
            new TarBuilder().Pax(("path", "a\0b"u8.ToArray())).File("c").Build(), "'path' holds a zero byte"),
        ["name of 256 bytes"] = new(
            new TarBuilder().Pax("path", new string('n', 256)).File("c").Build(), "has a name of 256 bytes"),
        ["path of 5,000 bytes"] = new(
            new TarBuilder().Pax("path", string.Concat(Enumerable.Repeat("0123456/", 625))).File("c").Build(),
            "path of 5000 bytes"),
        ["257 folders deep"] = new(
            new TarBuilder().Pax("path", string.Concat(Enumerable.Repeat("d/", 256)) + "f").File("c").Build(),
            "257 folders deep"),
        ["whiteout of nothing"] = new(new TarBuilder().File("a/.wh.").Build(), "whiteout of no possible name"),
        ["whiteout of the folder itself"] = new(
            new TarBuilder().File("a/.wh..").Build(), "whiteout of no possible name"),
        ["whiteout of the parent"] = new(new TarBuilder().File("a/.wh...").Build(), "whiteout of no possible name"),
        ["whiteout of a whiteout"] = new(new TarBuilder().File(".wh..wh.plnk").Build(), "whiteout of no possible name"),
        ["file under a whiteout name"] = new(new TarBuilder().File("a/.wh.b/c").Build(), "begins with '.wh.'"),
        ["user id past 65,535"] = new(new TarBuilder().File("a", user: 65_536).Build(), "'a' belongs to 65536:0"),
        ["group id past 31 bits"] = new(
            new TarBuilder().Pax("gid", "4294967295").File("a").Build(), "'a' belongs to 0:4294967295"),
        ["negative user id"] = new(
            new TarBuilder().Lying("a", h => h.AsSpan(108, 8).Fill(0xff)).Build(), "belongs to -1:0"),
        ["owner of a link"] = new(
            new TarBuilder().SymbolicLink("a", "b", user: 70_000).Build(), "belongs to 70000:70000"),
        ["negative size"] = new(
            new TarBuilder().Lying("a", h => h.AsSpan(124, 12).Fill(0xff)).Build(), "size of -1 bytes"),
        ["size past 63 bits"] = new(
            new TarBuilder().Lying("a", h => { h.AsSpan(124, 12).Fill(0x7f); h[124] = 0x80; }).Build(),
            "no valid size"),
        ["size of eight exbibytes"] = new(
            new TarBuilder().Pax("size", "9223372036854775807").File("a").Build(), "claims 9223372036854775807 bytes"),
        ["size that is no number"] = new(
            new TarBuilder().Lying("a", h => TarBuilder.Put(h, 124, "9z")).Build(), "no valid size"),
        ["pax size that is negative"] = new(new TarBuilder().Pax("size", "-1").File("a").Build(), "no valid size"),
        ["pax time that is no number"] = new(new TarBuilder().Pax("mtime", "soon").File("a").Build(), "no valid mtime"),
        ["size larger than the archive"] = new(
            new TarBuilder().Lying("a", h => TarBuilder.Put(h, 124, TarBuilder.Octal(100_000, 11))).Build(), "cut off"),
        ["wrong checksum"] = new([.. Broken(new TarBuilder().File("a").Build())], "wrong checksum"),
        ["garbage from the start"] = new(Encoding.ASCII.GetBytes(new string('x', 2048)), "no valid checksum"),
        ["nothing at all"] = new([], "cut off at byte 0"),
        ["half a header"] = new(new TarBuilder().File("a", "x").File("b").BuildOpen()[..1200], "cut off"),
        ["half a padding"] = new(new TarBuilder().File("a", "x").BuildOpen()[..700], "cut off"),
        ["data after the end"] = new(
            [.. new TarBuilder().File("a").Build(), .. new TarBuilder().File("b").Build()], "data follows"),
        ["extended header and no entry"] = new(
            new TarBuilder().Pax("path", "a").Build(), "ends after an extended header"),
        ["extended header of two megabytes"] = new(
            new TarBuilder().Lying(
                "x", h => { h[156] = (byte)'x'; TarBuilder.Put(h, 124, TarBuilder.Octal(2 << 20, 11)); }).Build(),
            "extended header claims 2097152 bytes"),
        ["long name of a gigabyte"] = new(
            new TarBuilder().Lying(
                "x", h => { h[156] = (byte)'L'; TarBuilder.Put(h, 124, TarBuilder.Octal(1 << 30, 11)); }).Build(),
            "extended header claims 1073741824 bytes"),
        ["extended headers without end"] = new(
            Repeat(20, (b, _) => b.Pax("comment", "x")).File("a").Build(), "more than 16 extended headers"),
        ["pax record longer than its header"] = new(
            new TarBuilder().Entry('x', "p", "99 path=a\n"u8.ToArray(), 0, 0, 0, 0).File("a").Build(),
            "not made of whole records"),
        ["pax record without a length"] = new(
            new TarBuilder().Entry('x', "p", "path=a\n"u8.ToArray(), 0, 0, 0, 0).File("a").Build(),
            "not made of whole records"),
        ["pax record without a key"] = new(
            new TarBuilder().Entry('x', "p", "6 =ab\n"u8.ToArray(), 0, 0, 0, 0).File("a").Build(),
            "record without a key"),
        ["global path"] = new(
            new TarBuilder().GlobalPax("path", "same").File("a").File("b").Build(), "sets 'path' for every entry"),
        ["global size"] = new(
            new TarBuilder().GlobalPax("size", "0").File("a", "x").Build(), "sets 'size' for every entry"),
        ["global headers that add up"] = new(
            Repeat(20, (b, i) => b.GlobalPax($"k{i}", new string('v', 100_000)).File("f" + i)).Build(),
            "global extended headers hold"),
        ["attribute of 65 KiB"] = new(
            new TarBuilder().Pax("SCHILY.xattr.user.big", new string('x', 65 * 1024)).File("a").Build(),
            "attribute of 66560 bytes"),
        ["attribute of a class alone"] = new(
            new TarBuilder().Pax("SCHILY.xattr.user.", "x").File("a").Build(),
            "'a' has an extended attribute that can't be called 'user.'"),
        ["attribute without a name"] = new(
            new TarBuilder().Pax("SCHILY.xattr.", "x").File("a").Build(), "attribute whose name is not"),
        ["attribute with an endless name"] = new(
            new TarBuilder().Pax("SCHILY.xattr.user." + new string('n', 300), "x").File("a").Build(),
            "attribute whose name is not"),
        ["501 entries"] = new(Repeat(501, (b, i) => b.File("f" + i)).Build(), "more than 500 entries"),
        ["folders whose names fill memory"] = new(
            Repeat(300, (b, i) => b.GnuLongName($"{i:000}" + new string('n', 200)).Folder("d")).Build(),
            "folders' paths take more"),
        ["more bytes than allowed"] = new(
            Repeat(18, (b, i) => b.Entry('0', "f" + i, Noise(1 << 20), 0, 0, 0, 0)).Build(),
            "may hold at most 16777216"),
        ["folder that was filled, replaced"] = new(
            new TarBuilder().Folder("d").File("d/f", "x").File("d", "x").Build(),
            "replace a folder that the same layer filled"),
    };

    private static TarBuilder Repeat(int count, Action<TarBuilder, int> add)
    {
        var builder = new TarBuilder();
        for (int i = 0; i < count; i++)
        {
            add(builder, i);
        }

        return builder;
    }

    private static byte[] Broken(byte[] tar)
    {
        tar[100] ^= 1;
        return tar;
    }

    private static byte[] Noise(int length)
    {
        byte[] bytes = new byte[length];
        new Random(1).NextBytes(bytes);
        return bytes;
    }
}
