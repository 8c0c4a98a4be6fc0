using System.Buffers;
using System.Runtime.ExceptionServices;

namespace Berth.Oci.Layers;

/// <summary>
/// Hands pieces of a stream from one thread to another through a fixed number of buffers: a slow reader stops the
/// writer and memory stays bounded. One writer, one reader, both blocking; either may leave early by cancelling.
/// </summary>
internal sealed class ChunkRing : IDisposable
{
    internal const int ChunkSize = 256 * 1024;
    private const int Chunks = 8;

    private readonly byte[][] buffers = new byte[Chunks][];
    private readonly int[] lengths = new int[Chunks];
    private readonly SemaphoreSlim free = new(Chunks);
    private readonly SemaphoreSlim filled = new(0);
    private ExceptionDispatchInfo? failure;
    private long published;
    private long taken;

    internal ChunkRing()
    {
        for (int i = 0; i < Chunks; i++)
        {
            buffers[i] = ArrayPool<byte>.Shared.Rent(ChunkSize);
        }
    }

    /// <summary>The writer's: waits for an empty buffer.</summary>
    internal Memory<byte> NextFree(CancellationToken cancellationToken)
    {
        free.Wait(cancellationToken);
        return buffers[published % Chunks].AsMemory(0, ChunkSize);
    }

    /// <summary>The writer's: hands over what it put into the last buffer; 0 is the end.</summary>
    internal void Publish(int length)
    {
        lengths[published % Chunks] = length;
        Volatile.Write(ref published, published + 1);
        filled.Release();
    }

    /// <summary>The writer's: ends with an error that the reader will throw. Needs no free buffer.</summary>
    internal void Fail(Exception exception)
    {
        failure = ExceptionDispatchInfo.Capture(exception);
        filled.Release();
    }

    /// <summary>The reader's: gives the last piece back and waits for the next; empty at the end.</summary>
    internal ReadOnlyMemory<byte> Next(CancellationToken cancellationToken)
    {
        if (taken > 0)
        {
            free.Release();
        }

        filled.Wait(cancellationToken);
        if (taken == Volatile.Read(ref published))
        {
            // Nothing is left but the signal of Fail; what was published before it has been read.
            failure!.Throw();
        }

        long piece = taken++ % Chunks;
        return buffers[piece].AsMemory(0, lengths[piece]);
    }

    /// <summary>Only after both threads are done: the buffers go back to the pool.</summary>
    public void Dispose()
    {
        foreach (byte[] buffer in buffers)
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }

        free.Dispose();
        filled.Dispose();
    }
}
