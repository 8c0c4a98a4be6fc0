using Berth.Core.Errors;

namespace Berth.Oci.Tar;

/// <summary>
/// Reads a tar archive from front to back: ustar, pax with global headers, GNU long names, old v7. Data is handed out
/// in the pieces the input has, without copying. What is cut off, lies about itself or exceeds <see cref="TarLimits"/>
/// is refused with BerthException(ArchiveRefused) that names the entry and the rule. An archive may lack its end
/// marker, and the padding before it: some makers of layers write neither, and all other readers accept that.
/// </summary>
internal sealed class TarReader(ITarInput input, TarLimits limits)
{
    private const int BlockSize = 512;

    // More headers than this for one entry serve no honest purpose: a long name, a long link, pax and global pax.
    private const int MaxExtensions = 16;

    private readonly byte[] header = new byte[BlockSize];
    private readonly Dictionary<string, byte[]> globals = [];
    private readonly Dictionary<string, byte[]> locals = [];
    private ReadOnlyMemory<byte> piece;
    private long dataLeft;
    private int padding;
    private int entries;
    private bool ended;
    private byte[]? longName;
    private byte[]? longLink;

    /// <summary>Bytes of the archive handled so far.</summary>
    internal long Position { get; private set; }

    /// <summary>
    /// The next entry, or null after the last; what is left of the current one is skipped. After null the archive was
    /// read to its end and holds nothing but zeros there.
    /// </summary>
    internal TarEntry? Read()
    {
        SkipData();
        locals.Clear();
        longName = null;
        longLink = null;
        for (int extensions = 0; extensions <= MaxExtensions; extensions++)
        {
            if (!ReadHeader())
            {
                return extensions == 0 ? null : throw Refuse("it ends after an extended header");
            }

            char type = TarHeader.TypeOf(header);
            if (type is not ('x' or 'g' or 'L' or 'K'))
            {
                return BeginEntry(type);
            }

            ReadExtension(type, TarHeader.SizeOf(header));
        }

        throw Refuse($"one entry has more than {MaxExtensions} extended headers");
    }

    /// <summary>The next piece of the current entry's data; empty when it was all read.</summary>
    internal ReadOnlySpan<byte> ReadData()
    {
        if (dataLeft == 0)
        {
            return default;
        }

        FillPiece("within an entry's data");
        ReadOnlySpan<byte> data = piece.Span[..(int)Math.Min(piece.Length, dataLeft)];
        dataLeft -= data.Length;
        Take(data.Length);
        return data;
    }

    private static BerthException Refuse(string why) =>
        new(ErrorCode.ArchiveRefused, $"The archive was refused: {why}.");

    private TarEntry BeginEntry(char type)
    {
        if (++entries > limits.Entries)
        {
            throw Refuse($"it has more than {limits.Entries} entries");
        }

        TarEntry entry = TarHeader.Parse(header, type, globals, locals, longName, longLink);
        if (entry.Size > limits.Bytes - Position)
        {
            throw EntryPath.Refuse(entry.Name, $"claims {entry.Size} bytes; archives may hold at most {limits.Bytes}");
        }

        BeginData(entry.Size);
        return entry;
    }

    private void ReadExtension(char type, long size)
    {
        if (size > limits.ExtendedHeader)
        {
            throw Refuse($"an extended header claims {size} bytes; at most {limits.ExtendedHeader} are accepted");
        }

        byte[] text = new byte[size];
        BeginData(size);
        Span<byte> rest = text;
        for (ReadOnlySpan<byte> data = ReadData(); !data.IsEmpty; data = ReadData())
        {
            data.CopyTo(rest);
            rest = rest[data.Length..];
        }

        SkipData();
        switch (type)
        {
            case 'g':
                PaxRecords.Read(text, globals, global: true);
                CheckGlobals();
                break;
            case 'x':
                PaxRecords.Read(text, locals, global: false);
                break;
            case 'L':
                longName = UntilZero(text);
                break;
            default:
                longLink = UntilZero(text);
                break;
        }
    }

    private void CheckGlobals()
    {
        // They add up over the whole archive, so the bound of one header must hold for all together.
        if (globals.Sum(g => g.Key.Length + g.Value.Length) > limits.ExtendedHeader)
        {
            throw Refuse($"its global extended headers hold more than {limits.ExtendedHeader} bytes");
        }
    }

    private static byte[] UntilZero(byte[] text)
    {
        int zero = text.AsSpan().IndexOf((byte)0);
        return zero < 0 ? text : text[..zero];
    }

    private void BeginData(long size)
    {
        dataLeft = size;
        padding = (int)(-size & (BlockSize - 1));
    }

    private void SkipData()
    {
        Discard(ref dataLeft, "within an entry's data");
        if (padding > 0 && !AtEnd())
        {
            long rest = padding;
            Discard(ref rest, "within the padding of an entry");
        }

        padding = 0;
    }

    private bool AtEnd()
    {
        NextPiece();
        return piece.IsEmpty;
    }

    private void NextPiece()
    {
        if (piece.IsEmpty && !ended)
        {
            piece = input.Next();
            ended = piece.IsEmpty;
        }
    }

    private void Discard(ref long count, string where)
    {
        while (count > 0)
        {
            if (piece.IsEmpty)
            {
                long skipped = input.Skip(count);
                Count(skipped);
                count -= skipped;
                if (count == 0)
                {
                    return;
                }
            }

            FillPiece(where);
            int step = (int)Math.Min(piece.Length, count);
            count -= step;
            Take(step);
        }
    }

    /// <summary>Reads one header block. False at the end marker, after which only zeros may follow, and where the
    /// archive ends without one.</summary>
    private bool ReadHeader()
    {
        if (entries > 0 && AtEnd())
        {
            return false;
        }

        Span<byte> rest = header;
        while (!rest.IsEmpty)
        {
            FillPiece("within a header");
            int step = Math.Min(rest.Length, piece.Length);
            piece.Span[..step].CopyTo(rest);
            rest = rest[step..];
            Take(step);
        }

        if (header.AsSpan().ContainsAnyExcept((byte)0))
        {
            TarHeader.CheckSum(header, Position - BlockSize);
            return true;
        }

        ReadTail();
        return false;
    }

    private void ReadTail()
    {
        while (true)
        {
            if (piece.Span.ContainsAnyExcept((byte)0))
            {
                throw Refuse($"data follows its end marker at byte {Position}");
            }

            Take(piece.Length);
            NextPiece();
            if (piece.IsEmpty)
            {
                return;
            }
        }
    }

    private void FillPiece(string where)
    {
        NextPiece();
        if (piece.IsEmpty)
        {
            throw Refuse($"it is cut off at byte {Position}, {where}");
        }
    }

    private void Take(int count)
    {
        piece = piece[count..];
        Count(count);
    }

    private void Count(long count)
    {
        Position += count;
        if (Position > limits.Bytes)
        {
            throw Refuse($"it holds more than {limits.Bytes} bytes");
        }
    }
}
