using System.Text;

namespace Berth.Testing.Layers;

/// <summary>Builds tar archives byte by byte, so that a test can make ones that no tar program would: the header of any
/// entry may be changed before its checksum is made, or after.</summary>
public sealed class TarBuilder
{
    private readonly MemoryStream bytes = new();

    public TarBuilder File(
        string name, string content = "", int mode = 0b110_100_100, int user = 0, int group = 0,
        long time = 1_700_000_000) =>
        Entry('0', name, Encoding.UTF8.GetBytes(content), mode, user, group, time);

    public TarBuilder Folder(
        string name, int mode = 0b111_101_101, int user = 0, int group = 0, long time = 1_700_000_000) =>
        Entry('5', name, [], mode, user, group, time);

    public TarBuilder SymbolicLink(string name, string target, int user = 0) =>
        Entry('2', name, [], 0b111_111_111, user, user, 1_700_000_000, h => Put(h, 157, target));

    public TarBuilder HardLink(string name, string target) =>
        Entry('1', name, [], 0b110_100_100, 0, 0, 1_700_000_000, h => Put(h, 157, target));

    public TarBuilder Device(string name, char type, int major, int minor) =>
        Entry(type, name, [], 0b110_000_000, 0, 0, 0, h =>
    {
        Put(h, 329, Octal(major, 7));
        Put(h, 337, Octal(minor, 7));
    });

    /// <summary>An extended header whose records have the right lengths.</summary>
    public TarBuilder Pax(params (string Key, byte[] Value)[] records) => Extension('x', records);

    public TarBuilder Pax(string key, string value) => Extension('x', [(key, Encoding.UTF8.GetBytes(value))]);

    public TarBuilder GlobalPax(string key, string value) => Extension('g', [(key, Encoding.UTF8.GetBytes(value))]);

    public TarBuilder GnuLongName(string name) =>
        Entry('L', "././@LongLink", [.. Encoding.UTF8.GetBytes(name), 0], 0, 0, 0, 0);

    public TarBuilder GnuLongLink(string target) =>
        Entry('K', "././@LongLink", [.. Encoding.UTF8.GetBytes(target), 0], 0, 0, 0, 0);

    /// <summary>Any entry. <paramref name="lie"/> may change the header before its checksum is made.</summary>
    public TarBuilder Entry(
        char type, string name, byte[] data, int mode, int user, int group, long time, Action<byte[]>? lie = null)
    {
        byte[] header = new byte[512];
        Put(header, 0, name);
        Put(header, 100, Octal(mode, 7));
        Put(header, 108, Octal(user, 7));
        Put(header, 116, Octal(group, 7));
        Put(header, 124, Octal(data.Length, 11));
        Put(header, 136, Octal(time, 11));
        header[156] = (byte)type;
        Put(header, 257, "ustar");
        Put(header, 263, "00");
        lie?.Invoke(header);
        header.AsSpan(148, 8).Fill((byte)' ');
        Put(header, 148, Octal(header.Sum(b => b), 6) + "\0");
        return Raw(header).Raw(data).Raw(new byte[-data.Length & 511]);
    }

    /// <summary>An entry with an ordinary header but for what <paramref name="lie"/> does.</summary>
    public TarBuilder Lying(string name, Action<byte[]> lie, byte[]? data = null) =>
        Entry('0', name, data ?? [], 0b110_100_100, 0, 0, 0, lie);

    public TarBuilder Raw(byte[] raw)
    {
        bytes.Write(raw);
        return this;
    }

    /// <summary>The archive with its end marker.</summary>
    public byte[] Build() => [.. bytes.ToArray(), .. new byte[1024]];

    /// <summary>The archive without an end.</summary>
    public byte[] BuildOpen() => bytes.ToArray();

    /// <summary>Writes text into a header at an offset; bytes above 127 are meant as they are.</summary>
    public static void Put(byte[] header, int at, string text) => Encoding.Latin1.GetBytes(text).CopyTo(header, at);

    public static string Octal(long value, int digits) => Convert.ToString(value, 8).PadLeft(digits, '0');

    private TarBuilder Extension(char type, (string Key, byte[] Value)[] records)
    {
        var text = new MemoryStream();
        foreach ((string key, byte[] value) in records)
        {
            int rest = Encoding.UTF8.GetByteCount(key) + value.Length + 3;
            int length = rest + 1;
            while (length != rest + length.ToString().Length)
            {
                length = rest + length.ToString().Length;
            }

            text.Write([.. Encoding.UTF8.GetBytes($"{length} {key}="), .. value, (byte)'\n']);
        }

        return Entry(type, "PaxHeader", text.ToArray(), 0b110_100_100, 0, 0, 0);
    }
}
