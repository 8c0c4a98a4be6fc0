using System.Text;
using Berth.Core.Errors;

namespace Berth.Oci.Tar;

/// <summary>
/// Reads the 512-byte header block (POSIX pax, "ustar Interchange Format"; GNU tar manual, "Basic Tar Format").
/// </summary>
internal static class TarHeader
{
    private const int SizeAt = 124;
    private const int SumAt = 148;
    private const int TypeAt = 156;

    // XATTR_NAME_MAX and XATTR_SIZE_MAX (linux/limits.h).
    private const int MaxXattrName = 255;
    private const int MaxXattrValue = 64 * 1024;

    internal static char TypeOf(ReadOnlySpan<byte> header) => (char)header[TypeAt];

    internal static long SizeOf(ReadOnlySpan<byte> header)
    {
        long size = TarNumber.Parse(header.Slice(SizeAt, 12), "size");
        return size >= 0 ? size : throw Refuse($"an entry claims a size of {size} bytes");
    }

    internal static void CheckSum(ReadOnlySpan<byte> header, long position)
    {
        long expected = TarNumber.Parse(header.Slice(SumAt, 8), "checksum");
        long unsigned = 8 * ' ';
        long signed = 8 * ' '; // Old Sun tars summed signed bytes.
        for (int i = 0; i < header.Length; i++)
        {
            if (i is < SumAt or >= SumAt + 8)
            {
                unsigned += header[i];
                signed += (sbyte)header[i];
            }
        }

        if (expected != unsigned && expected != signed)
        {
            throw Refuse($"the header at byte {position} has a wrong checksum");
        }
    }

    internal static TarEntry Parse(
        ReadOnlySpan<byte> header, char type, Dictionary<string, byte[]> globals, Dictionary<string, byte[]> locals,
        byte[]? longName, byte[]? longLink)
    {
        byte[] name = Find("path", globals, locals) ?? longName ?? NameOf(header);
        byte[] link = Find("linkpath", globals, locals) ?? longLink ?? Text(header.Slice(157, 100));
        TarEntryKind kind = KindOf(type, name);
        long size = Find("size", globals, locals) is { } text ? TarNumber.ParseDecimal(text, "size") : SizeOf(header);
        (long seconds, int nanoseconds) = Find("mtime", globals, locals) is { } time
            ? TarNumber.ParseTime(time, "mtime")
            : (TarNumber.Parse(header.Slice(136, 12), "mtime"), 0);
        bool bounded = seconds is >= 0 and < 253_402_300_800; // Go's zero time and the year 10000 become 1970.
        bool device = kind is TarEntryKind.BlockDevice or TarEntryKind.CharacterDevice;
        return new TarEntry(
            kind, name, link,
            (uint)(TarNumber.Parse(header.Slice(100, 8), "mode") & 0xfff),
            Owner("uid", header.Slice(108, 8), globals, locals),
            Owner("gid", header.Slice(116, 8), globals, locals),
            kind == TarEntryKind.File ? size : 0, // Others have no data, whatever the field says.
            bounded ? seconds : 0,
            bounded ? nanoseconds : 0,
            device ? (uint)TarNumber.Parse(header.Slice(329, 8), "device number") : 0,
            device ? (uint)TarNumber.Parse(header.Slice(337, 8), "device number") : 0,
            globals.Count + locals.Count == 0 ? [] : Xattrs(name, globals, locals));
    }

    private static TarEntryKind KindOf(char type, byte[] name) => type switch
    {
        // Tars from before POSIX mark folders by a slash only.
        '0' or '\0' or '7' => name is [.., (byte)'/'] ? TarEntryKind.Folder : TarEntryKind.File,
        '1' => TarEntryKind.HardLink,
        '2' => TarEntryKind.SymbolicLink,
        '3' => TarEntryKind.CharacterDevice,
        '4' => TarEntryKind.BlockDevice,
        '5' => TarEntryKind.Folder,
        '6' => TarEntryKind.Fifo,
        'S' => throw EntryPath.Refuse(name, "is a sparse file, which images must not hold; pack it without --sparse"),
        _ => throw EntryPath.Refuse(name, $"has the unknown type 0x{(int)type:x2}"),
    };

    private static byte[] NameOf(ReadOnlySpan<byte> header)
    {
        byte[] name = Text(header[..100]);
        bool posix = header.Slice(257, 6).SequenceEqual("ustar\0"u8);
        int prefixLength = posix ? header.Slice(508, 4).SequenceEqual("tar\0"u8) ? 131 : 155 : 0;
        byte[] prefix = Text(header.Slice(345, prefixLength));
        return prefix.Length == 0 ? name : [.. prefix, (byte)'/', .. name];
    }

    private static long Owner(
        string key, ReadOnlySpan<byte> field, Dictionary<string, byte[]> globals, Dictionary<string, byte[]> locals) =>
        Find(key, globals, locals) is { } text ? TarNumber.ParseDecimal(text, key) : TarNumber.Parse(field, key);

    private static List<KeyValuePair<string, byte[]>> Xattrs(
        byte[] entry, Dictionary<string, byte[]> globals, Dictionary<string, byte[]> locals)
    {
        var found = new List<KeyValuePair<string, byte[]>>();
        foreach ((string key, byte[] value) in globals.Where(g => !locals.ContainsKey(g.Key)).Concat(locals))
        {
            if (!key.StartsWith(PaxRecords.XattrPrefix, StringComparison.Ordinal))
            {
                continue;
            }

            string name = key[PaxRecords.XattrPrefix.Length..];
            if (name.Length == 0 || Encoding.UTF8.GetByteCount(name) > MaxXattrName
                || name.Contains('\0', StringComparison.Ordinal))
            {
                throw EntryPath.Refuse(entry, $"has an extended attribute whose name is not 1 to {MaxXattrName} bytes");
            }

            if (value.Length > MaxXattrValue)
            {
                throw EntryPath.Refuse(
                    entry, $"has an extended attribute of {value.Length} bytes; at most {MaxXattrValue} are accepted");
            }

            found.Add(new(name, value));
        }

        return found;
    }

    private static byte[]? Find(string key, Dictionary<string, byte[]> globals, Dictionary<string, byte[]> locals) =>
        locals.TryGetValue(key, out byte[]? local) ? local : globals.GetValueOrDefault(key);

    private static byte[] Text(ReadOnlySpan<byte> field)
    {
        int zero = field.IndexOf((byte)0);
        return (zero < 0 ? field : field[..zero]).ToArray();
    }

    private static BerthException Refuse(string why) =>
        new(ErrorCode.ArchiveRefused, $"The archive was refused: {why}.");
}
