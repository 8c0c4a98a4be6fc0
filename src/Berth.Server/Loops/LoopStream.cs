using System.Net.Sockets;
using Berth.Core.Streams;

namespace Berth.Server.Loops;

/// <summary>A socket of an event loop as a stream. Disposing it ends what is under way.</summary>
internal sealed class LoopStream(LoopSocket socket) : SequentialStream
{
    public LoopSocket Socket => socket;

    public override bool CanRead => true;

    public override bool CanWrite => true;

    /// <summary>The same connection, watched by a loop where the kernel has a socket for it.</summary>
    public static Stream Over(Stream stream, EventLoop loop)
    {
        if (stream is not NetworkStream network)
        {
            return stream;
        }

        try
        {
            return new LoopStream(new LoopSocket(network.Socket, loop));
        }
        catch
        {
            network.Dispose();
            throw;
        }
    }

    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
        socket.ReceiveAsync(buffer);

    public override ValueTask WriteAsync(
        ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default) => socket.SendAsync(buffer);

    protected override void Dispose(bool disposing)
    {
        socket.Dispose();
        base.Dispose(disposing);
    }
}
