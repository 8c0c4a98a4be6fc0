using Berth.Core.Streams;

namespace Berth.Node.Linux;

/// <summary>
/// The write end of a pipe as a stream. Disposing is end of file for the reader; writing after the last reader closed
/// throws IOException. One write at a time.
/// </summary>
/// <param name="growsTo">Bytes that the pipe may hold once it was full; 0 leaves the kernel's 64 KiB.</param>
public sealed class PipeWriteStream(FileDescriptor writeEnd, ReadinessPoller poller, int growsTo = 0) : SequentialStream
{
    /// <summary>Bytes that <see cref="TryWriteAhead"/> takes: half of what a pipe holds by default (pipe(7)).</summary>
    public const int MostAhead = 32 * 1024;

    private readonly PolledDescriptor descriptor = new(writeEnd, poller, growsTo: growsTo);
    private int ahead;
    private bool disposed;

    /// <summary>Also where all of it was written ahead.</summary>
    public override bool CanWrite => !disposed;

    public long BytesWritten => descriptor.BytesWritten;

    /// <summary>Before anything else: puts the beginning of what is going to be written into the pipe. It is written
    /// all the same, and passed over then.</summary>
    /// <param name="isAll">Whether nothing comes after it: then the pipe is closed.</param>
    /// <returns>Whether all of the input is in the pipe.</returns>
    public bool TryWriteAhead(ReadOnlySpan<byte> bytes, bool isAll)
    {
        ahead = descriptor.WriteSome(bytes);
        bool isDone = isAll && ahead == bytes.Length;
        if (isDone)
        {
            descriptor.Dispose();
        }

        return isDone;
    }

    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        int known = PassOver(buffer.Length);
        return known > 0 && known == buffer.Length
            ? ValueTask.CompletedTask
            : descriptor.WriteAsync(buffer[known..], cancellationToken);
    }

    public override void Write(ReadOnlySpan<byte> buffer)
    {
        descriptor.Write(buffer[PassOver(buffer.Length)..]);
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            disposed = true;
            descriptor.Dispose();
        }

        base.Dispose(disposing);
    }

    /// <summary>How many of so many bytes that come next are in the pipe already.</summary>
    private int PassOver(int length)
    {
        int known = Math.Min(ahead, length);
        ahead -= known;
        return known;
    }
}
