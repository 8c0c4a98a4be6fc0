using System.Runtime.InteropServices;
using System.Text;
using Berth.Core.Errors;
using Berth.Core.Faults;
using Microsoft.Win32.SafeHandles;

namespace Berth.Oci.Content;

/// <summary>
/// What .NET does not offer for files that must survive a power cut: fdatasync, early write-back and fsync of a
/// folder. A rename is durable only after its folder was synced.
/// </summary>
public static partial class DurableFile
{
    // asm-generic/errno-base.h and errno.h
    private const int InputOutput = 5;
    private const int NoSpace = 28;
    private const int ReadOnlyFileSystem = 30;
    private const int QuotaExceeded = 122;
    // O_CLOEXEC (asm-generic/fcntl.h); O_DIRECTORY differs between machines and is not needed.
    private const int ReadOnlyCloseOnExec = 0x80000;
    private const uint StartWriteBack = 2; // SYNC_FILE_RANGE_WRITE (linux/fs.h)

    /// <summary>Waits until the file's content is on the disk. .NET's own way takes it for done where the file system
    /// has become read-only after an error.</summary>
    public static void SyncData(SafeFileHandle file, string path)
    {
        if (FileDataSync(file) != 0)
        {
            throw Failure("fdatasync", path);
        }
    }

    /// <summary>
    /// Starts writing a part of a file to the disk without waiting, so that the sync at the end is short.
    /// </summary>
    public static void StartWriting(SafeFileHandle file, long offset, long count) =>
        _ = SyncFileRange(file, offset, count, StartWriteBack);

    /// <summary>Makes the creations, renames and removals in a folder durable.</summary>
    public static void SyncFolder(string path)
    {
        int folder = Open(path, ReadOnlyCloseOnExec);
        if (folder < 0)
        {
            throw Failure("open", path);
        }

        try
        {
            if (Sync(folder) != 0)
            {
                throw Failure("fsync", path);
            }
        }
        finally
        {
            _ = Close(folder);
        }
    }

    /// <summary>Creates a folder and the missing ones above it, durably.</summary>
    public static void CreateFolder(string path)
    {
        if (Directory.Exists(path))
        {
            return;
        }

        string? parent = Path.GetDirectoryName(path);
        if (parent is not null)
        {
            CreateFolder(parent);
        }

        Directory.CreateDirectory(path);
        if (parent is not null)
        {
            SyncFolder(parent);
        }
    }

    /// <summary>
    /// Replaces a small file: readers see the old content or the new, also after a power cut. One writer at a time. The
    /// temporary file is <c>.NAME.new</c> beside it: what a killed server leaves of it is overwritten by the next.
    /// </summary>
    /// <param name="mode">Who may do what with it, from the first moment on; null leaves it to the umask.</param>
    public static void Replace(string path, ReadOnlySpan<byte> content, UnixFileMode? mode = null)
    {
        string folder = Path.GetDirectoryName(Path.GetFullPath(path))!;
        CreateFolder(folder);
        string temporary = Path.Combine(folder, $".{Path.GetFileName(path)}.new");
        File.Delete(temporary);
        try
        {
            using (FileStream file = new(temporary, new FileStreamOptions
            {
                Mode = FileMode.CreateNew,
                Access = FileAccess.Write,
                BufferSize = 0,
                UnixCreateMode = mode,
            }))
            {
                file.Write(content);
                SyncData(file.SafeFileHandle, temporary);
            }

            CrashPoints.Reach(CrashPoint.FileWritten);
            File.Move(temporary, path, overwrite: true);
        }
        catch
        {
            File.Delete(temporary);
            throw;
        }

        CrashPoints.Reach(CrashPoint.FileReplaced);
        SyncFolder(folder);
        CrashPoints.Reach(CrashPoint.FolderSynced);
    }

    /// <summary>Replaces a small file that only its owner may read.</summary>
    public static void ReplacePrivate(string path, ReadOnlySpan<byte> content) =>
        Replace(path, content, UnixFileMode.UserRead | UnixFileMode.UserWrite);

    /// <summary>Replaces a small text file (see the other overload).</summary>
    public static void Replace(string path, string content) => Replace(path, Encoding.UTF8.GetBytes(content));

    /// <summary>Whether an exception says that the disk or a quota is full, or that the disk fails.</summary>
    public static bool IsOfTheDisk(IOException exception) => IsFull(exception) || IsFault(exception);

    /// <summary>The refusal to report for a disk that is full, or fails.</summary>
    public static BerthException Refusal(string path, IOException inner) => IsFull(inner)
        ? new(
            ErrorCode.StorageFull,
            $"The disk that holds {path} is full: free some space or remove images, then try again.", inner)
        { RetryAfter = TimeSpan.FromSeconds(30) }
        : new(
            ErrorCode.StorageFault,
            $"The disk that holds {path} fails ({inner.Message}): look at it, and start the server again when it is in "
            + "order.", inner)
        { RetryAfter = TimeSpan.FromSeconds(30) };

    private static bool IsFull(IOException exception) => exception.HResult is NoSpace or QuotaExceeded;

    // A file system that met an error goes on as read-only.
    private static bool IsFault(IOException exception) => exception.HResult is InputOutput or ReadOnlyFileSystem;

    private static IOException Failure(string call, string path)
    {
        int error = Marshal.GetLastPInvokeError();
        return new IOException($"{call} of {path} failed: {Marshal.GetPInvokeErrorMessage(error)}", error);
    }

    [LibraryImport("libc", EntryPoint = "fdatasync", SetLastError = true)]
    private static partial int FileDataSync(SafeFileHandle file);

    [LibraryImport("libc", EntryPoint = "sync_file_range", SetLastError = true)]
    private static partial int SyncFileRange(SafeFileHandle file, long offset, long count, uint flags);

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    private static partial int Sync(int file);

    [LibraryImport("libc", EntryPoint = "close", SetLastError = true)]
    private static partial int Close(int file);
}
