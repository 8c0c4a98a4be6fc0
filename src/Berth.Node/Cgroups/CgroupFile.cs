using System.Buffers.Text;
using System.Text;

namespace Berth.Node.Cgroups;

/// <summary>
/// Reads and writes the small files of a control group. A value is one number, or lines of "key number".
/// </summary>
internal static class CgroupFile
{
    /// <summary>Largest of these files that is read: memory.stat has about 2 KiB.</summary>
    private const int MaxBytes = 16 * 1024;

    public static long ReadNumber(string path)
    {
        Span<byte> buffer = stackalloc byte[64];
        int length = Read(path, buffer);
        return Utf8Parser.TryParse(buffer[..length], out long value, out _)
            ? value
            : throw new InvalidDataException($"{path} does not begin with a number.");
    }

    /// <summary>The number after a key, or 0 when the kernel has no such line.</summary>
    public static long ReadKey(string path, string key)
    {
        foreach ((string name, long value) in ReadTable(path))
        {
            if (name == key)
            {
                return value;
            }
        }

        return 0;
    }

    public static IReadOnlyList<KeyValuePair<string, long>> ReadTable(string path)
    {
        byte[] buffer = new byte[MaxBytes];
        int length = Read(path, buffer);
        List<KeyValuePair<string, long>> table = [];
        foreach (string line in Encoding.ASCII.GetString(buffer, 0, length).Split('\n'))
        {
            int space = line.IndexOf(' ', StringComparison.Ordinal);
            if (space > 0 && long.TryParse(line.AsSpan(space + 1), out long value))
            {
                table.Add(new(line[..space], value));
            }
        }

        return table;
    }

    /// <summary>Process ids, one a line. Empty when the group is gone.</summary>
    public static IReadOnlyList<int> ReadPids(string path)
    {
        try
        {
            return [.. File.ReadLines(path).Select(line => int.TryParse(line, out int pid) ? pid : 0)
                .Where(pid => pid > 0)];
        }
        catch (IOException error) when (IsGone(error))
        {
            return [];
        }
    }

    public static void Write(string path, string value)
    {
        // One write(2) per value: the kernel takes each write as a whole command.
        using var file = new FileStream(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite, bufferSize: 0);
        file.Write(Encoding.ASCII.GetBytes(value));
    }

    /// <summary>The file or its group was removed meanwhile (ENOENT, or ENODEV on a file still open).</summary>
    public static bool IsGone(IOException error)
    {
        const int NoDevice = 19;
        return error is FileNotFoundException or DirectoryNotFoundException || error.HResult == NoDevice;
    }

    private static int Read(string path, Span<byte> buffer)
    {
        using var handle = File.OpenHandle(path);
        int total = 0;
        while (total < buffer.Length)
        {
            int count = RandomAccess.Read(handle, buffer[total..], total);
            if (count == 0)
            {
                break;
            }

            total += count;
        }

        return total;
    }
}
