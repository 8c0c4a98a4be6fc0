using Berth.Core.Streams;

namespace Berth.Node.Linux;

/// <summary>
/// The read end of a pipe, or the master of a pseudoterminal, as a stream. Returns 0 once every writer is gone. One
/// read at a time; disposing ends a pending read with ObjectDisposedException.
/// </summary>
/// <param name="isTerminal">Whether it is the latter.</param>
/// <param name="isSeldom">Whether mostly nothing comes: the first of it may be seen 20 ms late, and a short life
/// without any costs next to nothing.</param>
/// <param name="growsTo">Bytes that the pipe may hold once it is used for much; 0 leaves the kernel's 64 KiB.</param>
public sealed class PipeReadStream(
    FileDescriptor readEnd, ReadinessPoller poller, bool isTerminal = false, bool isSeldom = false, int growsTo = 0)
    : SequentialStream
{
    private readonly PolledDescriptor descriptor = new(readEnd, poller, isTerminal, isSeldom, growsTo);

    public override bool CanRead => !descriptor.IsClosed;

    /// <summary>Bytes that came through the pipe: those read and those waiting to be.</summary>
    public long BytesArrived => descriptor.BytesArrived();

    /// <summary>Has who waits read now, in this thread: for when something is known to be there, or the end.</summary>
    public void Look() => descriptor.Look();

    // A read of no bytes is the wait-until-ready idiom of PipeReader; the kernel would answer it at once.
    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
        buffer.IsEmpty ? ValueTask.FromResult(0) : descriptor.ReadAsync(buffer, cancellationToken);

    public override int Read(Span<byte> buffer) => descriptor.Read(buffer);

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            descriptor.Dispose();
        }

        base.Dispose(disposing);
    }
}
