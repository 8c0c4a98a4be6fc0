namespace Berth.Node.Linux;

/// <summary>
/// The write end of a pipe as a stream. Disposing is end of file for the reader; writing after the last reader closed
/// throws IOException. One write at a time.
/// </summary>
/// <param name="growsTo">Bytes that the pipe may hold once it was full; 0 leaves the kernel's 64 KiB.</param>
public sealed class PipeWriteStream(FileDescriptor writeEnd, ReadinessPoller poller, int growsTo = 0) : Stream
{
    private readonly PolledDescriptor descriptor = new(writeEnd, poller, growsTo: growsTo);

    public override bool CanRead => false;

    public override bool CanSeek => false;

    public override bool CanWrite => !descriptor.IsClosed;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    public long BytesWritten => descriptor.BytesWritten;

    public override ValueTask WriteAsync(
        ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default) =>
        descriptor.WriteAsync(buffer, cancellationToken);

    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override void Write(ReadOnlySpan<byte> buffer) => descriptor.Write(buffer);

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override void Flush()
    {
    }

    public override Task FlushAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            descriptor.Dispose();
        }

        base.Dispose(disposing);
    }
}
