using Berth.Core.Streams;

namespace Berth.Oci.Archives;

/// <summary>Counts what is read from another stream, which stays the caller's.</summary>
internal sealed class CountedStream(Stream stream) : SequentialStream
{
    /// <summary>Bytes read so far.</summary>
    public long Count { get; private set; }

    public override bool CanRead => true;

    public override int Read(Span<byte> buffer)
    {
        int read = stream.Read(buffer);
        Count += read;
        return read;
    }
}
