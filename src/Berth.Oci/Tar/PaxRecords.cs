using System.Buffers.Text;
using System.Text;
using Berth.Core.Errors;

namespace Berth.Oci.Tar;

/// <summary>Extended header records, <c>LENGTH KEY=VALUE\n</c> each (POSIX pax, "pax Extended Header").</summary>
internal static class PaxRecords
{
    internal const string XattrPrefix = "SCHILY.xattr.";

    /// <summary>
    /// Applies records over <paramref name="records"/>; an empty value takes the key away. Throws
    /// BerthException(ArchiveRefused) when the text is not whole records.
    /// </summary>
    internal static void Read(ReadOnlySpan<byte> text, Dictionary<string, byte[]> records, bool global)
    {
        while (!text.IsEmpty)
        {
            int space = text.IndexOf((byte)' ');
            if (space is <= 0 or > 8 || !Utf8Parser.TryParse(text[..space], out int length, out int used)
                || used != space
                || length <= space + 2 || length > text.Length || text[length - 1] != (byte)'\n')
            {
                throw Refuse("an extended header is not made of whole records");
            }

            ReadOnlySpan<byte> record = text[(space + 1)..(length - 1)];
            text = text[length..];
            int equals = record.IndexOf((byte)'=');
            if (equals <= 0)
            {
                throw Refuse("an extended header has a record without a key");
            }

            Apply(Encoding.UTF8.GetString(record[..equals]), record[(equals + 1)..], records, global);
        }
    }

    private static void Apply(string key, ReadOnlySpan<byte> value, Dictionary<string, byte[]> records, bool global)
    {
        if (key.StartsWith("GNU.sparse.", StringComparison.Ordinal))
        {
            throw Refuse("it holds a sparse file (GNU.sparse), which images must not; pack it without --sparse");
        }

        if (global && key is ("path" or "linkpath" or "size"))
        {
            throw Refuse($"a global extended header sets '{key}' for every entry");
        }

        bool attribute = key.StartsWith(XattrPrefix, StringComparison.Ordinal);
        if (value.IsEmpty && !attribute)
        {
            records.Remove(key);
            return;
        }

        // Only attributes are binary; a zero byte in any other value is there to make two readers see two names.
        if (!attribute && value.Contains((byte)0))
        {
            throw Refuse($"the extended header '{EntryPath.Quote(Encoding.UTF8.GetBytes(key))}' holds a zero byte");
        }

        records[key] = value.ToArray();
    }

    private static BerthException Refuse(string why) =>
        new(ErrorCode.ArchiveRefused, $"The archive was refused: {why}.");
}
