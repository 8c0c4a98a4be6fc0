using System.Text;
using System.Text.RegularExpressions;

namespace Berth.Oci.Unix;

/// <summary>Operations on an open file or folder, given by its descriptor. Failures throw and name the call.</summary>
internal static unsafe partial class UnixFile
{
    /// <summary>The bits that this process's umask takes from the mode of a file it makes.</summary>
    internal static uint Umask { get; } = ReadUmask();

    internal static void Write(int descriptor, ReadOnlySpan<byte> bytes, string path)
    {
        fixed (byte* p = bytes)
        {
            for (int done = 0; done < bytes.Length;)
            {
                nint written = Libc.Write(descriptor, p + done, (nuint)(bytes.Length - done));
                if (written > 0)
                {
                    done += (int)written;
                }
                else if (UnixError.Last != Errno.Interrupted)
                {
                    throw UnixError.From("write", path);
                }
            }
        }
    }

    /// <summary>Reads up to the span's length; 0 at the end.</summary>
    internal static int Read(int descriptor, Span<byte> bytes, string path)
    {
        fixed (byte* p = bytes)
        {
            while (true)
            {
                nint count = Libc.Read(descriptor, p, (nuint)bytes.Length);
                if (count >= 0)
                {
                    return (int)count;
                }

                if (UnixError.Last != Errno.Interrupted)
                {
                    throw UnixError.From("read", path);
                }
            }
        }
    }

    internal static NodeStatus Status(int descriptor, string path)
    {
        const int EmptyPath = 0x1000;
        const uint BasicStats = 0x7ff;
        byte empty = 0;
        Libc.StatxBuffer raw;
        return Libc.StatX(descriptor, &empty, EmptyPath, BasicStats, &raw) == 0
            ? ToStatus(raw)
            : throw UnixError.From("statx", path);
    }

    internal static void SetOwner(int descriptor, uint user, uint group, string path)
    {
        if (Libc.FChown(descriptor, user, group) != 0)
        {
            throw UnixError.From("fchown", path);
        }
    }

    internal static void SetMode(int descriptor, uint mode, string path)
    {
        if (Libc.FChmod(descriptor, mode) != 0)
        {
            throw UnixError.From("fchmod", path);
        }
    }

    internal static void SetTime(int descriptor, long seconds, int nanoseconds, string path)
    {
        Libc.TimeSpec* times = stackalloc Libc.TimeSpec[2];
        times[0] = times[1] = new Libc.TimeSpec { Seconds = seconds, Nanoseconds = nanoseconds };
        if (Libc.FUtimens(descriptor, times) != 0)
        {
            throw UnixError.From("futimens", path);
        }
    }

    internal static Errno TrySetXattr(int descriptor, string name, ReadOnlySpan<byte> value)
    {
        fixed (byte* n = Terminated(name))
        fixed (byte* v = value)
        {
            return Libc.FSetXattr(descriptor, n, v, (nuint)value.Length, 0) == 0 ? Errno.None : UnixError.Last;
        }
    }

    /// <summary>The attribute's value, or null when it is not set.</summary>
    internal static byte[]? GetXattr(int descriptor, string name)
    {
        byte[] buffer = new byte[64 * 1024]; // XATTR_SIZE_MAX (linux/limits.h)
        fixed (byte* n = Terminated(name))
        fixed (byte* v = buffer)
        {
            nint size = Libc.FGetXattr(descriptor, n, v, (nuint)buffer.Length);
            return size >= 0
                ? buffer[..(int)size]
                : UnixError.Last is Errno.NoData or Errno.NotSupported ? null : throw UnixError.From("fgetxattr", name);
        }
    }

    internal static string[] ListXattrs(int descriptor, string path)
    {
        byte[] buffer = new byte[64 * 1024]; // XATTR_LIST_MAX (linux/limits.h)
        fixed (byte* names = buffer)
        {
            nint size = Libc.FListXattr(descriptor, names, (nuint)buffer.Length);
            return size >= 0
                ? Encoding.UTF8.GetString(buffer, 0, (int)size).Split('\0', StringSplitOptions.RemoveEmptyEntries)
                : UnixError.Last == Errno.NotSupported ? [] : throw UnixError.From("flistxattr", path);
        }
    }

    /// <summary>Writes everything of the descriptor's file system to disk.</summary>
    internal static void SyncFileSystem(int descriptor, string path)
    {
        if (Libc.SyncFs(descriptor) != 0)
        {
            throw UnixError.From("syncfs", path);
        }
    }

    internal static void Close(int descriptor, string path)
    {
        // Some file systems report a lost write only here; EINTR means closed all the same on Linux (close(2)).
        if (Libc.Close(descriptor) != 0 && UnixError.Last != Errno.Interrupted)
        {
            throw UnixError.From("close", path);
        }
    }

    internal static NodeStatus ToStatus(in Libc.StatxBuffer raw) => new(
        (raw.Mode & 0xf000) switch
        {
            0x4000 => NodeKind.Folder,
            0x8000 => NodeKind.File,
            0xa000 => NodeKind.SymbolicLink,
            0x1000 => NodeKind.Fifo,
            0x2000 => NodeKind.CharacterDevice,
            0x6000 => NodeKind.BlockDevice,
            _ => NodeKind.Socket,
        },
        raw.Mode & 0xfffu, raw.User, raw.Group, (long)raw.Size, raw.ModifiedSeconds, raw.ModifiedNanoseconds, raw.Links,
        raw.Inode, raw.DeviceMajor, raw.DeviceMinor, ((ulong)raw.FileSystemMajor << 32) | raw.FileSystemMinor);

    private static byte[] Terminated(string name) => [.. Encoding.UTF8.GetBytes(name), 0];

    private static uint ReadUmask()
    {
        Match match = UmaskLine().Match(File.ReadAllText("/proc/self/status"));
        return match.Success ? Convert.ToUInt32(match.Groups["mask"].Value, 8) : 0b111_111_111;
    }

    [GeneratedRegex(@"^Umask:\s*(?<mask>[0-7]+)", RegexOptions.Multiline | RegexOptions.NonBacktracking)]
    private static partial Regex UmaskLine();
}
