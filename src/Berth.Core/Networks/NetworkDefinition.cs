using System.Net;

namespace Berth.Core.Networks;

/// <summary>What a machine must know of a network to make it. Part of a sandbox's shape, so equal where everything
/// is.</summary>
/// <param name="Id">12 hexadecimal digits, unique for all time: a name may be given again.</param>
/// <param name="Subnet">IPv4. Its first address is the network's own: gateway and resolver.</param>
/// <param name="IsInternal">Nothing outside can be reached, whatever the rules say.</param>
/// <param name="Mtu">Bytes of the largest packet.</param>
/// <param name="Egress">As <see cref="EgressRules.ToString"/> writes it.</param>
public sealed record NetworkDefinition(
    string Id, string Name, IPNetwork Subnet, bool IsInternal, int Mtu, string Egress)
{
    public const int UsualMtu = 1500;

    /// <summary>What every host takes (RFC 791, section 3.2: 576), and a jumbo frame.</summary>
    public const int LeastMtu = 576;
    public const int MostMtu = 9000;

    public IPAddress Gateway => AddressPool.At(Subnet, 1);
}

/// <summary>A network as its owner made it.</summary>
/// <param name="Owner">Name of the token that made it; only its runs and containers are in it.</param>
public sealed record Network(
    NetworkDefinition Definition, string Owner, DateTimeOffset CreatedAt, IReadOnlyDictionary<string, string> Labels)
{
    public string Id => Definition.Id;

    public string Name => Definition.Name;
}

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
