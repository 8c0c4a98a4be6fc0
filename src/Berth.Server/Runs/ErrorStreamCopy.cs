using System.Buffers;
using System.Text;
using Berth.Server.Logs;

namespace Berth.Server.Runs;

/// <summary>Copies a program's standard error into its log and keeps the tail for the answer. Reads to the end even
/// when the log can't be written, because a program whose standard error is not read may block.</summary>
internal sealed class ErrorStreamCopy
{
    public const int TailLimit = 4096;

    private readonly byte[] tail = new byte[TailLimit];
    private readonly Lock gate = new();
    private long total;

    public ErrorStreamCopy(Stream source, RunLogWriter log) => Completion = CopyAsync(source, log);

    /// <summary>Completes at the end of the stream. Never faults.</summary>
    public Task Completion { get; }

    /// <summary>Bytes read so far.</summary>
    public long Total
    {
        get
        {
            lock (gate)
            {
                return total;
            }
        }
    }

    public string Tail => TailSince(0);

    /// <summary>What of the tail came after the first <paramref name="mark"/> bytes.</summary>
    public string TailSince(long mark)
    {
        lock (gate)
        {
            int count = (int)Math.Min(total - mark, TailLimit);
            Span<byte> ordered = stackalloc byte[TailLimit];
            for (int i = 0; i < count; i++)
            {
                ordered[i] = tail[(total - count + i) % TailLimit];
            }

            return Encoding.UTF8.GetString(ordered[..count]);
        }
    }

    private async Task CopyAsync(Stream source, RunLogWriter log)
    {
        byte[] buffer = ArrayPool<byte>.Shared.Rent(16 * 1024);
        try
        {
            using (log)
            {
                int count;
                while ((count = await source.ReadAsync(buffer, CancellationToken.None)) > 0)
                {
                    Keep(buffer.AsSpan(0, count));
                    log.Write(buffer.AsSpan(0, count));
                }
            }
        }
        catch (Exception error) when (error is IOException or ObjectDisposedException or OperationCanceledException)
        {
            // The sandbox is gone and its pipe with it: what was read is what there is.
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private void Keep(ReadOnlySpan<byte> bytes)
    {
        lock (gate)
        {
            total += Math.Max(0, bytes.Length - TailLimit);
            foreach (byte value in bytes[^Math.Min(bytes.Length, TailLimit)..])
            {
                tail[total++ % TailLimit] = value;
            }
        }
    }
}
