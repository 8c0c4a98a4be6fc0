using System.Net;

namespace Berth.Core.Networks;

/// <summary>What a machine must know of a network to make it. Part of a sandbox's shape, so equal where everything
/// is.</summary>
/// <param name="Id">12 hexadecimal digits, unique for all time: a name may be given again.</param>
/// <param name="Subnet">IPv4. Its first address is the network's own: gateway and resolver.</param>
/// <param name="IsInternal">Nothing outside can be reached, whatever the rules say.</param>
/// <param name="Mtu">Bytes of the largest packet.</param>
/// <param name="Egress">As <see cref="EgressRules.ToString"/> writes it.</param>
/// <param name="Overlay">What the machine has of it; null for a network that is on one machine.</param>
public sealed record NetworkDefinition(
    string Id, string Name, IPNetwork Subnet, bool IsInternal, int Mtu, string Egress, OverlaySegment? Overlay = null)
{
    public const int UsualMtu = 1500;

    /// <summary>What every host takes (RFC 791, section 3.2: 576), and a jumbo frame.</summary>
    public const int LeastMtu = 576;
    public const int MostMtu = 9000;

    /// <summary>Addresses that this machine gives to programs.</summary>
    public IPNetwork Local => Overlay?.Part ?? Subnet;

    public IPAddress Gateway => AddressPool.At(Local, 1);
}

/// <summary>A network as its owner made it.</summary>
/// <param name="Definition">Of no machine yet.</param>
/// <param name="Owner">Name of the token that made it; only its runs and containers are in it.</param>
/// <param name="Segment">Its number between machines (RFC 7348: VNI), which no other network has; null where it is on
/// one machine.</param>
public sealed record Network(
    NetworkDefinition Definition, string Owner, DateTimeOffset CreatedAt, IReadOnlyDictionary<string, string> Labels,
    int? Segment = null)
{
    public string Id => Definition.Id;

    public string Name => Definition.Name;

    public bool IsOverlay => Segment is not null;

    /// <summary>Which machine has which part of the subnet.</summary>
    public IReadOnlyList<SubnetLease> Leases { get; init; } = [];

    /// <summary>What goes between machines is encrypted, or does not go.</summary>
    public bool IsEncrypted { get; init; }

    public SubnetLease? LeaseOf(string node) => Leases.FirstOrDefault(l => l.Node == node);

    /// <summary>What a machine must know of it.</summary>
    /// <param name="address">Of the machine, for the others.</param>
    public NetworkDefinition On(SubnetLease lease, IPAddress address) => Definition with
    {
        Overlay = new OverlaySegment(
            Segment ?? throw new InvalidOperationException($"The network {Name} is on one machine."),
            SubnetParts.At(Definition.Subnet, lease.Number), address, IsEncrypted),
    };
}

/// <summary>A machine's part of a network that is on several.</summary>
/// <param name="Number">Of the part, from 0.</param>
/// <param name="Address">Under which the machine was reached when it got it; null where it had none.</param>
/// <param name="Key">The machine's <see cref="PeerKey"/> then; null where it had none.</param>
public sealed record SubnetLease(string Node, int Number, string? Address = null, string? Key = null);

/// <summary>What one machine has of a network that is on several.</summary>
/// <param name="Number">As <see cref="Network.Segment"/>.</param>
/// <param name="Part">Addresses of the machine's own programs.</param>
/// <param name="Address">Under which other machines reach this one.</param>
/// <param name="IsEncrypted">As <see cref="Network.IsEncrypted"/>.</param>
public sealed record OverlaySegment(int Number, IPNetwork Part, IPAddress Address, bool IsEncrypted = false);

/// <summary>The network that a program is to be in.</summary>
/// <param name="Id">Empty until it is known to be there and open to the caller; nothing starts in such a one.</param>
public sealed record NetworkUse(string Id, string Name);

/// <summary>A port of the machine that leads to one of a container.</summary>
/// <param name="Address">Of the machine; null for all of them.</param>
public sealed record PublishedPort(IPAddress? Address, int Host, int Container, bool IsUdp)
{
    public override string ToString() =>
        $"{(Address is null ? "" : Address + ":")}{Host}:{Container}{(IsUdp ? "/udp" : "")}";
}
