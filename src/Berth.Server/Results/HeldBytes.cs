using Microsoft.Win32.SafeHandles;

namespace Berth.Server.Results;

/// <summary>
/// Bytes that are held until nobody wants them any more: a few in memory, more in a file without a name, which is gone
/// with its last descriptor however the server ends. One writes, afterwards any number read. Made with one holder;
/// disposing gives that one's hold up.
/// </summary>
internal sealed class HeldBytes(ResultRoom room, long most) : IDisposable
{
    /// <summary>What is not worth a file.</summary>
    public const int InMemory = 16 * 1024;

    private byte[] block = [];
    private SafeFileHandle? file;
    private int holders = 1;

    public long Length { get; private set; }

    public bool IsFile => file is not null;

    /// <summary>Appends all of it, or nothing where there is no room or it would be more than may be held.</summary>
    public async ValueTask<bool> TryAppendAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
    {
        if (Length + bytes.Length > most || !room.TryTake(bytes.Length))
        {
            return false;
        }

        try
        {
            if (file is null && Length + bytes.Length > InMemory)
            {
                await MoveAsync(cancellationToken);
            }

            if (file is null)
            {
                Grow((int)Length + bytes.Length);
                bytes.CopyTo(block.AsMemory((int)Length));
            }
            else
            {
                await RandomAccess.WriteAsync(file, bytes, Length, cancellationToken);
            }
        }
        catch (Exception error) when (error is IOException or OperationCanceledException)
        {
            room.GiveBack(bytes.Length);
            // The disk is full for others' doing: what was held before still is.
            return error is IOException ? false : throw new OperationCanceledException(cancellationToken);
        }

        Length += bytes.Length;
        return true;
    }

    /// <summary>What there is from <paramref name="offset"/> on; 0 at the end.</summary>
    public async ValueTask<int> ReadAsync(Memory<byte> target, long offset, CancellationToken cancellationToken)
    {
        int count = (int)Math.Min(target.Length, Length - offset);
        if (count <= 0)
        {
            return 0;
        }

        if (file is not null)
        {
            return await RandomAccess.ReadAsync(file, target[..count], offset, cancellationToken);
        }

        block.AsMemory((int)offset, count).CopyTo(target);
        return count;
    }

    /// <summary>One more holder; false where the last has gone.</summary>
    public bool TryHold()
    {
        for (int now = Volatile.Read(ref holders); now > 0; now = Volatile.Read(ref holders))
        {
            if (Interlocked.CompareExchange(ref holders, now + 1, now) == now)
            {
                return true;
            }
        }

        return false;
    }

    public void Dispose()
    {
        if (Interlocked.Decrement(ref holders) == 0)
        {
            file?.Dispose();
            room.GiveBack(Length);
        }
    }

    private async Task MoveAsync(CancellationToken cancellationToken)
    {
        SafeFileHandle made = room.NewFile();
        try
        {
            await RandomAccess.WriteAsync(made, block.AsMemory(0, (int)Length), 0, cancellationToken);
        }
        catch (Exception)
        {
            made.Dispose();
            throw;
        }

        file = made;
        block = [];
    }

    private void Grow(int needed)
    {
        if (block.Length < needed)
        {
            Array.Resize(ref block, Math.Min(InMemory, Math.Max(needed, 2 * block.Length)));
        }
    }
}
