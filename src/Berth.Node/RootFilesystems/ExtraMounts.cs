using System.Globalization;
using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Node.Linux;

namespace Berth.Node.RootFilesystems;

/// <summary>
/// Puts volumes, host folders and folders in memory into a root that nothing runs in yet. Owners are mapped, so that
/// the sandbox's ids are 0 to 65,535 there too. Sources and targets are held by descriptor from the moment they are
/// found.
/// </summary>
internal static class ExtraMounts
{
    private const MountAttribute Always = MountAttribute.NoDevices | MountAttribute.NoSetUserId;

    /// <param name="volumes">Folder of the node's named volumes.</param>
    /// <param name="staging">Folder below which what is in memory may be mounted first.</param>
    /// <param name="imageUser">Whom the image has its program run as.</param>
    /// <exception cref="BerthException">InvalidRequest naming the mount, or NodeFault.</exception>
    public static void Attach(
        IReadOnlyList<SandboxMount> mounts, string root, OwnerRange owner, string volumes, string staging,
        string imageUser)
    {
        using FileDescriptor inside = FileSystems.OpenFolder(root);
        for (int i = 0; i < mounts.Count; i++)
        {
            SandboxMount mount = mounts[i];
            using FileDescriptor tree = mount switch
            {
                SandboxMount.Volume volume => Bind(VolumeFolder(volumes, volume.Name), volume.Name, mount, owner),
                SandboxMount.Host host => Bind(HostPath(host), host.Path, mount, owner),
                SandboxMount.Files files => FilesInMemory.Make(files, inside, owner, imageUser),
                SandboxMount.Temporary memory => InMemory(memory, owner, $"{staging}/{Number(i)}"),
                _ => throw new InvalidOperationException($"There is no mount of type {mount.GetType().Name}."),
            };
            using FileDescriptor target = TargetOf(inside, mount, owner);
            try
            {
                Mounts.Attach(tree, target);
            }
            catch (LinuxException error) when (error.Errno is Errno.NotDirectory or Errno.Invalid)
            {
                throw Refuse(mount, "a file can't be put in a folder's place, nor a folder in a file's", error);
            }
        }
    }

    private static FileDescriptor Bind(FileDescriptor source, string name, SandboxMount mount, OwnerRange owner)
    {
        using FileDescriptor held = source;
        FileDescriptor tree = Mounts.CloneTree(held);
        try
        {
            Mounts.SetAttributes(tree, mount.ReadOnly ? Always | MountAttribute.ReadOnly : Always, owner.Map);
            return tree;
        }
        catch (LinuxException error)
        {
            tree.Dispose();
            throw Refuse(mount, $"the file system of {name} can't map owners", error);
        }
    }

    private static FileDescriptor InMemory(SandboxMount.Temporary memory, OwnerRange owner, string place)
    {
        Directory.CreateDirectory(place);
        Mounts.Mount(
            "berth", place, "tmpfs",
            MountFlags.NoDevices | MountFlags.NoSetUserId | (memory.ReadOnly ? MountFlags.ReadOnly : 0),
            string.Create(
                CultureInfo.InvariantCulture,
                $"size={memory.Size.Bytes},mode=1777,uid={owner.First},gid={owner.First}"));
        return Mounts.CloneTree(place);
    }

    /// <summary>Made at first use: the root's of whichever sandbox has it.</summary>
    private static FileDescriptor VolumeFolder(string volumes, string name) =>
        FileSystems.OpenFolder(Directory.CreateDirectory($"{volumes}/{name}").FullName);

    /// <summary>Without any link on the way: who may write in a folder of the machine's must not decide what else of it
    /// is mounted.</summary>
    private static FileDescriptor HostPath(SandboxMount.Host host)
    {
        using FileDescriptor machine = FileSystems.OpenFolder("/");
        try
        {
            return FileSystems.OpenInside(machine, host.Path.TrimStart('/') is "" ? "." : host.Path.TrimStart('/'),
                Libc.O_PATH | Libc.O_CLOEXEC);
        }
        catch (LinuxException error)
        {
            throw Refuse(
                host,
                error.Errno == Errno.NoEntry
                    ? $"the machine has no {host.Path}: make it first"
                    : $"{host.Path} can't be opened without following links: name the real path", error);
        }
    }

    /// <summary>What the target leads to inside, made folder by folder where it is missing.</summary>
    private static FileDescriptor TargetOf(FileDescriptor root, SandboxMount mount, OwnerRange owner)
    {
        const int Flags = Libc.O_PATH | Libc.O_CLOEXEC;
        string[] names = mount.Target.Split('/', StringSplitOptions.RemoveEmptyEntries);
        if (names.Length == 0 || names[0] is "proc" or "sys" or "dev" || names.Contains(".."))
        {
            throw Refuse(mount, "nothing can be mounted there", null);
        }

        try
        {
            for (int i = 1; i <= names.Length; i++)
            {
                string path = string.Join('/', names.Take(i));
                if (FileSystems.TryOpenInRoot(root, path, Flags) is { } found)
                {
                    found.Dispose();
                    continue;
                }

                string parent = i == 1 ? "." : string.Join('/', names.Take(i - 1));
                using FileDescriptor folder = FileSystems.TryOpenInRoot(root, parent, Flags) ?? throw Dangling(mount);
                FileSystems.MakeFolder(folder, names[i - 1], owner.First);
            }

            return FileSystems.TryOpenInRoot(root, string.Join('/', names), Flags)
                ?? throw Dangling(mount);
        }
        catch (LinuxException error)
        {
            throw Refuse(mount, "the image has something in the way", error);
        }
    }

    private static BerthException Dangling(SandboxMount mount) =>
        Refuse(mount, "the image has a link there that leads nowhere", null);

    private static string Number(int i) => i.ToString(CultureInfo.InvariantCulture);

    private static BerthException Refuse(SandboxMount mount, string why, Exception? cause) => new(
        ErrorCode.InvalidRequest, $"The mount at {mount.Target} is not possible: {why}.", cause);
}
