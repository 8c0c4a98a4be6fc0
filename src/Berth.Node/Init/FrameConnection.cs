using Berth.Core.Errors;
using Berth.Init.Protocol;
using Berth.Node.Linux;

namespace Berth.Node.Init;

/// <summary>What is done with a frame that came. It may throw BerthException, which ends the connection.</summary>
internal delegate void TakeFrame(FrameType type, ReadOnlySpan<byte> payload);

/// <summary>
/// Frames between this process and one process of a sandbox: sent whole, taken one after the other. Nothing that comes
/// is believed. Who waits for a frame goes on in the thread that read it, which is the pool's: waking another one costs
/// more than all that is to be done.
/// </summary>
internal sealed class FrameConnection : IAsyncDisposable
{
    /// <summary>Small frames asked for while another one is on its way; more are repeats.</summary>
    private const int MostPostponed = 1024;

    /// <summary>The longest sentence and what it comes with.</summary>
    private const int MostPayload = 2 * FrameLimits.MaxDetail;

    private readonly PolledDescriptor descriptor;
    private readonly TakeFrame take;
    private readonly Action<Exception> ended;
    private readonly Lock gate = new();
    private readonly Queue<ReadOnlyMemory<byte>> postponed = new();
    private readonly SemaphoreSlim turn = new(1, 1);
    private bool sending;
    private int disposed;

    /// <summary>Takes ownership of our end of a <see cref="SocketPair"/>.</summary>
    /// <param name="ended">Told once why no more frames come.</param>
    public FrameConnection(FileDescriptor ours, ReadinessPoller poller, TakeFrame take, Action<Exception> ended)
    {
        this.take = take;
        this.ended = ended;
        descriptor = new PolledDescriptor(ours, poller);
        Closed = ReadAllAsync();
    }

    /// <summary>Completes when the other end was closed, or this one.</summary>
    public Task Closed { get; }

    public static BerthException Gone() => new(
        ErrorCode.NodeFault,
        "The sandbox's init ended before it answered. The sandbox was killed or ran out of memory.");

    public static BerthException Malformed() =>
        new(ErrorCode.NodeFault, "The sandbox's init sent something that is not a frame of the protocol.");

    /// <summary>Throws BerthException (NodeFault) when the other end is gone.</summary>
    public async ValueTask SendAsync(
        ReadOnlyMemory<byte> frame, IReadOnlyList<FileDescriptor> descriptors, CancellationToken cancellationToken)
    {
        await turn.WaitAsync(cancellationToken);
        lock (gate)
        {
            sending = true;
        }

        try
        {
            // Not the caller's token: a torn frame would end the connection. Disposing ends this wait.
            await (descriptors.Count == 0
                ? descriptor.WriteAsync(frame, CancellationToken.None)
                : descriptor.SendAsync(frame, descriptors, CancellationToken.None));
        }
        catch (Exception error) when (error is LinuxException or ObjectDisposedException)
        {
            throw Gone();
        }
        finally
        {
            lock (gate)
            {
                sending = false;
            }

            WritePostponed();
            turn.Release();
        }
    }

    /// <summary>
    /// A frame of a few bytes fits the socket's buffer, so this doesn't wait in practice. While a large frame is
    /// half-way out it is kept until that is through.
    /// </summary>
    public void Post(ReadOnlyMemory<byte> frame)
    {
        lock (gate)
        {
            if (disposed != 0 || Closed.IsCompleted || postponed.Count == MostPostponed)
            {
                return;
            }

            postponed.Enqueue(frame);
            if (sending)
            {
                return;
            }
        }

        WritePostponed();
    }

    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref disposed, 1) == 0)
        {
            descriptor.Dispose();
            await Closed;
        }
    }

    private void WritePostponed()
    {
        lock (gate)
        {
            try
            {
                while (postponed.TryDequeue(out ReadOnlyMemory<byte> frame))
                {
                    descriptor.Write(frame.Span);
                }
            }
            catch (Exception error) when (error is LinuxException or ObjectDisposedException)
            {
                // It is gone, and with it whatever was to be signalled; who waits for its end is told.
                postponed.Clear();
            }
        }
    }

    private async Task ReadAllAsync()
    {
        Exception end = Gone();
        try
        {
            byte[] buffer = new byte[FrameLimits.HeaderBytes + MostPayload];
            int filled = 0;
            int count;
            while ((count = await descriptor.ReadAsync(buffer.AsMemory(filled), CancellationToken.None)) > 0)
            {
                filled += count;
                int taken = TakeWhole(buffer.AsSpan(0, filled));
                buffer.AsSpan(taken, filled - taken).CopyTo(buffer);
                filled -= taken;
            }
        }
        catch (Exception error) when (error is LinuxException or ObjectDisposedException)
        {
            end = new BerthException(ErrorCode.NodeFault, "The connection to the sandbox's init was closed.", error);
        }
        catch (BerthException error)
        {
            end = error;
        }

        ended(end);
    }

    /// <summary>Returns how many bytes were whole frames.</summary>
    private int TakeWhole(ReadOnlySpan<byte> bytes)
    {
        int taken = 0;
        while (bytes.Length - taken >= FrameLimits.HeaderBytes)
        {
            ReadOnlySpan<byte> rest = bytes[taken..];
            if (!FrameHeader.TryDecode(rest[..FrameLimits.HeaderBytes], out FrameHeader frame)
                || frame.Length > MostPayload)
            {
                throw Malformed();
            }

            int length = FrameLimits.HeaderBytes + frame.Length;
            if (rest.Length < length)
            {
                break;
            }

            take(frame.Type, rest[FrameLimits.HeaderBytes..length]);
            taken += length;
        }

        return taken;
    }
}
