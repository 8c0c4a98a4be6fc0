using System.Runtime.InteropServices;

namespace Berth.Node.Linux;

/// <summary>Flags of mount(2) (linux/mount.h).</summary>
[Flags]
public enum MountFlags : ulong
{
    None = 0,
    ReadOnly = 1,
    NoSetUserId = 2,
    NoDevices = 4,
    NoExecute = 8,
    Remount = 32,
    NoAccessTimes = 1024,
    Bind = 4096,
    Recursive = 16384,
    Private = 1 << 18,
    Slave = 1 << 19,
}

/// <summary>Attributes of one mount (mount_setattr(2)).</summary>
[Flags]
public enum MountAttribute : ulong
{
    None = 0,
    ReadOnly = 1,
    NoSetUserId = 2,
    NoDevices = 4,
    NoExecute = 8,
    NoAccessTimes = 0x10,
}

/// <summary>
/// Mounting and unmounting. Detached mounts are descriptors until <see cref="Attach"/> gives them a place.
/// </summary>
public static class Mounts
{
    private const int DetachFlag = 2;
    private const int NoFollowFlag = 8;
    private const ulong IdMapped = 0x100000;

    public static void Mount(string source, string target, string? type, MountFlags flags, string? data = null)
    {
        if (LibcMounts.Mount(source, target, type, (ulong)flags, data) < 0)
        {
            throw LinuxException.Last("mount", $"{source} on {target}, {type} {data}");
        }
    }

    /// <summary>
    /// Never follows a link at the end of the path. Lazy: gone from the tree at once, freed when nobody uses it.
    /// False when nothing is mounted there or the path is gone: unmounting is idempotent.
    /// </summary>
    public static bool Unmount(string target, bool lazy)
    {
        if (LibcMounts.Unmount(target, NoFollowFlag | (lazy ? DetachFlag : 0)) == 0)
        {
            return true;
        }

        return Marshal.GetLastPInvokeError() is Errno.Invalid or Errno.NoEntry
            ? false
            : throw LinuxException.Last("umount2", target);
    }

    /// <summary>A detached copy of the mount at a path: a bind mount that has no place yet.</summary>
    public static FileDescriptor CloneTree(string path, bool recursive = false)
    {
        uint flags = LibcMounts.OPEN_TREE_CLONE | LibcMounts.OPEN_TREE_CLOEXEC
            | (recursive ? LibcMounts.AT_RECURSIVE : 0);
        int number = LibcMounts.OpenTree(Libc.AT_FDCWD, path, flags);
        return number >= 0 ? new FileDescriptor(number) : throw LinuxException.Last("open_tree", path);
    }

    /// <summary>Of what a descriptor stands for, so that no name is looked up again.</summary>
    public static FileDescriptor CloneTree(FileDescriptor source)
    {
        const uint Flags = LibcMounts.OPEN_TREE_CLONE | LibcMounts.OPEN_TREE_CLOEXEC | LibcMounts.AT_EMPTY_PATH;
        int number = LibcMounts.OpenTree(source.Number, "", Flags);
        GC.KeepAlive(source);
        return number >= 0 ? new FileDescriptor(number) : throw LinuxException.Last("open_tree");
    }

    /// <summary>Onto whatever a descriptor stands for, so that no name is looked up again.</summary>
    public static void Attach(FileDescriptor mount, FileDescriptor target)
    {
        const uint Flags = LibcMounts.MOVE_MOUNT_F_EMPTY_PATH | LibcMounts.MOVE_MOUNT_T_EMPTY_PATH;
        if (LibcMounts.MoveMount(mount, "", target.Number, "", Flags) < 0)
        {
            throw LinuxException.Last("move_mount", $"fd {target.Number}");
        }

        GC.KeepAlive(target);
    }

    public static void Attach(FileDescriptor mount, string target)
    {
        if (LibcMounts.MoveMount(mount, "", Libc.AT_FDCWD, target, LibcMounts.MOVE_MOUNT_F_EMPTY_PATH) < 0)
        {
            throw LinuxException.Last("move_mount", target);
        }
    }

    /// <summary>
    /// Adds attributes to a detached mount, and maps its owners by a user namespace when one is given.
    /// </summary>
    public static unsafe void SetAttributes(
        FileDescriptor mount, MountAttribute set, UserNamespace? idMap = null, bool recursive = false)
    {
        LibcMounts.MountAttributes attributes = new() { Set = (ulong)set };
        if (idMap is not null)
        {
            attributes.Set |= IdMapped;
            attributes.UserNamespace = (ulong)idMap.Descriptor.Number;
        }

        uint flags = LibcMounts.AT_EMPTY_PATH | (recursive ? LibcMounts.AT_RECURSIVE : 0);
        nuint size = (nuint)sizeof(LibcMounts.MountAttributes);
        if (LibcMounts.MountSetAttributes(mount, "", flags, &attributes, size) < 0)
        {
            throw LinuxException.Last("mount_setattr", idMap is null ? $"{set}" : $"{set}, idmap");
        }

        GC.KeepAlive(idMap);
    }

    /// <summary>
    /// A new file system of a type as a detached mount. Options with a null value are flags. Unlike mount(2) there is
    /// no limit of one page for all options together, and a path may hold commas.
    /// </summary>
    public static FileDescriptor Make(
        string type, IEnumerable<KeyValuePair<string, string?>> options, MountAttribute attributes)
    {
        int number = LibcMounts.FsOpen(type, LibcMounts.FSOPEN_CLOEXEC);
        using FileDescriptor context =
            number >= 0 ? new FileDescriptor(number) : throw LinuxException.Last("fsopen", type);
        foreach ((string key, string? value) in options)
        {
            uint command = value is null ? LibcMounts.FSCONFIG_SET_FLAG : LibcMounts.FSCONFIG_SET_STRING;
            if (LibcMounts.FsConfig(context, command, key, value, 0) < 0)
            {
                throw LinuxException.Last("fsconfig", $"{type} {key}={value}");
            }
        }

        if (LibcMounts.FsConfig(context, LibcMounts.FSCONFIG_CMD_CREATE, null, null, 0) < 0)
        {
            throw LinuxException.Last("fsconfig", $"{type} create");
        }

        number = LibcMounts.FsMount(context, LibcMounts.FSMOUNT_CLOEXEC, (uint)attributes);
        return number >= 0 ? new FileDescriptor(number) : throw LinuxException.Last("fsmount", type);
    }
}
