using System.Net;
using Berth.Api.Nodes;
using Berth.Core.Networks;

namespace Berth.Node.Networks;

/// <summary>What others find of a program while it runs: its names in the network, and ports of the machine that lead
/// to it.</summary>
internal sealed class Presence : IDisposable
{
    private readonly NameTable names;
    private readonly IPAddress address;
    private readonly IReadOnlyList<string> own;
    private readonly List<IDisposable> ports = [];

    /// <summary>Throws BerthException (Conflict).</summary>
    public Presence(BridgeNetwork network, IPAddress address, AttemptNetwork wish)
    {
        names = network.Names;
        this.address = address;
        own = wish.Names;
        try
        {
            foreach (PublishedPort port in wish.Ports)
            {
                IPEndPoint target = new(address, port.Container);
                ports.Add(port.IsUdp
                    ? DatagramForward.Open(port, target, network.MakeSocket)
                    : PortForward.Open(port, target, network.MakeSocket));
            }
        }
        catch
        {
            Close();
            throw;
        }

        names.Add(own, address);
    }

    public void Dispose()
    {
        names.Remove(own, address);
        Close();
    }

    private void Close()
    {
        foreach (IDisposable port in ports)
        {
            port.Dispose();
        }
    }
}
