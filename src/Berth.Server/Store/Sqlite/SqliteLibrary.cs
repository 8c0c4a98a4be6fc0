using System.Runtime.InteropServices;
using Berth.Core.Errors;
using SQLitePCL;

namespace Berth.Server.Store.Sqlite;

/// <summary>
/// Binds to the operating system's SQLite, which the distribution patches, instead of one carried along.
/// </summary>
internal static class SqliteLibrary
{
    // STRICT tables need 3.37, RETURNING 3.35.
    private const int OldestVersion = 3_037_000;

    private static readonly Lazy<bool> Loaded = new(Load);

    /// <summary>The loaded library; after <see cref="Use"/>.</summary>
    public static IntPtr Handle { get; private set; }

    public static void Use() => _ = Loaded.Value;

    private static bool Load()
    {
        NativeLibrary.SetDllImportResolver(
            typeof(SQLite3Provider_e_sqlite3).Assembly,
            static (name, _, _) => name == "e_sqlite3" ? LoadSystemLibrary() : IntPtr.Zero);
        raw.SetProvider(new SQLite3Provider_e_sqlite3());
        raw.FreezeProvider();
        // Connections are never shared between threads, and the statistics cost a lock at every allocation. The results
        // only say that somebody in this process configured or started the library before.
        _ = raw.sqlite3_config(raw.SQLITE_CONFIG_MULTITHREAD);
        _ = raw.sqlite3_config(raw.SQLITE_CONFIG_MEMSTATUS, 0);
        if (raw.sqlite3_libversion_number() < OldestVersion)
        {
            throw new BerthException(
                ErrorCode.MissingTool,
                $"SQLite {raw.sqlite3_libversion().utf8_to_string()} is too old: 3.37 or newer is needed (apt-get "
                + "install libsqlite3-0).");
        }

        ChecksumVfs.Register(Handle);
        return true;
    }

    private static IntPtr LoadSystemLibrary() => NativeLibrary.TryLoad("libsqlite3.so.0", out IntPtr handle)
        ? Handle = handle
        : throw new BerthException(
            ErrorCode.MissingTool, "libsqlite3.so.0 is missing: install it with 'apt-get install libsqlite3-0'.");
}
