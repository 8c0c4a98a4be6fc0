using System.Net;
using Berth.Core.Networks;

namespace Berth.Api.Nodes;

/// <summary>Networks that a machine has in common with others. Thread-safe.</summary>
public interface ISharedNetworks
{
    /// <summary>Whether its kernel has them.</summary>
    bool IsPossible { get; }

    /// <summary>For encrypted ones; null where this machine can have none.</summary>
    PeerKey? Key { get; }

    /// <summary>Told when a name has come or gone.</summary>
    Action Changed { set; }

    /// <summary>Bytes of the largest packet that fits through a tunnel from an address of this machine's; null where it
    /// does not have that.</summary>
    int? LargestPacket(IPAddress address, bool isEncrypted);

    /// <summary>What can be found here.</summary>
    IReadOnlyList<NetworkPresence> Present();

    /// <summary>Says all there is to say of all of them; what is not said any more does not hold.</summary>
    Task ShareAsync(IReadOnlyList<SharedNetwork> networks, CancellationToken cancellationToken);
}
