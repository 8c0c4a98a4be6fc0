using System.Net;
using System.Net.NetworkInformation;
using Berth.Api.Nodes;
using Berth.Node.Linux;

namespace Berth.Node.Networks;

/// <summary>
/// A sandbox's place in a network: a namespace of its own with a cable into the network, an address and a route, made
/// before the sandbox is. Disposing takes it away; a program that still runs in it reaches nothing any more.
/// </summary>
internal sealed class Endpoint : IDisposable
{
    private readonly BridgeNetwork network;
    private int disposed;

    public Endpoint(BridgeNetwork network, IPAddress address, FileDescriptor space, int port)
    {
        this.network = network;
        Address = address;
        Space = space;
        Port = port;
    }

    public IPAddress Address { get; }

    /// <summary>Locally administered, and made of the address, so that no two of a network are the same.</summary>
    public PhysicalAddress Physical => new([0x02, 0xb0, .. Address.GetAddressBytes()]);

    public FileDescriptor Space { get; }

    /// <summary>Index of its device in the network's namespace.</summary>
    public int Port { get; }

    public string PortName => $"p{Port}";

    /// <summary>Where a runtime finds the namespace, while this process lives.</summary>
    public string Path => $"/proc/{Environment.ProcessId}/fd/{Space.Number}";

    public IPAddress Gateway => network.Definition.Gateway;

    /// <summary>Makes a program findable: its names, its published ports. Throws BerthException (Conflict: a port of
    /// the machine is taken).</summary>
    public Presence Announce(AttemptNetwork wish) => network.Announce(this, wish);

    /// <summary>Mounts what shows a sandbox its own network's devices: sysfs is of the namespace it is mounted in.
    /// Returns where it is.</summary>
    /// <param name="folder">The sandbox's.</param>
    public string MountSystem(string folder)
    {
        string target = SystemOf(folder);
        Directory.CreateDirectory(target);
        return NetworkNamespace.Within(Space, () =>
        {
            Mounts.Mount(
                "sysfs", target, "sysfs",
                MountFlags.ReadOnly | MountFlags.NoSetUserId | MountFlags.NoDevices | MountFlags.NoExecute);
            return target;
        });
    }

    /// <summary>The sandbox has it by then, and nobody else needs it.</summary>
    public static void UnmountSystem(string folder) => Mounts.Unmount(SystemOf(folder), lazy: true);

    public void Dispose()
    {
        if (Interlocked.Exchange(ref disposed, 1) == 0)
        {
            network.Remove(this);
            Space.Dispose();
        }
    }

    private static string SystemOf(string folder) => folder + "/sys";
}
