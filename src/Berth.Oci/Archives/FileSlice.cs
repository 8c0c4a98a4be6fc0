using Berth.Core.Streams;
using Microsoft.Win32.SafeHandles;

namespace Berth.Oci.Archives;

/// <summary>
/// A part of an open file as a stream of its own. Several may read the file at a time; none closes it.
/// </summary>
internal sealed class FileSlice(SafeFileHandle file, long offset, long length) : SequentialStream
{
    private long position;

    public override bool CanRead => true;

    public override bool CanSeek => true;

    public override long Length => length;

    public override long Position
    {
        get => position;
        set => position = Math.Clamp(value, 0, length);
    }

    public override int Read(Span<byte> buffer)
    {
        int count = RandomAccess.Read(
            file, buffer[..(int)Math.Min(buffer.Length, length - position)], offset + position);
        position += count;
        return count;
    }

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        int count = await RandomAccess.ReadAsync(
            file, buffer[..(int)Math.Min(buffer.Length, length - position)], offset + position, cancellationToken);
        position += count;
        return count;
    }

    public override long Seek(long offset, SeekOrigin origin) => Position = origin switch
    {
        SeekOrigin.Begin => offset,
        SeekOrigin.Current => position + offset,
        _ => length + offset,
    };
}
