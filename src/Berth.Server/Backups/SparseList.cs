using System.Formats.Tar;
using System.Globalization;
using System.Text;
using Berth.Oci.Unix;

namespace Berth.Server.Backups;

/// <summary>The list of parts at the beginning of a sparse file's entry: their number, then the offset and the length
/// of each, one a line.</summary>
internal static class SparseList
{
    private const string Name = "GNU.sparse.name";
    private const string Size = "GNU.sparse.realsize";

    private const int Block = 512;

    /// <summary>As many as 80 GiB in pieces of a block can have.</summary>
    private const int MostParts = 10_000_000;

    /// <summary>An entry whose content begins with a list. Tar programs that don't know the format find the content
    /// under a name that says so.</summary>
    public static PaxTarEntry EntryOf(string folder, string name, long size) => new(
        TarEntryType.RegularFile, $"{folder}/GNUSparseFile.0/{name}",
        [
            new("GNU.sparse.major", "1"),
            new("GNU.sparse.minor", "0"),
            new(Name, $"{folder}/{name}"),
            new(Size, size.ToString(CultureInfo.InvariantCulture)),
        ]);

    /// <summary>Whether an entry's content begins with a list; its own name and size then. Throws
    /// InvalidDataException.</summary>
    public static bool IsIn(TarEntry entry, out string name, out long size)
    {
        name = "";
        size = 0;
        return entry is PaxTarEntry { EntryType: TarEntryType.RegularFile } pax
            && pax.ExtendedAttributes.TryGetValue(Name, out name!)
            && (long.TryParse(
                    pax.ExtendedAttributes.GetValueOrDefault(Size), NumberStyles.None, CultureInfo.InvariantCulture,
                    out size)
                ? true : throw new InvalidDataException($"The size of '{name}' is missing."));
    }

    public static byte[] Write(IReadOnlyList<FileExtent> extents, long size)
    {
        StringBuilder text = new();
        // The last, of no length, tells where the file ends.
        IEnumerable<FileExtent> all = [.. extents, new FileExtent(size, 0)];
        text.Append(CultureInfo.InvariantCulture, $"{extents.Count + 1}\n");
        foreach (FileExtent extent in all)
        {
            text.Append(CultureInfo.InvariantCulture, $"{extent.Offset}\n{extent.Length}\n");
        }

        byte[] list = new byte[(text.Length + Block - 1) / Block * Block];
        Encoding.ASCII.GetBytes(text.ToString(), list);
        return list;
    }

    /// <summary>Leaves the content where the first part begins. Throws InvalidDataException where it is none, or its
    /// parts are not in order and within the file.</summary>
    public static async Task<IReadOnlyList<FileExtent>> ReadAsync(
        Stream content, long size, CancellationToken cancellationToken)
    {
        Lines lines = new(content);
        long count = await lines.ReadAsync(cancellationToken);
        if (count > MostParts)
        {
            throw new InvalidDataException($"A file is in {count} parts, more than {MostParts}.");
        }

        List<FileExtent> extents = [];
        long end = 0;
        for (long i = 0; i < count; i++)
        {
            FileExtent extent = new(await lines.ReadAsync(cancellationToken), await lines.ReadAsync(cancellationToken));
            if (extent.Offset < end || extent.Length > size - extent.Offset)
            {
                throw new InvalidDataException("The parts of a file are not in order, or not within it.");
            }

            end = extent.End;
            extents.Add(extent);
        }

        return extents;
    }

    /// <summary>Numbers, one a line, in whole blocks.</summary>
    private sealed class Lines(Stream content)
    {
        private readonly byte[] block = new byte[Block];
        private int at = Block;

        public async ValueTask<long> ReadAsync(CancellationToken cancellationToken)
        {
            long number = 0;
            for (int digits = 0; ; digits++)
            {
                if (at == Block)
                {
                    await content.ReadExactlyAsync(block, cancellationToken);
                    at = 0;
                }

                byte next = block[at++];
                if (next == '\n' && digits > 0)
                {
                    return number;
                }

                if (next is < (byte)'0' or > (byte)'9' || digits > 17)
                {
                    throw new InvalidDataException("The parts of a file are not told in numbers.");
                }

                number = (number * 10) + (next - '0');
            }
        }
    }
}
