namespace Berth.Oci.Tar;

/// <summary>Hands out the bytes of an archive piece by piece.</summary>
internal interface ITarInput
{
    /// <summary>The next piece, valid until the next call; empty at the end.</summary>
    ReadOnlyMemory<byte> Next();

    /// <summary>Skips bytes after the current piece if that is cheaper than reading them; returns how many.</summary>
    long Skip(long count);
}

/// <summary>Reads an archive from a stream. Seeks over what is skipped where the stream can.</summary>
internal sealed class StreamTarInput(Stream stream) : ITarInput
{
    private readonly byte[] buffer = new byte[128 * 1024];

    public ReadOnlyMemory<byte> Next() => buffer.AsMemory(0, stream.Read(buffer));

    public long Skip(long count)
    {
        if (!stream.CanSeek)
        {
            return 0;
        }

        long skipped = Math.Min(count, stream.Length - stream.Position);
        stream.Seek(skipped, SeekOrigin.Current);
        return skipped;
    }
}
