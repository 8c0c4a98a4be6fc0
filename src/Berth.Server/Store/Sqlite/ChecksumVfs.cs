using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using SQLitePCL;

namespace Berth.Server.Store.Sqlite;

/// <summary>
/// Lets SQLite write a checksum into every page of a database and look at it whenever it reads one: a page that changed
/// on the disk is an error that names it, never an answer. A layer around two functions of SQLite's own way to files
/// (sqlite.org/vfs.html); everything else goes there directly.
/// </summary>
internal static unsafe class ChecksumVfs
{
    public const string Name = "berth";

    /// <summary>What SQLite answers for a page whose checksum is wrong (SQLITE_IOERR_DATA).</summary>
    public const int DataError = raw.SQLITE_IOERR | (32 << 8);

    private const int MainDatabase = 0x100;
    private const int ReserveBytes = 38;
    private const int SmallestPage = 512;

    [ThreadStatic]
    private static long damagedPage;

    private static Vfs* system;
    private static IoMethods* systemMethods;
    private static IoMethods* methods;

    /// <summary>Number of the page, from 1, that this thread found damaged since it was last asked; 0 for none. Not
    /// every statement of SQLite hands the error on as it was.</summary>
    public static long TakeDamagedPage() => Interlocked.Exchange(ref damagedPage, 0);

    /// <param name="library">SQLite, loaded and configured.</param>
    public static void Register(nint library)
    {
        var find = (delegate* unmanaged<byte*, Vfs*>)NativeLibrary.GetExport(library, "sqlite3_vfs_find");
        var register = (delegate* unmanaged<Vfs*, int, int>)NativeLibrary.GetExport(library, "sqlite3_vfs_register");
        system = find(null);
        Vfs* own = (Vfs*)NativeMemory.AllocZeroed((nuint)sizeof(Vfs));
        *own = *system;
        own->Next = null;
        own->Name = (byte*)Marshal.StringToCoTaskMemUTF8(Name);
        own->Open = &Open;
        methods = (IoMethods*)NativeMemory.AllocZeroed((nuint)sizeof(IoMethods));
        if (register(own, 0) != raw.SQLITE_OK)
        {
            throw new InvalidOperationException("SQLite took no further way to files.");
        }
    }

    /// <summary>Keeps room for checksums in the pages of a database that is still to be written.</summary>
    public static void ReserveRoom(nint library, sqlite3 database)
    {
        var control = (delegate* unmanaged<nint, byte*, int, void*, int>)NativeLibrary.GetExport(
            library, "sqlite3_file_control");
        int bytes = PageChecksum.Bytes;
        if (control(database.DangerousGetHandle(), null, ReserveBytes, &bytes) != raw.SQLITE_OK)
        {
            throw new InvalidOperationException("SQLite keeps no room for checksums.");
        }
    }

    [UnmanagedCallersOnly]
    private static int Open(Vfs* vfs, byte* name, IoMethods** file, int flags, int* outFlags)
    {
        int result = system->Open(vfs, name, file, flags, outFlags);
        if (result != raw.SQLITE_OK || (flags & MainDatabase) == 0 || *file == null)
        {
            return result;
        }

        // Every thread writes the same; the methods are complete before a file names them.
        IoMethods own = **file;
        systemMethods = *file;
        // Version 2 has no memory maps: a mapped page would be read past us.
        own.Version = Math.Min(own.Version, 2);
        own.Read = &Read;
        own.Write = &Write;
        *methods = own;
        *file = methods;
        return result;
    }

    [UnmanagedCallersOnly]
    private static int Read(IoMethods** file, byte* buffer, int length, long offset)
    {
        int result = systemMethods->Read(file, buffer, length, offset);
        if (result == raw.SQLITE_OK && IsPage(length, offset)
            && !PageChecksum.IsWhole(new ReadOnlySpan<byte>(buffer, length)))
        {
            damagedPage = (offset / length) + 1;
            return DataError;
        }

        return result;
    }

    [UnmanagedCallersOnly]
    private static int Write(IoMethods** file, byte* buffer, int length, long offset)
    {
        if (IsPage(length, offset))
        {
            // SQLite keeps nothing in the bytes that are reserved, so that its own copy may have them, too.
            PageChecksum.Seal(new Span<byte>(buffer, length));
        }

        return systemMethods->Write(file, buffer, length, offset);
    }

    /// <summary>Whole pages alone; SQLite also looks at parts of the file's header.</summary>
    private static bool IsPage(int length, long offset) =>
        length >= SmallestPage && int.IsPow2(length) && offset % length == 0;

    /// <summary>sqlite3_vfs of sqlite3.h.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Vfs
    {
        public int Version;
        public int FileSize;
        public int LongestPath;
        public Vfs* Next;
        public byte* Name;
        public nint ApplicationData;
        public delegate* unmanaged<Vfs*, byte*, IoMethods**, int, int*, int> Open;
        public Rest Others;

        [InlineArray(15)]
        public struct Rest
        {
            private nint first;
        }
    }

    /// <summary>sqlite3_io_methods of sqlite3.h. A sqlite3_file begins with a pointer to one.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct IoMethods
    {
        public int Version;
        public nint Close;
        public delegate* unmanaged<IoMethods**, byte*, int, long, int> Read;
        public delegate* unmanaged<IoMethods**, byte*, int, long, int> Write;
        public Rest Others;

        [InlineArray(15)]
        public struct Rest
        {
            private nint first;
        }
    }
}
