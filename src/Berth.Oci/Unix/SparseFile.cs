using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Berth.Oci.Unix;

/// <summary>A part of a file that has data. What lies between such parts reads as zeros and takes no space.</summary>
public readonly record struct FileExtent(long Offset, long Length)
{
    public long End => Offset + Length;
}

/// <summary>Files with holes (lseek(2), SEEK_DATA and SEEK_HOLE).</summary>
public static unsafe partial class SparseFile
{
    private const int Chunk = 1024 * 1024;

    /// <summary>In order, none empty, none touching another. Throws IOException.</summary>
    public static IReadOnlyList<FileExtent> ExtentsOf(SafeFileHandle file)
    {
        const int SeekData = 3;
        const int SeekHole = 4;
        const int NoMoreData = 6;
        List<FileExtent> extents = [];
        for (long end = 0; ;)
        {
            long begin = Seek(file, end, SeekData);
            if (begin < 0)
            {
                return Marshal.GetLastPInvokeError() == NoMoreData ? extents : throw UnixError.From("lseek", "a file");
            }

            end = Seek(file, begin, SeekHole);
            if (end < 0)
            {
                throw UnixError.From("lseek", "a file");
            }

            extents.Add(new FileExtent(begin, end - begin));
        }
    }

    /// <summary>
    /// Copies a file with its holes. Where the file system can share blocks it does, and the copy takes neither time
    /// nor space. Nothing is synced. Throws FileNotFoundException and IOException.
    /// </summary>
    public static void Copy(string source, string target, CancellationToken cancellationToken)
    {
        using SafeFileHandle from = Open(source);
        using FileStream to = new(target, FileMode.Create, FileAccess.Write, FileShare.None, 0);
        to.SetLength(RandomAccess.GetLength(from));
        byte[] buffer = new byte[Chunk];
        foreach (FileExtent extent in ExtentsOf(from))
        {
            for (long at = extent.Offset; at < extent.End;)
            {
                cancellationToken.ThrowIfCancellationRequested();
                at += CopySome(from, to.SafeFileHandle, at, extent.End - at, buffer);
            }
        }
    }

    private static long CopySome(SafeFileHandle from, SafeFileHandle to, long at, long most, byte[] buffer)
    {
        const long AtOnce = 64L * 1024 * 1024;
        long read = at;
        long written = at;
        nint copied = CopyFileRange(from, &read, to, &written, (nuint)Math.Min(most, AtOnce), 0);
        if (copied > 0)
        {
            return copied;
        }

        // Not every two file systems can; what else is wrong is wrong here too, and told better.
        int count = RandomAccess.Read(from, buffer.AsSpan(0, (int)Math.Min(most, buffer.Length)), at);
        if (count == 0)
        {
            throw new EndOfStreamException("The file became shorter while it was copied.");
        }

        RandomAccess.Write(to, buffer.AsSpan(0, count), at);
        return count;
    }

    /// <summary>Without the lock that .NET would put on it, for the sake of those who have it in use.</summary>
    private static SafeFileHandle Open(string path)
    {
        const int CurrentFolder = -100;
        const int CloseOnExec = 0x80000;
        fixed (byte* name = Encoding.UTF8.GetBytes(path + '\0'))
        {
            int number = Libc.OpenAt(CurrentFolder, name, CloseOnExec, 0);
            return number >= 0 ? new SafeFileHandle(number, ownsHandle: true) : throw UnixError.From("open", path);
        }
    }

    [LibraryImport("libc", EntryPoint = "lseek", SetLastError = true)]
    private static partial long Seek(SafeFileHandle file, long offset, int whence);

    [LibraryImport("libc", EntryPoint = "copy_file_range", SetLastError = true)]
    private static partial nint CopyFileRange(
        SafeFileHandle from, long* fromOffset, SafeFileHandle to, long* toOffset, nuint length, uint flags);
}
