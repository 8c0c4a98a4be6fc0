using Berth.Core.Resources;
using Berth.Core.Runs;

namespace Berth.Server.Calls;

/// <summary>What room is taken for.</summary>
internal enum OverflowUse
{
    /// <summary>A body that its program does not read. May take half of the room: its caller can wait.</summary>
    Input,

    /// <summary>An answer that its caller does not read while it sends; without room the two wait for each other.
    /// </summary>
    Output,
}

/// <summary>
/// The disk space that bodies and answers may take while nobody reads them: a folder of files without names, together
/// no larger than the operator's <c>overflow-limit</c>. Nothing in it outlasts the server.
/// </summary>
internal sealed class OverflowRoom
{
    /// <summary>
    /// Room is taken in steps, so that the bound and the disk are looked at now and then, not at every block.
    /// </summary>
    private static readonly ByteSize Step = ByteSize.MiB(16);

    /// <summary>Left to the store and the spool, which need the disk more.</summary>
    private static readonly ByteSize LeftFree = ByteSize.GiB(1);

    private readonly string folder;
    private readonly ByteSize limit;
    private long taken;

    public OverflowRoom(string folder, ByteSize limit)
    {
        this.folder = folder;
        this.limit = limit;
        Directory.CreateDirectory(folder);
        foreach (string left in Directory.EnumerateFiles(folder))
        {
            // A server was killed between making the file and taking its name away.
            File.Delete(left);
        }
    }

    /// <summary>Bytes taken now, by all calls.</summary>
    public long Taken => Interlocked.Read(ref taken);

    /// <summary>A new file with room for a first step; null when there is no room.</summary>
    public OverflowFile? TryOpen(RunId id, OverflowUse use)
    {
        long most = use == OverflowUse.Input ? limit.Bytes / 2 : limit.Bytes;
        if (!TryTake(most))
        {
            return null;
        }

        try
        {
            return new OverflowFile(this, Path.Combine(folder, $"{id.Text}-{use}"), most, Step.Bytes);
        }
        catch (IOException)
        {
            Release(Step.Bytes);
            return null;
        }
    }

    /// <summary>Takes one more step for a file; returns its bytes, 0 when there is no room.</summary>
    /// <param name="most">What all may have taken then.</param>
    public long TakeStep(long most) => TryTake(most) ? Step.Bytes : 0;

    public void Release(long bytes) => Interlocked.Add(ref taken, -bytes);

    private bool TryTake(long most)
    {
        if (Interlocked.Add(ref taken, Step.Bytes) <= most
            && new DriveInfo(folder).AvailableFreeSpace >= LeftFree.Bytes)
        {
            return true;
        }

        Release(Step.Bytes);
        return false;
    }
}
