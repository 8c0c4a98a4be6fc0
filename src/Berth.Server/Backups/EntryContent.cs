using Berth.Core.Streams;

namespace Berth.Server.Backups;

/// <summary>Content of a tar entry, whose length is known before it is read, once and in order.</summary>
internal abstract class EntryContent(long length) : SequentialStream
{
    private long position;

    public override bool CanRead => true;

    public override bool CanSeek => true;

    public override long Length => length;

    public override long Position
    {
        get => position;
        set => throw new NotSupportedException();
    }

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        int wanted = (int)Math.Min(buffer.Length, length - position);
        int read = wanted == 0 ? 0 : await ReadSomeAsync(buffer[..wanted], cancellationToken);
        position += read;
        return read;
    }

    /// <summary>At least one byte, and none beyond the length.</summary>
    protected abstract ValueTask<int> ReadSomeAsync(Memory<byte> buffer, CancellationToken cancellationToken);
}
