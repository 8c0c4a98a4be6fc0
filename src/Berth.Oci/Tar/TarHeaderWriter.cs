using System.Buffers.Binary;
using System.Text;

namespace Berth.Oci.Tar;

/// <summary>
/// Writes header blocks: plain ustar, with a pax header before it for what ustar can't say (long or non-ASCII names,
/// large sizes). The same entry always gives the same bytes.
/// </summary>
internal static class TarHeaderWriter
{
    internal const int BlockSize = 512;
    private const long MaxOctalSize = 0x1_ffff_ffff; // 11 octal digits

    /// <summary>The two blocks of zeros that end an archive.</summary>
    internal static byte[] End { get; } = new byte[2 * BlockSize];

    /// <summary>Header blocks for an entry; its data, padded to whole blocks, follows.</summary>
    internal static byte[] Format(TarEntry entry)
    {
        var records = new MemoryStream();
        bool plainName = TrySplit(entry.Name, out ReadOnlySpan<byte> prefix, out ReadOnlySpan<byte> name);
        if (!plainName)
        {
            AddRecord(records, "path", entry.Name);
        }

        if (entry.LinkTarget.Length > 100 || !Ascii.IsValid(entry.LinkTarget))
        {
            AddRecord(records, "linkpath", entry.LinkTarget);
        }

        if (entry.Size > MaxOctalSize)
        {
            AddRecord(records, "size", Encoding.ASCII.GetBytes(entry.Size.ToString()));
        }

        foreach ((string key, byte[] value) in entry.Xattrs)
        {
            AddRecord(records, PaxRecords.XattrPrefix + key, value);
        }

        byte[] main = Block(entry, prefix, name, TypeFlag(entry.Kind));
        if (records.Length == 0)
        {
            return main;
        }

        byte[] text = records.ToArray();
        TarEntry extension = entry with { Size = text.Length, LinkTarget = [], Mode = 0b110_100_100 };
        byte[] extended = Block(extension, default, "PaxHeader"u8, (byte)'x');
        return [.. extended, .. text, .. new byte[Padding(text.Length)], .. main];
    }

    /// <summary>Zero bytes that fill data up to whole blocks.</summary>
    internal static int Padding(long size) => (int)(-size & (BlockSize - 1));

    private static byte TypeFlag(TarEntryKind kind) => kind switch
    {
        TarEntryKind.File => (byte)'0',
        TarEntryKind.HardLink => (byte)'1',
        TarEntryKind.SymbolicLink => (byte)'2',
        TarEntryKind.CharacterDevice => (byte)'3',
        TarEntryKind.BlockDevice => (byte)'4',
        TarEntryKind.Folder => (byte)'5',
        _ => (byte)'6',
    };

    private static byte[] Block(TarEntry entry, ReadOnlySpan<byte> prefix, ReadOnlySpan<byte> name, byte type)
    {
        byte[] block = new byte[BlockSize];
        name[..Math.Min(name.Length, 100)].CopyTo(block);
        Octal(block.AsSpan(100, 8), entry.Mode);
        Number(block.AsSpan(108, 8), entry.User);
        Number(block.AsSpan(116, 8), entry.Group);
        Octal(block.AsSpan(124, 12), Math.Min(entry.Size, MaxOctalSize));
        Octal(block.AsSpan(136, 12), entry.Seconds);
        block[156] = type;
        entry.LinkTarget.AsSpan(0, Math.Min(entry.LinkTarget.Length, 100)).CopyTo(block.AsSpan(157));
        "ustar"u8.CopyTo(block.AsSpan(257)); // then a 0
        "00"u8.CopyTo(block.AsSpan(263));
        if (entry.Kind is TarEntryKind.CharacterDevice or TarEntryKind.BlockDevice)
        {
            Octal(block.AsSpan(329, 8), entry.DeviceMajor);
            Octal(block.AsSpan(337, 8), entry.DeviceMinor);
        }

        prefix.CopyTo(block.AsSpan(345));
        Sum(block);
        return block;
    }

    internal static void Sum(Span<byte> block)
    {
        block.Slice(148, 8).Fill((byte)' ');
        int sum = 0;
        foreach (byte b in block)
        {
            sum += b;
        }

        Octal(block.Slice(148, 7), sum);
    }

    private static bool TrySplit(byte[] path, out ReadOnlySpan<byte> prefix, out ReadOnlySpan<byte> name)
    {
        prefix = default;
        name = path;
        if (!Ascii.IsValid(path))
        {
            name = "?"u8;
            return false;
        }

        if (path.Length <= 100)
        {
            return true;
        }

        // A slash with at most 155 bytes before and 1 to 100 after it; the slash itself is implied.
        int slash = path.AsSpan(0, Math.Min(156, path.Length)).LastIndexOf((byte)'/');
        if (slash <= 0 || path.Length - slash - 1 is 0 or > 100)
        {
            return false;
        }

        prefix = path.AsSpan(0, slash);
        name = path.AsSpan(slash + 1);
        return true;
    }

    private static void AddRecord(MemoryStream records, string key, ReadOnlySpan<byte> value)
    {
        // The length counts its own digits.
        int rest = Encoding.UTF8.GetByteCount(key) + value.Length + 3;
        int length = rest + 1;
        while (length != rest + length.ToString().Length)
        {
            length = rest + length.ToString().Length;
        }

        records.Write(Encoding.UTF8.GetBytes($"{length} {key}="));
        records.Write(value);
        records.WriteByte((byte)'\n');
    }

    private static void Number(Span<byte> field, long value)
    {
        if (value <= 0x1f_ffff)
        {
            Octal(field, value);
            return;
        }

        BinaryPrimitives.WriteInt64BigEndian(field, value);
        field[0] |= 0x80;
    }

    private static void Octal(Span<byte> field, long value)
    {
        for (int i = field.Length - 2; i >= 0; i--)
        {
            field[i] = (byte)('0' + (value & 7));
            value >>= 3;
        }

        field[^1] = 0;
    }
}
