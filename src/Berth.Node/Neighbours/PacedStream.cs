using Berth.Core.Streams;

namespace Berth.Node.Neighbours;

/// <summary>
/// Reads from somebody who may be slow on purpose: waiting for bytes may take <see cref="Patience"/>, and a second more
/// for each <see cref="LeastRate"/> that came. Past that a read throws IOException. The reader's own pauses don't
/// count.
/// </summary>
/// <param name="owner">Disposed with it.</param>
internal sealed class PacedStream(Stream inner, IDisposable owner, TimeProvider time) : SequentialStream
{
    /// <summary>Bytes a second: a server would send faster.</summary>
    public const int LeastRate = 256 * 1024;

    private TimeSpan waited;
    private long received;

    /// <summary>A machine that is there answers sooner.</summary>
    public static TimeSpan Patience { get; } = TimeSpan.FromSeconds(5);

    public override bool CanRead => true;

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        TimeSpan left = Patience + TimeSpan.FromSeconds(received / (double)LeastRate) - waited;
        if (left <= TimeSpan.Zero)
        {
            throw TooSlow(null);
        }

        using CancellationTokenSource limit = new(left < Patience ? left : Patience, time);
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(
            limit.Token, cancellationToken);
        long begun = time.GetTimestamp();
        try
        {
            int count = await inner.ReadAsync(buffer, either.Token);
            received += count;
            waited += time.GetElapsedTime(begun);
            return count;
        }
        catch (OperationCanceledException late) when (!cancellationToken.IsCancellationRequested)
        {
            throw TooSlow(late);
        }
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            inner.Dispose();
            owner.Dispose();
        }

        base.Dispose(disposing);
    }

    private IOException TooSlow(Exception? cause) =>
        new($"It is too slow: {received} bytes came in the time for more.", cause);
}
