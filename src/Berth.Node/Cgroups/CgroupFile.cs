using System.Buffers;
using System.Buffers.Text;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using Berth.Node.Linux;

namespace Berth.Node.Cgroups;

/// <summary>
/// Reads and writes the small files of a control group. A value is one number, or lines of "key number". Straight from
/// the kernel: some of these files are read for each call, and a stream's looks and locks would be most of the work.
/// </summary>
internal static class CgroupFile
{
    /// <summary>Largest of these files that is read: memory.stat has about 2 KiB.</summary>
    private const int MaxBytes = 16 * 1024;

    public static long ReadNumber(string path)
    {
        using FileDescriptor file = FileSystems.OpenForReading(path);
        return ReadNumber(file, path);
    }

    /// <summary>The same of a file that stays open.</summary>
    public static long ReadNumber(FileDescriptor file, string path)
    {
        Span<byte> buffer = stackalloc byte[64];
        int length = Read(file, path, buffer);
        return Utf8Parser.TryParse(buffer[..length], out long value, out _)
            ? value
            : throw new InvalidDataException($"{path} does not begin with a number.");
    }

    /// <summary>The number after a key, or 0 when the kernel has no such line.</summary>
    public static long ReadKey(string path, string key)
    {
        using FileDescriptor file = FileSystems.OpenForReading(path);
        return ReadKey(file, path, key);
    }

    /// <summary>The same of a file that stays open.</summary>
    [SkipLocalsInit]
    public static long ReadKey(FileDescriptor file, string path, string key)
    {
        Span<byte> buffer = stackalloc byte[MaxBytes];
        ReadOnlySpan<byte> rest = buffer[..Read(file, path, buffer)];
        while (TryTake(ref rest, out ReadOnlySpan<byte> name, out long value))
        {
            if (Ascii.Equals(name, key))
            {
                return value;
            }
        }

        return 0;
    }

    public static IReadOnlyList<KeyValuePair<string, long>> ReadTable(string path)
    {
        Span<byte> buffer = new byte[MaxBytes];
        ReadOnlySpan<byte> rest = buffer[..Read(path, buffer)];
        List<KeyValuePair<string, long>> table = [];
        while (TryTake(ref rest, out ReadOnlySpan<byte> name, out long value))
        {
            table.Add(new(Encoding.ASCII.GetString(name), value));
        }

        return table;
    }

    /// <summary>Process ids, one a line. Empty when the group is gone.</summary>
    public static IReadOnlyList<int> ReadPids(string path)
    {
        byte[] buffer = ArrayPool<byte>.Shared.Rent(MaxBytes);
        try
        {
            int length;
            while ((length = Read(path, buffer)) == buffer.Length)
            {
                // More than fits: once again, with more room.
                int more = 2 * buffer.Length;
                ArrayPool<byte>.Shared.Return(buffer);
                buffer = ArrayPool<byte>.Shared.Rent(more);
            }

            return PidsOf(buffer.AsSpan(0, length));
        }
        catch (IOException error) when (IsGone(error))
        {
            return [];
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    public static unsafe void Write(string path, string value)
    {
        using FileDescriptor file = FileSystems.OpenForWriting(path);
        // One write(2) per value: the kernel takes each write as a whole command.
        byte[] bytes = Encoding.ASCII.GetBytes(value);
        fixed (byte* start = bytes)
        {
            while (Libc.Write(file, start, bytes.Length) < 0)
            {
                if (Marshal.GetLastPInvokeError() != Errno.Interrupted)
                {
                    throw LinuxException.Last("write", path);
                }
            }
        }
    }

    /// <summary>The file or its group was removed meanwhile (ENOENT, or ENODEV on a file still open).</summary>
    public static bool IsGone(IOException error)
    {
        const int NoDevice = 19;
        return error is FileNotFoundException or DirectoryNotFoundException
            || error.HResult is Errno.NoEntry or NoDevice;
    }

    /// <summary>Takes lines up to the next of the form "key number"; false when there is none.</summary>
    private static bool TryTake(ref ReadOnlySpan<byte> lines, out ReadOnlySpan<byte> key, out long value)
    {
        while (!lines.IsEmpty)
        {
            int end = lines.IndexOf((byte)'\n');
            ReadOnlySpan<byte> line = end < 0 ? lines : lines[..end];
            lines = end < 0 ? [] : lines[(end + 1)..];
            int space = line.IndexOf((byte)' ');
            if (space > 0 && Utf8Parser.TryParse(line[(space + 1)..], out value, out int length)
                && space + 1 + length == line.Length)
            {
                key = line[..space];
                return true;
            }
        }

        key = default;
        value = 0;
        return false;
    }

    private static List<int> PidsOf(ReadOnlySpan<byte> lines)
    {
        List<int> pids = [];
        while (Utf8Parser.TryParse(lines, out int pid, out int length))
        {
            // 0 is a process that is not seen from here.
            if (pid > 0)
            {
                pids.Add(pid);
            }

            lines = lines[Math.Min(length + 1, lines.Length)..];
        }

        return pids;
    }

    private static int Read(string path, Span<byte> buffer)
    {
        using FileDescriptor file = FileSystems.OpenForReading(path);
        return Read(file, path, buffer);
    }

    /// <summary>From its beginning: the kernel writes such a file anew for who reads there.</summary>
    private static unsafe int Read(FileDescriptor file, string path, Span<byte> buffer)
    {
        int total = 0;
        fixed (byte* start = buffer)
        {
            while (total < buffer.Length)
            {
                nint count = Libc.PositionedRead(file, start + total, buffer.Length - total, total);
                if (count < 0 && Marshal.GetLastPInvokeError() == Errno.Interrupted)
                {
                    continue;
                }

                if (count < 0)
                {
                    throw LinuxException.Last("read", path);
                }

                if (count == 0)
                {
                    break;
                }

                total += (int)count;
            }
        }

        return total;
    }
}
