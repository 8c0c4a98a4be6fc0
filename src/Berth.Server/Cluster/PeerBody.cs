using Berth.Core.Streams;

namespace Berth.Server.Cluster;

/// <summary>A body at another server, read from front to back; a seek asks for it anew from there.</summary>
/// <param name="ask">From a position on.</param>
/// <param name="broken">What a reader is told when the way breaks.</param>
internal sealed class PeerBody(
    Func<long, CancellationToken, Task<HttpResponseMessage>> ask, Func<Exception, Exception> broken, long length)
    : SequentialStream
{
    private HttpResponseMessage? answer;
    private Stream? stream;
    private long position;

    public override bool CanRead => true;

    public override bool CanSeek => true;

    public override long Length => length;

    public override long Position
    {
        get => position;
        set => Seek(value, SeekOrigin.Begin);
    }

    /// <summary>Asks for it. Throws what asking throws.</summary>
    public async Task OpenAsync(CancellationToken cancellationToken)
    {
        answer = await ask(position, cancellationToken);
        stream = await answer.Content.ReadAsStreamAsync(cancellationToken);
    }

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (stream is null)
        {
            await OpenAsync(cancellationToken);
        }

        try
        {
            int count = await stream!.ReadAsync(buffer, cancellationToken);
            position += count;
            return count > 0 || buffer.IsEmpty || position == length
                ? count
                : throw new EndOfStreamException($"it ended after {position} of {length} bytes");
        }
        catch (Exception error) when (error is IOException or HttpRequestException)
        {
            throw broken(error);
        }
    }

    public override long Seek(long offset, SeekOrigin origin)
    {
        long target = origin switch
        {
            SeekOrigin.Begin => offset,
            SeekOrigin.Current => position + offset,
            _ => length + offset,
        };
        ArgumentOutOfRangeException.ThrowIfNegative(target, nameof(offset));
        if (target != position)
        {
            Close(ref answer);
            stream = null;
            position = target;
        }

        return position;
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            Close(ref answer);
        }

        base.Dispose(disposing);
    }

    private static void Close(ref HttpResponseMessage? answer)
    {
        answer?.Dispose();
        answer = null;
    }
}
