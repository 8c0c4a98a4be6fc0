using Microsoft.Win32.SafeHandles;

namespace Berth.Server.Calls;

/// <summary>
/// A queue of bytes on disk for one writer and one reader at once. The file has no name, so that it is gone with its
/// last descriptor, however the server ends.
/// </summary>
internal sealed class OverflowFile : IDisposable
{
    private readonly OverflowRoom room;
    private readonly SafeFileHandle handle;
    private readonly long most;
    private long taken;
    private long written;
    private long read;

    /// <param name="most">What all files together may have taken for this one to grow.</param>
    /// <param name="taken">Room that was taken for it already.</param>
    internal OverflowFile(OverflowRoom room, string path, long most, long taken)
    {
        this.room = room;
        this.most = most;
        this.taken = taken;
        handle = File.OpenHandle(
            path, FileMode.Create, FileAccess.ReadWrite, FileShare.Delete, FileOptions.Asynchronous);
        File.Delete(path);
    }

    /// <summary>Appends all of it, or nothing where there is no room.</summary>
    public async ValueTask<bool> TryWriteAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
    {
        while (written + bytes.Length > taken)
        {
            long step = room.TakeStep(most);
            if (step == 0)
            {
                return false;
            }

            taken += step;
        }

        try
        {
            await RandomAccess.WriteAsync(handle, bytes, written, cancellationToken);
        }
        catch (IOException)
        {
            // The disk is full for others' doing. What was written in part is not counted.
            return false;
        }

        Volatile.Write(ref written, written + bytes.Length);
        return true;
    }

    /// <summary>The next bytes; 0 when there are none now.</summary>
    public async ValueTask<int> ReadAsync(Memory<byte> target, CancellationToken cancellationToken)
    {
        int count = (int)Math.Min(target.Length, Volatile.Read(ref written) - read);
        if (count > 0)
        {
            count = await RandomAccess.ReadAsync(handle, target[..count], read, cancellationToken);
            read += count;
        }

        return count;
    }

    public void Dispose()
    {
        handle.Dispose();
        room.Release(taken);
        taken = 0;
    }
}
