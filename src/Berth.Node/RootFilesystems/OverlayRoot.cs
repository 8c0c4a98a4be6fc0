using System.Globalization;
using Berth.Core.Errors;
using Berth.Core.Resources;
using Berth.Node.Linux;

namespace Berth.Node.RootFilesystems;

/// <summary>
/// The root file system of one sandbox: the image's layers through id-mapped mounts, nothing copied and nothing changed
/// owner, under a writable layer on a tmpfs of limited size. All of it hangs below one mount, so that one lazy unmount
/// takes it away; the container keeps its own reference.
/// </summary>
internal sealed class OverlayRoot
{
    /// <summary>mount(2) takes at most a page of options, the terminating NUL included.</summary>
    internal const int MaxOptions = 4095;

    private const UnixFileMode Reachable = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute
        | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute;

    private readonly string folder;

    private OverlayRoot(string folder) => this.folder = folder;

    /// <summary>Where the container's root is found while this is attached.</summary>
    public string Path => folder + "/root";

    /// <summary>
    /// Mounts it all on a folder, which is made. Layers are lowest first. Throws BerthException (NodeFault) when the
    /// kernel can't do it; then nothing is mounted.
    /// </summary>
    /// <param name="lasting">The writable layer, where it is not to be one in memory.</param>
    public static OverlayRoot Mount(
        string folder, IReadOnlyList<string> layers, OwnerRange owner, ByteSize writable, LastingLayer? lasting = null)
    {
        Directory.CreateDirectory(folder);
        long inodes = FilesOf(writable) + layers.Count;
        Mounts.Mount(
            "berth", folder, "tmpfs", MountFlags.NoDevices | MountFlags.NoSetUserId,
            string.Create(CultureInfo.InvariantCulture, $"size={writable.Bytes},nr_inodes={inodes},mode=0711"));
        try
        {
            var root = new OverlayRoot(folder);
            string[] stack = StackOf(layers);
            root.MountLayers(stack, owner);
            root.MountOverlay(Math.Max(stack.Length, 1), owner, lasting);
            return root;
        }
        catch
        {
            Mounts.Unmount(folder, lazy: true);
            throw;
        }
    }

    /// <summary>Files and folders that a writable layer may have. Each takes an inode of about 1 KiB of kernel memory:
    /// the limit keeps empty files within the same bounds.</summary>
    public static long FilesOf(ByteSize writable) => Math.Clamp(writable.Bytes / 4096, 4096, 1_000_000) + 8;

    /// <summary>Takes the mounts out of this machine's tree. Idempotent.</summary>
    public void Detach() => Mounts.Unmount(folder, lazy: true);

    /// <summary>overlayfs refuses a layer that is there twice, as empty ones often are. The upper one says all that the
    /// lower one could.</summary>
    private static string[] StackOf(IReadOnlyList<string> layers) =>
        [.. layers.Where((layer, i) => !layers.Skip(i + 1).Contains(layer))];

    private void MountLayers(string[] layers, OwnerRange owner)
    {
        // The layer of an image without layers: overlayfs wants at least one.
        Directory.CreateDirectory(folder + "/0");
        for (int i = 0; i < layers.Length; i++)
        {
            string place = string.Create(CultureInfo.InvariantCulture, $"{folder}/{i}");
            Directory.CreateDirectory(place);
            using FileDescriptor tree = Mounts.CloneTree(layers[i]);
            try
            {
                Mounts.SetAttributes(
                    tree, MountAttribute.ReadOnly | MountAttribute.NoSetUserId | MountAttribute.NoDevices, owner.Map);
            }
            catch (LinuxException error)
            {
                throw NoIdMaps($"the file system of {layers[i]}", error);
            }

            Mounts.Attach(tree, place);
        }
    }

    private void MountOverlay(int layers, OwnerRange owner, LastingLayer? lasting)
    {
        foreach (string name in new[] { "upper", "work", "root" })
        {
            Directory.CreateDirectory($"{folder}/{name}", Reachable);
        }

        FileSystems.ChangeOwner(folder + "/upper", owner.First, owner.First);
        File.SetUnixFileMode(
            folder + "/upper", Reachable | UnixFileMode.GroupRead | UnixFileMode.OtherRead);

        // Through a descriptor every layer costs about twenty characters, however long the folder's own path is.
        using FileDescriptor here = FileSystems.OpenFolder(folder);
        string options = OptionsFor(here.Number, layers, lasting);
        if (options.Length > MaxOptions)
        {
            throw new BerthException(
                ErrorCode.NodeFault,
                $"The image has {layers} layers, more than one overlay mount can take. Squash some of them.");
        }

        try
        {
            Mounts.Mount("overlay", Path, "overlay", MountFlags.NoDevices | MountFlags.NoSetUserId, options);
        }
        catch (LinuxException error) when (error.Errno == Errno.Invalid)
        {
            throw NoIdMaps("overlayfs", error);
        }
    }

    /// <param name="lasting">The writable layer, where it is not one that goes with the sandbox.</param>
    internal static string OptionsFor(int folder, int layers, LastingLayer? lasting = null)
    {
        string at = string.Create(CultureInfo.InvariantCulture, $"/proc/self/fd/{folder}");
        string lowers = string.Join(
            ':', Enumerable.Range(0, layers).Reverse()
                .Select(i => string.Create(CultureInfo.InvariantCulture, $"{at}/{i}")));
        // What goes with the sandbox need not reach a disk.
        string writable = lasting is null
            ? $"upperdir={at}/upper,workdir={at}/work,volatile"
            : $"upperdir={lasting.Upper},workdir={lasting.Work}";
        return $"lowerdir={lowers},{writable},redirect_dir=nofollow,metacopy=off,index=off,xino=off";
    }

    private static BerthException NoIdMaps(string what, LinuxException error) => new(
        ErrorCode.NodeFault,
        $"This kernel can't map owners on {what}: {error.Message} Sandboxes need Linux 5.19 or newer and a data folder "
        + "on ext4, xfs or btrfs; 'berth doctor' checks both.",
        error);
}
