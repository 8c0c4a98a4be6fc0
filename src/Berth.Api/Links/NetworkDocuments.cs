using System.Net;
using System.Text.Json.Serialization;
using Berth.Core.Networks;

namespace Berth.Api.Links;

/// <summary>A <see cref="NetworkDefinition"/> of a network that is on several machines, for one of them, in plain
/// values.</summary>
/// <param name="Segment">Between machines.</param>
/// <param name="Part">Of the subnet: the machine's own.</param>
/// <param name="Address">Of the machine, for the others.</param>
/// <param name="Encrypted">Given only to machines that said a key: one that knows not of this would go in clear.
/// </param>
public sealed record NetworkOrder(
    string Id, string Name, string Subnet, bool Internal, int Mtu, string Egress, int Segment, string Part,
    string Address, bool Encrypted = false)
{
    /// <summary>Null for a network that can't be said: it is on one machine.</summary>
    public static NetworkOrder? Of(NetworkDefinition? network) => network?.Overlay is not { } overlay
        ? null
        : new NetworkOrder(
            network.Id, network.Name, network.Subnet.ToString(), network.IsInternal, network.Mtu, network.Egress,
            overlay.Number, overlay.Part.ToString(), overlay.Address.ToString(), overlay.IsEncrypted);

    /// <exception cref="ArgumentException">It is none.</exception>
    public NetworkDefinition Read()
    {
        IPNetwork subnet = Range(Subnet);
        IPNetwork part = Range(Part);
        bool isWhole = Id is { Length: 12 } && Id.All(char.IsAsciiHexDigitLower) && NetworkName.IsValid(Name ?? "")
            && SubnetChoice.IsValid(subnet) && part.PrefixLength > subnet.PrefixLength && part.PrefixLength < 30
            && subnet.Contains(part.BaseAddress)
            && Mtu is >= NetworkDefinition.LeastMtu and <= NetworkDefinition.MostMtu
            && Segment is > 0 and < SubnetParts.SegmentEnd
            && EgressRules.TryParse((Egress ?? "").Split(' ', StringSplitOptions.RemoveEmptyEntries), out _);
        return !isWhole
            ? throw new ArgumentException($"'{Name}' is no network.")
            : new NetworkDefinition(
                Id, Name!, subnet, Internal, Mtu, Egress ?? "",
                new OverlaySegment(Segment, part, LinkAddress.Read(Address), Encrypted));
    }

    private static IPNetwork Range(string? text) => IPNetwork.TryParse(text, out IPNetwork range)
        ? range
        : throw new ArgumentException($"'{text}' is no range of addresses.");
}

/// <summary>All that a server says to a node of networks that are on several machines.</summary>
public sealed record NetworksReport(IReadOnlyList<SharedNetworkLine> Networks)
{
    public const int MaxNetworks = 1000;

    public static NetworksReport Of(IEnumerable<SharedNetwork> networks) => new(
    [
        .. networks.Select(n => new SharedNetworkLine(
            n.Id, n.Address.ToString(),
            [.. n.Peers.Select(PeerLine.Of)],
            NameLine.Of(n.Names))),
    ]);

    /// <exception cref="LinkException">It can't be that.</exception>
    public IReadOnlyList<SharedNetwork> Read()
    {
        try
        {
            return
            [
                .. (Networks ?? []).Take(MaxNetworks).Select(n => new SharedNetwork(
                    n.Id ?? "", LinkAddress.Read(n.Address),
                    [.. (n.Peers ?? []).Select(p => p.Read())],
                    NameLine.Read(n.Names))),
            ];
        }
        catch (Exception error) when (error is ArgumentException or FormatException)
        {
            throw new LinkException($"What came of networks can't be read: {error.Message}", error);
        }
    }
}

/// <summary>A <see cref="SharedNetwork"/> in plain values.</summary>
public sealed record SharedNetworkLine(
    string Id, string Address, IReadOnlyList<PeerLine> Peers, IReadOnlyList<NameLine> Names);

/// <summary>A <see cref="NetworkPeer"/> in plain values.</summary>
/// <param name="Key">As <see cref="PeerKey"/> writes it.</param>
public sealed record PeerLine(string Address, string Part, string? Key = null)
{
    public static PeerLine Of(NetworkPeer peer) =>
        new(peer.Address.ToString(), peer.Part.ToString(), peer.Key?.ToString());

    /// <exception cref="ArgumentException">It is none.</exception>
    /// <exception cref="FormatException">Its part is none.</exception>
    public NetworkPeer Read() => new(
        LinkAddress.Read(Address), IPNetwork.Parse(Part ?? ""),
        Key is null ? null
            : PeerKey.TryParse(Key, out PeerKey? key) ? key : throw new ArgumentException($"'{Key}' is no key."));
}

/// <summary>A <see cref="FoundName"/> in plain values.</summary>
public sealed record NameLine(string Name, string Address)
{
    public static IReadOnlyList<NameLine> Of(IEnumerable<FoundName> names) =>
        [.. names.Take(SharedNetwork.MaxNames).Select(n => new NameLine(n.Name, n.Address.ToString()))];

    /// <summary>What is no name is left out.</summary>
    /// <exception cref="ArgumentException">An address is none.</exception>
    public static IReadOnlyList<FoundName> Read(IReadOnlyList<NameLine>? lines) =>
    [
        .. (lines ?? []).Take(SharedNetwork.MaxNames).Where(l => NetworkName.IsLabel(l.Name ?? ""))
            .Select(l => new FoundName(l.Name, LinkAddress.Read(l.Address))),
    ];
}

/// <summary>What can be found on a node.</summary>
public sealed record PresenceReport(IReadOnlyList<PresenceLine> Networks)
{
    public static PresenceReport Of(IEnumerable<NetworkPresence> networks) =>
        new([.. networks.Select(n => new PresenceLine(n.Id, NameLine.Of(n.Names)))]);

    /// <exception cref="LinkException">It can't be that.</exception>
    public IReadOnlyList<NetworkPresence> Read()
    {
        try
        {
            return
            [
                .. (Networks ?? []).Take(NetworksReport.MaxNetworks)
                    .Select(n => new NetworkPresence(n.Id ?? "", NameLine.Read(n.Names))),
            ];
        }
        catch (ArgumentException error)
        {
            throw new LinkException($"What a node says of networks can't be read: {error.Message}", error);
        }
    }
}

/// <summary>A <see cref="NetworkPresence"/> in plain values.</summary>
public sealed record PresenceLine(string Id, IReadOnlyList<NameLine> Names);

/// <summary>An IPv4 address as it is written on the link.</summary>
public static class LinkAddress
{
    /// <exception cref="ArgumentException">It is none.</exception>
    public static IPAddress Read(string? text) => IPAddress.TryParse(text, out IPAddress? address)
        && address.AddressFamily == System.Net.Sockets.AddressFamily.InterNetwork
        ? address
        : throw new ArgumentException($"'{text}' is no IPv4 address.");

    /// <summary>Null for one that other machines can't send to.</summary>
    public static IPAddress? OfMachine(IPAddress? address)
    {
        IPAddress? plain = address is { IsIPv4MappedToIPv6: true } ? address.MapToIPv4() : address;
        return plain is { AddressFamily: System.Net.Sockets.AddressFamily.InterNetwork }
            && !IPAddress.IsLoopback(plain) && plain.GetAddressBytes()[0] is > 0 and < 224
            ? plain
            : null;
    }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull, MaxDepth = 8)]
[JsonSerializable(typeof(NetworksReport))]
[JsonSerializable(typeof(PresenceReport))]
public sealed partial class NetworkLinkJson : JsonSerializerContext;
