using Berth.Core.Resources;
using Berth.Core.Streams;

namespace Berth.Server.Runs;

/// <summary>
/// A program's output up to its limit. One byte more ends the stream there and calls <c>passed</c> once.
/// </summary>
internal sealed class OutputLimitStream(Stream inner, ByteSize limit, Action passed) : SequentialStream
{
    private readonly TaskCompletionSource finished = new();
    private long remaining = limit.Bytes;

    /// <summary>Whether the program wrote more than allowed.</summary>
    public bool Passed { get; private set; }

    /// <summary>
    /// Completes when nothing more will be read: at the end, at the limit, after an error. Never faults.
    /// </summary>
    public Task Finished => finished.Task;

    public override bool CanRead => true;

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (Passed)
        {
            return 0;
        }

        int count = await ReadInnerAsync(buffer, cancellationToken);
        if (count <= remaining)
        {
            remaining -= count;
            return count;
        }

        Passed = true;
        passed();
        finished.TrySetResult();
        return (int)remaining;
    }

    private async ValueTask<int> ReadInnerAsync(Memory<byte> buffer, CancellationToken cancellationToken)
    {
        int count = 0;
        try
        {
            count = await inner.ReadAsync(buffer, cancellationToken);
            return count;
        }
        finally
        {
            if (count == 0 && !buffer.IsEmpty)
            {
                finished.TrySetResult();
            }
        }
    }
}
