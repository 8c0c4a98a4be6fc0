using System.Runtime.InteropServices;
using System.Text;

namespace Berth.Server.Spool;

/// <summary>
/// Makes the names in a folder durable: a renamed file survives a power cut only once its folder was synced too.
/// </summary>
public static unsafe partial class FolderSync
{
    // open(2): O_DIRECTORY | O_CLOEXEC on Linux x86-64 and arm64 differ only in O_DIRECTORY, which is left out: opening
    // a folder for reading needs no flag.
    private const int ReadOnlyCloseOnExec = 0x80000;

    public static void Flush(string folder)
    {
        int descriptor;
        fixed (byte* path = Encoding.UTF8.GetBytes(folder + '\0'))
        {
            descriptor = Open(path, ReadOnlyCloseOnExec);
        }

        if (descriptor < 0)
        {
            throw Failure("open", folder);
        }

        int result = FSync(descriptor);
        IOException? failure = result < 0 ? Failure("fsync", folder) : null;
        _ = Close(descriptor);
        if (failure is not null)
        {
            throw failure;
        }
    }

    private static IOException Failure(string call, string folder) =>
        new($"{call} of folder {folder} failed: {Marshal.GetLastPInvokeErrorMessage()}", Marshal.GetLastPInvokeError());

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true)]
    private static partial int Open(byte* path, int flags);

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    private static partial int FSync(int descriptor);

    [LibraryImport("libc", EntryPoint = "close")]
    private static partial int Close(int descriptor);
}
