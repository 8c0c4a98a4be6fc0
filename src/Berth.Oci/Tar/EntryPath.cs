using System.Text;
using Berth.Core.Errors;

namespace Berth.Oci.Tar;

/// <summary>
/// A checked path inside an archive's tree: components joined by single slashes, none empty, <c>.</c> or <c>..</c>; the
/// root itself is empty. Leading slashes are dropped, as every unpacker of images does. Names need not be UTF-8.
/// </summary>
internal readonly struct EntryPath
{
    private const int MaxComponent = 255; // NAME_MAX (linux/limits.h)

    private readonly byte[] bytes;

    private EntryPath(byte[] bytes, int depth)
    {
        this.bytes = bytes;
        Depth = depth;
    }

    internal ReadOnlySpan<byte> Bytes => bytes;

    /// <summary>Number of components; 0 for the root.</summary>
    internal int Depth { get; }

    internal bool IsRoot => bytes.Length == 0;

    /// <summary>The last component.</summary>
    internal ReadOnlySpan<byte> Name => bytes.AsSpan(bytes.AsSpan().LastIndexOf((byte)'/') + 1);

    /// <summary>All but the last component, empty for a name in the root.</summary>
    internal ReadOnlySpan<byte> Parent => bytes.AsSpan(0, Math.Max(0, bytes.AsSpan().LastIndexOf((byte)'/')));

    /// <summary>Checks a name from an archive. Throws BerthException(ArchiveRefused) naming the rule.</summary>
    internal static EntryPath Parse(ReadOnlySpan<byte> name, TarLimits limits)
    {
        if (name.IsEmpty)
        {
            throw Refuse(name, "has no name");
        }

        if (name.Length > limits.PathLength)
        {
            throw Refuse(name, $"has a path of {name.Length} bytes; at most {limits.PathLength} are accepted");
        }

        foreach (byte b in name)
        {
            if (b is < 0x20 or 0x7f)
            {
                throw Refuse(name, $"has the control character 0x{b:x2} in its name");
            }
        }

        byte[] clean = new byte[name.Length];
        int length = 0;
        int depth = 0;
        foreach (Range range in name.Split((byte)'/'))
        {
            ReadOnlySpan<byte> component = name[range];
            if (component.IsEmpty || component.SequenceEqual("."u8))
            {
                continue;
            }

            CheckComponent(name, component);
            if (length > 0)
            {
                clean[length++] = (byte)'/';
            }

            component.CopyTo(clean.AsSpan(length));
            length += component.Length;
            depth++;
        }

        return depth <= limits.Depth
            ? new EntryPath(length == clean.Length ? clean : clean[..length], depth)
            : throw Refuse(name, $"lies {depth} folders deep; at most {limits.Depth} are accepted");
    }

    /// <summary>
    /// Makes bytes from an archive fit for a message or a log: printable ASCII, at most 200 characters.
    /// </summary>
    internal static string Quote(ReadOnlySpan<byte> name)
    {
        var text = new StringBuilder();
        foreach (Rune rune in Encoding.UTF8.GetString(name[..Math.Min(name.Length, 200)]).EnumerateRunes())
        {
            text.Append(Rune.IsControl(rune) || rune.Value == 0xfffd ? "?" : rune.ToString());
        }

        return text + (name.Length > 200 ? "…" : "");
    }

    internal static BerthException Refuse(ReadOnlySpan<byte> name, string why) =>
        new(ErrorCode.ArchiveRefused, $"The archive was refused: the entry '{Quote(name)}' {why}.");

    private static void CheckComponent(ReadOnlySpan<byte> name, ReadOnlySpan<byte> component)
    {
        if (component.SequenceEqual(".."u8))
        {
            throw Refuse(name, "climbs out of its folder with '..'");
        }

        if (component.Length > MaxComponent)
        {
            throw Refuse(
                name, $"has a name of {component.Length} bytes in its path; at most {MaxComponent} are accepted");
        }
    }
}
