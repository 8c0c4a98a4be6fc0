using System.Net;
using Berth.Node.Linux;

namespace Berth.Node.Networks;

/// <summary>The kernel's own.</summary>
internal sealed class KernelWireGuard : IWireGuard
{
    private readonly string name;
    private readonly WireGuardSocket socket;

    private KernelWireGuard(string name, WireGuardSocket socket)
    {
        this.name = name;
        this.socket = socket;
    }

    /// <summary>Whether the kernel has it. Tried in a namespace that nobody else has, and that is gone at once.
    /// </summary>
    public static bool IsPossible()
    {
        try
        {
            using RouteSocket here = RouteSocket.Open();
            using FileDescriptor scratch = NetworkNamespace.Make(static () => { });
            here.MakeWireGuard("wgberthtry", scratch);
            return true;
        }
        catch (LinuxException)
        {
            return false;
        }
    }

    public static KernelWireGuard Make(string name, FileDescriptor space)
    {
        using (RouteSocket machine = RouteSocket.Open())
        {
            machine.MakeWireGuard(name, space);
        }

        return new KernelWireGuard(name, NetworkNamespace.Within(space, WireGuardSocket.Open));
    }

    public void SetKey(byte[] privateKey, int port) => socket.SetKey(name, privateKey, port);

    public void SetPeer(byte[] publicKey, IPEndPoint endpoint, IPAddress address) =>
        socket.SetPeer(name, publicKey, endpoint, address);

    public void Remove(byte[] publicKey) => socket.Remove(name, publicKey);

    public ValueTask DisposeAsync()
    {
        socket.Dispose();
        return ValueTask.CompletedTask;
    }
}
