using System.Runtime.InteropServices;
using System.Text;

namespace Berth.Oci.Unix;

/// <summary>What a name in a folder stands for.</summary>
internal enum NodeKind
{
    File,
    Folder,
    SymbolicLink,
    Fifo,
    CharacterDevice,
    BlockDevice,
    Socket,
}

/// <summary>Facts about one node, taken without following links.</summary>
internal readonly record struct NodeStatus(
    NodeKind Kind, uint Mode, uint User, uint Group, long Size, long Seconds, uint Nanoseconds, uint Links, ulong Inode,
    uint DeviceMajor, uint DeviceMinor, ulong FileSystem);

/// <summary>
/// An open folder. Every operation takes one name in it (never a path) and never follows a link, so nothing
/// done through it can reach outside. Methods that return an <see cref="Errno"/> leave the judgement to the
/// caller; the others throw.
/// </summary>
internal sealed unsafe class UnixFolder : IDisposable
{
    internal const int MaxName = 255;

    /// <summary>Longest link target the kernel takes: PATH_MAX without the final 0 (linux/limits.h).</summary>
    internal const int MaxTarget = 4095;

    private const int CurrentFolder = -100;
    private const int CloseOnExec = 0x80000;
    private const int Create = 0x40;
    private const int Exclusive = 0x80;
    private const int WriteOnly = 1;
    private const int NonBlocking = 0x800;
    private const int NoFollowAt = 0x100;
    private const int RemoveFolderFlag = 0x200;

    // asm/fcntl.h: the two flags differ between x86 and arm64.
    private static readonly bool IsArm = RuntimeInformation.ProcessArchitecture == Architecture.Arm64;
    private static readonly int FolderOnly = IsArm ? 0x4000 : 0x10000;
    private static readonly int NoFollow = IsArm ? 0x8000 : 0x20000;

    private int handle;

    private UnixFolder(int handle) => this.handle = handle;

    internal int Handle => handle;

    /// <summary>Opens a folder by an ordinary path of the caller's own; links in it are followed.</summary>
    internal static UnixFolder Open(string path)
    {
        byte[] name = Terminated(path);
        fixed (byte* p = name)
        {
            int descriptor = Libc.OpenAt(CurrentFolder, p, FolderOnly | CloseOnExec, 0);
            return descriptor >= 0 ? new UnixFolder(descriptor) : throw UnixError.From("open", path);
        }
    }

    internal Errno TryOpenFolder(ReadOnlySpan<byte> name, out UnixFolder? folder)
    {
        byte* p = stackalloc byte[MaxName + 1];
        Terminate(name, p);
        int descriptor = Libc.OpenAt(handle, p, FolderOnly | NoFollow | CloseOnExec, 0);
        folder = descriptor >= 0 ? new UnixFolder(descriptor) : null;
        return descriptor >= 0 ? Errno.None : UnixError.Last;
    }

    internal Errno TryMakeFolder(ReadOnlySpan<byte> name)
    {
        byte* p = stackalloc byte[MaxName + 1];
        Terminate(name, p);
        return Libc.MkDirAt(handle, p, 0b111_000_000) == 0 ? Errno.None : UnixError.Last;
    }

    /// <summary>
    /// Makes a file that did not exist, open for writing. The umask applies to <paramref name="mode"/>.
    /// </summary>
    internal Errno TryCreateFile(ReadOnlySpan<byte> name, uint mode, out int descriptor)
    {
        byte* p = stackalloc byte[MaxName + 1];
        Terminate(name, p);
        descriptor = Libc.OpenAt(handle, p, Create | Exclusive | WriteOnly | NoFollow | CloseOnExec, mode);
        return descriptor >= 0 ? Errno.None : UnixError.Last;
    }

    /// <summary>Opens a file for reading. Does not wait on a fifo; the caller checks what it got.</summary>
    internal Errno TryOpenFile(ReadOnlySpan<byte> name, out int descriptor)
    {
        byte* p = stackalloc byte[MaxName + 1];
        Terminate(name, p);
        descriptor = Libc.OpenAt(handle, p, NonBlocking | NoFollow | CloseOnExec, 0);
        return descriptor >= 0 ? Errno.None : UnixError.Last;
    }

    internal Errno TryMakeLink(ReadOnlySpan<byte> name, ReadOnlySpan<byte> target)
    {
        byte* p = stackalloc byte[MaxName + 1];
        Terminate(name, p);
        byte* t = stackalloc byte[MaxTarget + 1];
        Terminate(target, t, MaxTarget);
        return Libc.SymLinkAt(t, handle, p) == 0 ? Errno.None : UnixError.Last;
    }

    internal byte[] ReadLink(ReadOnlySpan<byte> name)
    {
        byte* p = stackalloc byte[MaxName + 1];
        Terminate(name, p);
        byte* t = stackalloc byte[MaxTarget + 1];
        nint length = Libc.ReadLinkAt(handle, p, t, MaxTarget + 1);
        return length >= 0 ? new ReadOnlySpan<byte>(t, (int)length).ToArray() : throw UnixError.From("readlink", name);
    }

    /// <summary>A further name for a node. The node itself is linked, not what a symbolic link points to.</summary>
    internal Errno TryHardLink(ReadOnlySpan<byte> name, UnixFolder targetFolder, ReadOnlySpan<byte> target)
    {
        byte* p = stackalloc byte[MaxName + 1];
        Terminate(name, p);
        byte* t = stackalloc byte[MaxName + 1];
        Terminate(target, t);
        return Libc.LinkAt(targetFolder.handle, t, handle, p, 0) == 0 ? Errno.None : UnixError.Last;
    }

    /// <summary>The character device 0:0 by which overlayfs marks a removed name.</summary>
    internal Errno TryMakeWhiteout(ReadOnlySpan<byte> name)
    {
        const uint CharacterDevice = 0x2000;
        byte* p = stackalloc byte[MaxName + 1];
        Terminate(name, p);
        return Libc.MkNodAt(handle, p, CharacterDevice, 0) == 0 ? Errno.None : UnixError.Last;
    }

    internal Errno TryRemove(ReadOnlySpan<byte> name, bool folder)
    {
        byte* p = stackalloc byte[MaxName + 1];
        Terminate(name, p);
        return Libc.UnlinkAt(handle, p, folder ? RemoveFolderFlag : 0) == 0 ? Errno.None : UnixError.Last;
    }

    internal Errno TryRename(ReadOnlySpan<byte> from, UnixFolder toFolder, ReadOnlySpan<byte> to)
    {
        byte* p = stackalloc byte[MaxName + 1];
        Terminate(from, p);
        byte* t = stackalloc byte[MaxName + 1];
        Terminate(to, t);
        return Libc.RenameAt(handle, p, toFolder.handle, t) == 0 ? Errno.None : UnixError.Last;
    }

    internal Errno TryStatus(ReadOnlySpan<byte> name, out NodeStatus status)
    {
        const uint BasicStats = 0x7ff;
        byte* p = stackalloc byte[MaxName + 1];
        Terminate(name, p);
        Libc.StatxBuffer raw;
        if (Libc.StatX(handle, p, NoFollowAt, BasicStats, &raw) != 0)
        {
            status = default;
            return UnixError.Last;
        }

        status = UnixFile.ToStatus(raw);
        return Errno.None;
    }

    /// <summary>Owner of a node that can't be opened for it: a symbolic link.</summary>
    internal void SetLinkOwner(ReadOnlySpan<byte> name, uint user, uint group)
    {
        byte* p = stackalloc byte[MaxName + 1];
        Terminate(name, p);
        if (Libc.FChownAt(handle, p, user, group, NoFollowAt) != 0)
        {
            throw UnixError.From("lchown", name);
        }
    }

    internal void SetLinkTime(ReadOnlySpan<byte> name, long seconds, int nanoseconds)
    {
        byte* p = stackalloc byte[MaxName + 1];
        Terminate(name, p);
        Libc.TimeSpec* times = stackalloc Libc.TimeSpec[2];
        times[0] = times[1] = new Libc.TimeSpec { Seconds = seconds, Nanoseconds = nanoseconds };
        if (Libc.UtimensAt(handle, p, times, NoFollowAt) != 0)
        {
            throw UnixError.From("utimensat", name);
        }
    }

    /// <summary>The names in the folder, in the file system's order, without <c>.</c> and <c>..</c>.</summary>
    internal List<byte[]> ReadNames()
    {
        const int HeaderSize = 19; // struct linux_dirent64: inode 8, offset 8, length 2, type 1
        var names = new List<byte[]>();
        byte[] buffer = new byte[32 * 1024];
        fixed (byte* p = buffer)
        {
            nint filled;
            while ((filled = Libc.GetDents(handle, p, (nuint)buffer.Length)) > 0)
            {
                for (int at = 0; at < filled; at += BitConverter.ToUInt16(buffer, at + 16))
                {
                    ReadOnlySpan<byte> name = MemoryMarshal.CreateReadOnlySpanFromNullTerminated(p + at + HeaderSize);
                    if (!name.SequenceEqual("."u8) && !name.SequenceEqual(".."u8))
                    {
                        names.Add(name.ToArray());
                    }
                }
            }

            return filled == 0 ? names : throw UnixError.From("getdents64", "folder");
        }
    }

    public void Dispose()
    {
        if (handle >= 0)
        {
            _ = Libc.Close(handle);
            handle = -1;
        }
    }

    private static byte[] Terminated(string path) => [.. Encoding.UTF8.GetBytes(path), 0];

    private static void Terminate(ReadOnlySpan<byte> name, byte* into, int max = MaxName)
    {
        if (name.Length > max || name.Contains((byte)0))
        {
            throw new InvalidOperationException("A name that was not checked reached a system call.");
        }

        name.CopyTo(new Span<byte>(into, max));
        into[name.Length] = 0;
    }
}
