using System.Net;
using System.Text;
using Berth.Core.Errors;
using Berth.Node.Linux;

namespace Berth.Node.RootFilesystems;

/// <summary>
/// Checks and completes a mounted root before a container is made on it. Nothing runs in it yet, so what is looked at
/// can't change before it is used.
/// </summary>
internal static class RootPreparation
{
    private const UnixFileMode OwnerWritesAllRead =
        UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.OtherRead;

    /// <summary>Folders that the runtime mounts over. A link there could lead a mount elsewhere.</summary>
    private static readonly string[] MountPoints = ["dev", "proc", "sys"];

    /// <summary>
    /// Throws BerthException (ArchiveRefused) when the image's own folders are not what they must be.
    /// </summary>
    public static void Complete(string root, OwnerRange owner, string hostName, NetworkFiles network)
    {
        foreach (string name in MountPoints)
        {
            if (!IsFolderOrAbsent(root + "/" + name))
            {
                throw new BerthException(
                    ErrorCode.ArchiveRefused,
                    $"The image's /{name} is not a folder. It must be a real folder or absent.");
            }
        }

        if (!Exists(root + "/tmp"))
        {
            Directory.CreateDirectory(root + "/tmp");
            FileSystems.ChangeOwner(root + "/tmp", owner.First, owner.First);
            File.SetUnixFileMode(root + "/tmp", (UnixFileMode)0b1_111_111_111);
        }

        WriteNetworkFiles(root, owner, hostName, network);
    }

    private static void WriteNetworkFiles(string root, OwnerRange owner, string hostName, NetworkFiles network)
    {
        string etc = root + "/etc";
        if (!IsFolderOrAbsent(etc))
        {
            return;
        }

        if (!Exists(etc))
        {
            Directory.CreateDirectory(etc);
            FileSystems.ChangeOwner(etc, owner.First, owner.First);
        }

        bool hostNetwork = network.IsHost;
        string hosts = hostNetwork && File.Exists("/etc/hosts")
            ? File.ReadAllText("/etc/hosts")
            : "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
                + $"{network.Address?.ToString() ?? "127.0.1.1"}\t{hostName}\n";
        Replace(etc + "/hosts", hosts, owner);
        if (hostNetwork && File.Exists("/etc/resolv.conf"))
        {
            Replace(etc + "/resolv.conf", File.ReadAllText("/etc/resolv.conf"), owner);
        }
        else if (network.Resolver is { } resolver)
        {
            Replace(etc + "/resolv.conf", $"nameserver {resolver}\n", owner);
        }
    }

    /// <summary>Removes first and makes anew: what the image has there may be a link.</summary>
    private static void Replace(string path, string text, OwnerRange owner)
    {
        if (Directory.Exists(path) && !IsLink(path))
        {
            return;
        }

        File.Delete(path);
        using (var file = new FileStream(path, FileMode.CreateNew, FileAccess.Write))
        {
            file.Write(Encoding.UTF8.GetBytes(text));
        }

        File.SetUnixFileMode(path, OwnerWritesAllRead);
        FileSystems.ChangeOwner(path, owner.First, owner.First);
    }

    private static bool IsFolderOrAbsent(string path) => !Exists(path) || (Directory.Exists(path) && !IsLink(path));

    private static bool Exists(string path) => IsLink(path) || File.Exists(path) || Directory.Exists(path);

    /// <summary>Of the name itself: a dangling link counts.</summary>
    private static bool IsLink(string path) => new FileInfo(path).LinkTarget is not null;
}

/// <summary>What the files under /etc say of the network.</summary>
/// <param name="IsHost">What the machine's own say.</param>
/// <param name="Address">The sandbox's own; null where it has none.</param>
/// <param name="Resolver">Whom to ask for names; null for nobody.</param>
internal sealed record NetworkFiles(bool IsHost, IPAddress? Address, IPAddress? Resolver);
