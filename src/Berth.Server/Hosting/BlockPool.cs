using System.Buffers;
using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using Berth.Server.Loops;
using Microsoft.AspNetCore.Connections;

namespace Berth.Server.Hosting;

/// <summary>
/// The memory that connections read into and write from, in blocks much larger than Kestrel's own 4 KiB, so that a
/// large body takes few system calls. Idle connections hold none. Blocks are pinned once and used again; what is beyond
/// the retained number is left to the garbage collector.
/// </summary>
internal sealed class BlockPool(int blockSize, int retained) : MemoryPool<byte>
{
    /// <summary>The last one that this event loop's thread gave back, most likely still in its processor's cache.
    /// </summary>
    [ThreadStatic]
    private static Block? nearest;

    private readonly ConcurrentQueue<Block> free = new();
    private int freeCount;

    public override int MaxBufferSize => blockSize;

    public override IMemoryOwner<byte> Rent(int minBufferSize = -1)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(minBufferSize, blockSize);
        if (nearest is { } near && near.IsOf(this))
        {
            nearest = null;
            near.Take();
            return near;
        }

        if (free.TryDequeue(out Block? block))
        {
            Interlocked.Decrement(ref freeCount);
            block.Take();
            return block;
        }

        return new Block(this, GC.AllocateUninitializedArray<byte>(blockSize, pinned: true));
    }

    protected override void Dispose(bool disposing) => free.Clear();

    private void Return(Block block)
    {
        if (nearest is null && EventLoop.Current is not null)
        {
            nearest = block;
        }
        else if (Interlocked.Increment(ref freeCount) <= retained)
        {
            free.Enqueue(block);
        }
        else
        {
            Interlocked.Decrement(ref freeCount);
        }
    }

    private sealed class Block(BlockPool pool, byte[] bytes) : IMemoryOwner<byte>
    {
        private int taken = 1;

        public Memory<byte> Memory { get; } = MemoryMarshal.CreateFromPinnedArray(bytes, 0, bytes.Length);

        public bool IsOf(BlockPool other) => ReferenceEquals(pool, other);

        public void Take() => taken = 1;

        public void Dispose()
        {
            // Twice in the pool, a block would be two requests' memory.
            if (Interlocked.Exchange(ref taken, 0) == 1)
            {
                pool.Return(this);
            }
        }
    }
}

/// <summary>Gives Kestrel <see cref="BlockPool"/>s.</summary>
internal sealed class BlockPoolFactory : IMemoryPoolFactory<byte>
{
    public const int BlockSize = 128 * 1024;

    /// <summary>16 MiB kept by a pool; there are one or two.</summary>
    private const int Retained = 128;

    public MemoryPool<byte> Create(MemoryPoolOptions? options = null) => new BlockPool(BlockSize, Retained);
}
