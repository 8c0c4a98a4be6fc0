using System.Net.NetworkInformation;
using Berth.Core.Networks;

namespace Berth.Node.Networks;

/// <summary>What carries the tunnels of networks between machines. Throws LinuxException. Thread-safe.</summary>
internal interface IUnderlay
{
    /// <summary>Makes a segment's device in a network's namespace; returns its index there.</summary>
    int MakeDevice(OverlaySegment segment, string name, PhysicalAddress physical, int mtu, OverlaySide side);

    /// <summary>Lets a machine's packets for a segment in. It may be known already.</summary>
    void Add(int segment, NetworkPeer peer);

    /// <summary>Nothing happens where it is not known.</summary>
    void Remove(int segment, NetworkPeer peer);

    /// <summary>A segment's device is gone, or goes.</summary>
    void Forget(int segment);
}
