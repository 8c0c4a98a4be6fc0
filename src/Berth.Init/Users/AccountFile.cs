using System.Runtime.InteropServices;
using Berth.Init.Linux;

namespace Berth.Init.Users;

/// <summary>
/// One of the image's own account files. It is the image's, thus hostile: only a regular file, opened without waiting
/// for a fifo's writer, of at most 1 MiB.
/// </summary>
internal static unsafe class AccountFile
{
    private const int MaxBytes = 1024 * 1024;

    /// <summary>Empty when there is none; <paramref name="problem"/> tells why where it isn't merely absent.</summary>
    public static ReadOnlySpan<byte> Read(scoped ReadOnlySpan<byte> path, out string? problem)
    {
        problem = null;
        fixed (byte* name = path)
        {
            int fd = Kernel.Open(name, Kernel.O_RDONLY | Kernel.O_NONBLOCK | Kernel.O_CLOEXEC);
            if (fd < 0)
            {
                problem = Kernel.Errno == Kernel.ENOENT ? null : "can't be opened";
                return default;
            }

            Kernel.FileStatus status;
            if (Kernel.FStat(fd, &status) < 0 || !status.IsRegular)
            {
                problem = "is not a regular file";
                Kernel.Close(fd);
                return default;
            }

            ReadOnlySpan<byte> content = ReadAll(fd, ref problem);
            Kernel.Close(fd);
            return content;
        }
    }

    /// <summary>The next line without its end; false when there is none.</summary>
    public static bool TryTakeLine(scoped ref ReadOnlySpan<byte> rest, out ReadOnlySpan<byte> line)
    {
        if (rest.IsEmpty)
        {
            line = default;
            return false;
        }

        int end = rest.IndexOf((byte)'\n');
        line = end < 0 ? rest : rest[..end];
        rest = end < 0 ? default : rest[(end + 1)..];
        return true;
    }

    /// <summary>
    /// Field number <paramref name="index"/> of a line of fields separated by colons; empty when absent.
    /// </summary>
    public static ReadOnlySpan<byte> Field(ReadOnlySpan<byte> line, int index)
    {
        for (; index > 0; index--)
        {
            int colon = line.IndexOf((byte)':');
            if (colon < 0)
            {
                return default;
            }

            line = line[(colon + 1)..];
        }

        int end = line.IndexOf((byte)':');
        return end < 0 ? line : line[..end];
    }

    private static ReadOnlySpan<byte> ReadAll(int fd, scoped ref string? problem)
    {
        byte* buffer = (byte*)FrameMemory.Take(MaxBytes + 1);
        int length = 0;
        while (length <= MaxBytes)
        {
            nint count = Kernel.Read(fd, buffer + length, MaxBytes + 1 - length);
            if (count < 0)
            {
                problem = "can't be read";
                return default;
            }

            if (count == 0)
            {
                return new ReadOnlySpan<byte>(buffer, length);
            }

            length += (int)count;
        }

        problem = "is larger than 1 MiB";
        return default;
    }
}
