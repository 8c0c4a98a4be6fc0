using System.Runtime.InteropServices;

namespace Berth.Node.Linux;

/// <summary>
/// An open descriptor, closed exactly once. Every descriptor this room makes is close-on-exec; a child gets only those
/// that <see cref="SpawnSpec"/> maps.
/// </summary>
public sealed class FileDescriptor : SafeHandle
{
    public FileDescriptor(int number)
        : base(-1, ownsHandle: true) => SetHandle(number);

    public override bool IsInvalid => handle == -1;

    /// <summary>The number, for messages and for calls made while this object is surely alive.</summary>
    public int Number => (int)handle;

    /// <summary>A second descriptor for the same open file.</summary>
    public FileDescriptor Duplicate(int atLeast = 3)
    {
        int number = Libc.FcntlInt(this, Libc.F_DUPFD_CLOEXEC, atLeast);
        return number >= 0 ? new FileDescriptor(number) : throw LinuxException.Last("fcntl", "F_DUPFD_CLOEXEC");
    }

    /// <summary>Gives the descriptor away: whoever gets the number closes it.</summary>
    public int Release()
    {
        int number = (int)handle;
        SetHandleAsInvalid();
        return number;
    }

    /// <summary>Permission bits of the file behind the descriptor; a pipe has them too (fchmod(2)).</summary>
    public void ChangeMode(int mode)
    {
        if (Libc.FChMod(this, mode) < 0)
        {
            throw LinuxException.Last("fchmod", $"fd {Number}");
        }
    }

    /// <summary>Of a pipe, socket or the like that this room made: none has another flag that would be lost.</summary>
    internal void SetNonBlocking()
    {
        if (Libc.FcntlInt(this, Libc.F_SETFL, Libc.O_NONBLOCK) < 0)
        {
            throw LinuxException.Last("fcntl", "O_NONBLOCK");
        }
    }

    protected override bool ReleaseHandle() => Libc.Close((int)handle) == 0;
}
