using System.Buffers.Text;
using Berth.Init.Linux;

namespace Berth.Init.Lanes;

/// <summary>The processes whose parent is this one, as the kernel lists them (proc(5), /proc/pid/task/tid/children).
/// </summary>
internal static unsafe class LaneChildren
{
    private const int ChunkBytes = 4096;

    /// <summary>SIGKILL to each and to the process group it may lead. False where the kernel keeps no list.</summary>
    public static bool TryKill()
    {
        byte* buffer = stackalloc byte[ChunkBytes];
        fixed (byte* path = Encode())
        {
            int fd = Kernel.Open(path, Kernel.O_RDONLY | Kernel.O_CLOEXEC);
            if (fd < 0)
            {
                return false;
            }

            int pid = 0;
            nint count;
            while ((count = Kernel.Read(fd, buffer, ChunkBytes)) > 0)
            {
                // "12 345 ": numbers may be cut by the end of a chunk.
                for (int i = 0; i < count; i++)
                {
                    if (buffer[i] is >= (byte)'0' and <= (byte)'9')
                    {
                        pid = (pid * 10) + (buffer[i] - '0');
                        continue;
                    }

                    Kill(pid);
                    pid = 0;
                }
            }

            Kernel.Close(fd);
            return count == 0;
        }
    }

    private static void Kill(int pid)
    {
        // 1 would be every process there is (kill(2)).
        if (pid > 1)
        {
            Kernel.Kill(-pid, Kernel.SIGKILL);
            Kernel.Kill(pid, Kernel.SIGKILL);
        }
    }

    /// <summary>The list of this process's only thread, whose id is the process's.</summary>
    private static byte[] Encode()
    {
        byte[] path = new byte[64];
        int length = 0;
        Append(path, "/proc/self/task/"u8, ref length);
        Utf8Formatter.TryFormat(Kernel.GetPid(), path.AsSpan(length), out int digits);
        length += digits;
        Append(path, "/children"u8, ref length);
        return path;
    }

    private static void Append(byte[] path, ReadOnlySpan<byte> text, ref int length)
    {
        text.CopyTo(path.AsSpan(length));
        length += text.Length;
    }
}
