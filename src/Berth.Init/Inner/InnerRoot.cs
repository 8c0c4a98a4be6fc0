using System.Runtime.InteropServices;
using System.Text;
using Berth.Init.Linux;
using Berth.Init.Protocol;

namespace Berth.Init.Inner;

/// <summary>
/// The root file system of a sandbox within an outer container: that container's own root below a writable layer in
/// memory, with a /proc, /dev/pts, /dev/shm and /dev/mqueue of its own. Nobody ever writes to the outer root, so all
/// sandboxes share it. What can be known beforehand is worked out once; its texts stay for good.
/// </summary>
internal sealed unsafe class InnerRoot
{
    /// <summary>Where it is put together, in a mount namespace that nobody else is in: /proc, which every image has
    /// when it runs. The kernel mounts another /proc only where there is one already, and that stays below.</summary>
    private const string Workplace = "/proc";

    /// <summary>A folder of /dev that stays empty and can't be written, to hide others with.</summary>
    private const string Emptiness = "/dev/.berth-cell";

    /// <summary>Its marks are extended attributes of user's kind, for here none of trusted's kind may be set.</summary>
    private static ReadOnlySpan<byte> LayersTogether =>
        "lowerdir=/,upperdir=upper,workdir=work,userxattr,volatile,xino=off,index=off,metacopy=off\0"u8;

    private const int ReadableByAll = 0b111_101_101;

    private readonly byte* layerOptions;
    private readonly byte* sharedMemoryOptions;
    private readonly nint[] hiddenFiles;
    private readonly nint[] hiddenFolders;
    private readonly nint[] readOnly;

    public InnerRoot(OuterFrame frame, ReadOnlySpan<byte> payload)
    {
        layerOptions = Keep($"size={frame.Writable},nr_inodes={frame.WritableFiles},mode=0711");
        sharedMemoryOptions = Keep($"mode=1777,size={frame.SharedMemory}");
        List<nint> files = [];
        List<nint> folders = [];
        List<nint> locked = [];
        foreach (TextSlice slice in frame.Hidden)
        {
            if (TryFind(payload.Slice(slice.Offset, slice.Length), out nint path, out bool isFolder))
            {
                (isFolder ? folders : files).Add(path);
            }
        }

        foreach (TextSlice slice in frame.ReadOnly)
        {
            if (TryFind(payload.Slice(slice.Offset, slice.Length), out nint path, out _))
            {
                locked.Add(path);
            }
        }

        hiddenFiles = [.. files];
        hiddenFolders = [.. folders];
        readOnly = [.. locked];
    }

    /// <summary>Once, in the outer container: nothing mounted later is seen by anybody else, and what every sandbox has
    /// of its own is taken away here.</summary>
    public static void PrepareOuter()
    {
        fixed (byte* root = "/\0"u8)
        {
            Check(Kernel.Mount(null, root, null, Kernel.MS_REC | Kernel.MS_PRIVATE, null), "making / private");
        }

        fixed (byte* terminals = "/dev/pts\0"u8)
        fixed (byte* memory = "/dev/shm\0"u8)
        fixed (byte* queues = "/dev/mqueue\0"u8)
        {
            Check(Kernel.Unmount(terminals), "umount /dev/pts");
            Check(Kernel.Unmount(memory), "umount /dev/shm");
            Check(Kernel.Unmount(queues), "umount /dev/mqueue");
        }

        fixed (byte* emptiness = "/dev/.berth-cell\0"u8)
        {
            Check(Kernel.MakeDirectory(emptiness, ReadableByAll), "mkdir " + Emptiness);
        }
    }

    /// <summary>Once, by the sandbox's first process, in a mount namespace of its own. Afterwards nothing else is in
    /// that namespace.</summary>
    public void Enter()
    {
        MountLayers();
        fixed (byte* devices = "/dev\0"u8)
        fixed (byte* system = "/sys\0"u8)
        fixed (byte* ownDevices = "dev\0"u8)
        fixed (byte* ownSystem = "sys\0"u8)
        {
            // This namespace's own copies: a further one of each costs as much as all the rest.
            Check(Kernel.Mount(devices, ownDevices, null, Kernel.MS_MOVE, null), "moving /dev");
            Check(Kernel.MakeReadOnly(ownDevices), "mount_setattr of /dev");
            Check(Kernel.Mount(system, ownSystem, null, Kernel.MS_MOVE, null), "moving /sys");
        }

        MountOwn();
        Hide();
        fixed (byte* here = ".\0"u8)
        fixed (byte* root = "/\0"u8)
        {
            Check(Kernel.PivotRoot(here, here), "pivot_root");
            Check(Kernel.Unmount(here), "umount of the outer root");
            Check(Kernel.ChangeDirectory(root), "chdir /");
        }
    }

    /// <summary>Leaves the working directory in the new root.</summary>
    private void MountLayers()
    {
        const nuint Flags = Kernel.MS_NODEV | Kernel.MS_NOSUID;
        fixed (byte* memory = "tmpfs\0"u8)
        fixed (byte* workplace = "/proc\0"u8)
        {
            Check(Kernel.Mount(memory, workplace, memory, Flags, layerOptions), "mount of the writable layer");
            Check(Kernel.ChangeDirectory(workplace), "chdir " + Workplace);
        }

        fixed (byte* upper = "upper\0"u8)
        fixed (byte* work = "work\0"u8)
        fixed (byte* root = "root\0"u8)
        fixed (byte* overlay = "overlay\0"u8)
        fixed (byte* options = LayersTogether)
        {
            Check(Kernel.MakeDirectory(upper, ReadableByAll), "mkdir upper");
            Check(Kernel.MakeDirectory(work, ReadableByAll), "mkdir work");
            Check(Kernel.MakeDirectory(root, ReadableByAll), "mkdir root");
            Check(Kernel.Mount(overlay, root, overlay, Flags, options), "mount of the root");
            Check(Kernel.ChangeDirectory(root), "chdir root");
        }
    }

    private void MountOwn()
    {
        const nuint Flags = Kernel.MS_NOSUID | Kernel.MS_NOEXEC | Kernel.MS_NODEV;
        fixed (byte* processes = "proc\0"u8)
        {
            Check(Kernel.Mount(processes, processes, processes, Flags, null), "mount of /proc");
        }

        fixed (byte* kind = "devpts\0"u8)
        fixed (byte* target = "dev/pts\0"u8)
        fixed (byte* options = "newinstance,ptmxmode=0666,mode=0620,gid=5\0"u8)
        {
            Check(
                Kernel.Mount(kind, target, kind, Kernel.MS_NOSUID | Kernel.MS_NOEXEC, options), "mount of /dev/pts");
        }

        fixed (byte* kind = "tmpfs\0"u8)
        fixed (byte* name = "shm\0"u8)
        fixed (byte* target = "dev/shm\0"u8)
        {
            Check(Kernel.Mount(name, target, kind, Flags, sharedMemoryOptions), "mount of /dev/shm");
        }

        fixed (byte* kind = "mqueue\0"u8)
        fixed (byte* target = "dev/mqueue\0"u8)
        {
            Check(Kernel.Mount(kind, target, kind, Flags, null), "mount of /dev/mqueue");
        }
    }

    private void Hide()
    {
        fixed (byte* nothing = "dev/null\0"u8)
        fixed (byte* empty = "dev/.berth-cell\0"u8)
        {
            foreach (nint file in hiddenFiles)
            {
                Check(Kernel.Mount(nothing, (byte*)file, null, Kernel.MS_BIND, null), "hiding a file of /proc");
            }

            foreach (nint folder in hiddenFolders)
            {
                Check(Kernel.Mount(empty, (byte*)folder, null, Kernel.MS_BIND, null), "hiding a folder of /proc");
            }
        }

        const nuint Locked = Kernel.MS_BIND | Kernel.MS_REMOUNT | Kernel.MS_RDONLY | Kernel.MS_NOSUID
            | Kernel.MS_NODEV | Kernel.MS_NOEXEC;
        foreach (nint path in readOnly)
        {
            byte* place = (byte*)path;
            Check(Kernel.Mount(place, place, null, Kernel.MS_BIND | Kernel.MS_REC, null), "binding a part of /proc");
            Check(Kernel.Mount(null, place, null, Locked, null), "locking a part of /proc");
        }
    }

    /// <summary>False when this kernel has no such path.</summary>
    /// <param name="relative">The path from the root, kept for good.</param>
    private static bool TryFind(ReadOnlySpan<byte> path, out nint relative, out bool isFolder)
    {
        byte* text = Keep(Encoding.UTF8.GetString(path));
        relative = (nint)(text + 1);
        Kernel.FileStatus status;
        bool exists = Kernel.Stat(text, &status) == 0;
        isFolder = exists && status.IsFolder;
        return exists;
    }

    private static byte* Keep(string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text + "\0");
        byte* kept = (byte*)NativeMemory.Alloc((nuint)bytes.Length);
        bytes.CopyTo(new Span<byte>(kept, bytes.Length));
        return kept;
    }

    private static void Check(int result, string call)
    {
        if (result < 0)
        {
            throw new InitException(Kernel.Errno, call);
        }
    }
}
