using Berth.Node.Linux;

namespace Berth.Node.Engines;

/// <summary>
/// Where one server keeps its host objects. All of it lies on a tmpfs of its own: private, so that mounts made here
/// reach no other mount namespace; executable, which /run often is not; and gone with one unmount.
/// </summary>
internal sealed class EngineFolders(NodeOptions options)
{
    public const string LockEnding = ".lock";

    public const UnixFileMode OwnerOnly =
        UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    private const UnixFileMode Reachable = OwnerOnly | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute;

    /// <summary>
    /// Unmounts to try before giving up: each interrupted start can have left one mount over another.
    /// </summary>
    private const int MostStackedMounts = 64;

    public string Root { get; } = $"{options.RuntimeFolder}/{options.Instance}";

    public string RuncState => Root + "/runc";

    public string Sandboxes => Root + "/sandboxes";

    /// <summary>Where programs stand that this server starts on the machine itself.</summary>
    public string Programs => Root + "/programs";

    /// <summary>Stands outside of <see cref="Root"/>, which comes and goes.</summary>
    public string Lock { get; } = $"{options.RuntimeFolder}/{options.Instance}{LockEnding}";

    /// <summary>Parent of all control groups of this server.</summary>
    public string CgroupParent { get; } = $"/berth-{options.Instance}";

    public bool Exist => Directory.Exists(Root);

    public string Of(string sandbox) => $"{Sandboxes}/{sandbox}";

    /// <summary>Where a lasting layer is mounted until the sandbox's root is.</summary>
    public string DiskOf(string sandbox) => Of(sandbox) + "/disk";

    public string StateOf(string sandbox) => $"{RuncState}/{sandbox}";

    public string CgroupOf(string sandbox) => $"{CgroupParent}/{sandbox}";

    /// <summary>
    /// Begins with an empty tree. Whatever was there is unmounted; nothing may be running in it any more.
    /// </summary>
    public void Make()
    {
        Remove();
        Directory.CreateDirectory(Root, Reachable);
        Mounts.Mount("berth", Root, "tmpfs", MountFlags.NoDevices | MountFlags.NoSetUserId, "size=256m,mode=0711");
        Mounts.Mount("none", Root, null, MountFlags.Private);
        Directory.CreateDirectory(RuncState, OwnerOnly);
        Directory.CreateDirectory(Programs, OwnerOnly);
        Directory.CreateDirectory(Sandboxes, Reachable);
    }

    /// <summary>
    /// Takes the tree away with every mount below it. Idempotent. Returns how many objects that were.
    /// </summary>
    public int Remove()
    {
        int removed = Directory.Exists(Sandboxes) ? Directory.GetDirectories(Sandboxes).Length : 0;
        for (int i = 0; i < MostStackedMounts && Directory.Exists(Root) && Mounts.Unmount(Root, lazy: true); i++)
        {
        }

        if (Directory.Exists(Root))
        {
            Directory.Delete(Root, recursive: true);
        }

        return removed;
    }
}
