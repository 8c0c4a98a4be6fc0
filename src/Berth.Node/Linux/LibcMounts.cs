using System.Runtime.InteropServices;

namespace Berth.Node.Linux;

/// <summary>The C library as declared in its headers: mounts, old style and new (glibc 2.36).</summary>
internal static partial class LibcMounts
{
    public const uint AT_EMPTY_PATH = 0x1000;
    public const uint AT_RECURSIVE = 0x8000;
    public const uint OPEN_TREE_CLONE = 1;
    public const uint OPEN_TREE_CLOEXEC = 0x80000;
    public const uint MOVE_MOUNT_F_EMPTY_PATH = 4;
    public const uint MOVE_MOUNT_T_EMPTY_PATH = 0x40;
    public const uint FSOPEN_CLOEXEC = 1;
    public const uint FSMOUNT_CLOEXEC = 1;
    public const uint FSCONFIG_SET_FLAG = 0;
    public const uint FSCONFIG_SET_STRING = 1;
    public const uint FSCONFIG_CMD_CREATE = 6;

    /// <summary>struct mount_attr (linux/mount.h).</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct MountAttributes
    {
        public ulong Set;
        public ulong Clear;
        public ulong Propagation;
        public ulong UserNamespace;
    }

    [LibraryImport("libc", EntryPoint = "mount", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int Mount(string source, string target, string? type, ulong flags, string? data);

    [LibraryImport("libc", EntryPoint = "umount2", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int Unmount(string target, int flags);

    [LibraryImport("libc", EntryPoint = "open_tree", SetLastError = true,
        StringMarshalling = StringMarshalling.Utf8)]
    public static partial int OpenTree(int folder, string path, uint flags);

    [LibraryImport("libc", EntryPoint = "move_mount", SetLastError = true,
        StringMarshalling = StringMarshalling.Utf8)]
    public static partial int MoveMount(
        FileDescriptor fromFolder, string fromPath, int toFolder, string toPath, uint flags);

    [LibraryImport("libc", EntryPoint = "mount_setattr", SetLastError = true,
        StringMarshalling = StringMarshalling.Utf8)]
    public static unsafe partial int MountSetAttributes(
        FileDescriptor folder, string path, uint flags, MountAttributes* attributes, nuint size);

    [LibraryImport("libc", EntryPoint = "fsopen", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int FsOpen(string type, uint flags);

    [LibraryImport("libc", EntryPoint = "fsconfig", SetLastError = true,
        StringMarshalling = StringMarshalling.Utf8)]
    public static partial int FsConfig(FileDescriptor context, uint command, string? key, string? value, int extra);

    [LibraryImport("libc", EntryPoint = "fsmount", SetLastError = true)]
    public static partial int FsMount(FileDescriptor context, uint flags, uint attributes);
}
