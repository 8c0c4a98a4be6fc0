using System.Net;

namespace Berth.Core.Networks;

/// <summary>What a server says to a machine of a network that is on several.</summary>
/// <param name="Id">Of the network.</param>
/// <param name="Address">Under which the others reach this machine.</param>
/// <param name="Peers">The other machines.</param>
/// <param name="Names">What can be found on them.</param>
public sealed record SharedNetwork(
    string Id, IPAddress Address, IReadOnlyList<NetworkPeer> Peers, IReadOnlyList<FoundName> Names)
{
    /// <summary>More are not told to anybody: a bound on what one machine makes the others keep.</summary>
    public const int MaxNames = 4096;
}

/// <summary>Another machine of a network.</summary>
/// <param name="Part">Addresses of its programs.</param>
/// <param name="Key">Null for one that has none: of an encrypted network it is no part.</param>
public sealed record NetworkPeer(IPAddress Address, IPNetwork Part, PeerKey? Key = null);

/// <summary>A name of a network and one of the addresses that have it.</summary>
public sealed record FoundName(string Name, IPAddress Address);

/// <summary>What can be found on this machine of one network.</summary>
public sealed record NetworkPresence(string Id, IReadOnlyList<FoundName> Names);
