using System.Net;
using Berth.Api.Containers;
using Berth.Api.Networks;
using Berth.Core.Callbacks;
using Berth.Core.Containers;
using Berth.Core.Errors;
using Berth.Core.Networks;
using Berth.Server.Calls;
using Berth.Server.Configuration;
using Berth.Server.Networks;

namespace Berth.Server.NetworkEndpoints;

/// <summary>Turns requests into what a network is to be, and what a container is to have of one: every member checked,
/// and refused by naming it, its value and the remedy.</summary>
internal sealed class NetworkOrder(ServerOptions server)
{
    private const int MaxAliases = 16;
    private const int MaxPorts = 64;

    public NetworkWish Read(NetworkRequest request)
    {
        string name = NetworkName.Check(
            request.Name ?? throw new Asked("name", null).Refuse("", "a network needs one"));
        bool isOverlay = IsOverlay(request);
        return new NetworkWish(
            name, isOverlay, Subnet(request, isOverlay), request.Internal, Mtu(request), Egress(request),
            ProgramRules.Labels(new Asked("labels", null), Named.Of(request.Labels), ProgramRules.MaxLabels),
            IsEncrypted(request, isOverlay));
    }

    /// <summary>Null for a container that is in none.</summary>
    public static ContainerNetwork? Read(ContainerRequest request, NetworkUse? use)
    {
        IReadOnlyList<PortView> ports = request.Ports ?? [];
        IReadOnlyList<string> aliases = request.Aliases ?? [];
        if (use is not null)
        {
            return new ContainerNetwork(
                use, Address(request), [.. Few("aliases", aliases, MaxAliases).Select(Alias)],
                Distinct([.. Few("ports", ports, MaxPorts).Select(Port)]));
        }

        return ports.Count + aliases.Count > 0 || request.Address is not null
            ? throw new Asked(ports.Count > 0 ? "ports" : aliases.Count > 0 ? "aliases" : "address", null).Refuse(
                "…", "they belong to a network: make one with 'berth network create', and name it with --network")
            : null;
    }

    private static bool IsOverlay(NetworkRequest request) => request.Driver switch
    {
        null or "bridge" => false,
        "overlay" => true,
        { } other => throw new Asked("driver", other).Refuse("expected bridge or overlay"),
    };

    private static bool IsEncrypted(NetworkRequest request, bool isOverlay) => request.Encrypted == true && !isOverlay
        ? throw new Asked("encrypted", "true").Refuse(
            "a network on one machine sends nothing to others: give driver = overlay")
        : request.Encrypted == true;

    private static IPNetwork? Subnet(NetworkRequest request, bool isOverlay)
    {
        if (request.Subnet is not { } text)
        {
            return null;
        }

        int longest = isOverlay ? SubnetParts.LongestPrefix : SubnetChoice.LongestPrefix;
        return IPNetwork.TryParse(text, out IPNetwork subnet) && SubnetChoice.IsValid(subnet)
            && subnet.PrefixLength <= longest
            ? subnet
            : throw new Asked("subnet", text).Refuse(
                $"expected private IPv4 addresses with a prefix of {SubnetChoice.ShortestPrefix} to {longest}, such as "
                + (isOverlay ? "10.20.0.0/16: each machine gets a part" : "10.20.0.0/24"));
    }

    private static int? Mtu(NetworkRequest request) => request.Mtu switch
    {
        null => null,
        >= NetworkDefinition.LeastMtu and <= NetworkDefinition.MostMtu and { } mtu => mtu,
        { } other => throw new Asked("mtu", $"{other}").Refuse(
            $"expected {NetworkDefinition.LeastMtu} to {NetworkDefinition.MostMtu} bytes"),
    };

    private EgressRules Egress(NetworkRequest request)
    {
        IReadOnlyList<string> texts = request.Egress ?? [];
        if (!EgressRules.TryParse(texts, out EgressRules? rules))
        {
            throw new Asked("egress", null).Refuse(
                string.Join(' ', texts.Take(3)),
                $"expected up to {EgressRules.MaxRules} rules such as allow:10.1.0.0/16 and deny:0.0.0.0/0");
        }

        foreach (EgressRule rule in rules.Rules.Where(r => r.Allow && r.IsOpening))
        {
            if (!MayOpen(rule.To))
            {
                throw new BerthException(
                    ErrorCode.Forbidden,
                    $"egress = '{rule}' opens addresses of the inside: the operator's network-allow decides, and has "
                    + $"{(server.NetworkAllow.Count == 0 ? "none" : string.Join(", ", server.NetworkAllow))}.");
            }
        }

        return rules;
    }

    private bool MayOpen(IPNetwork range) => server.NetworkAllow.Any(
        allowed => allowed.PrefixLength <= range.PrefixLength && allowed.Contains(range.BaseAddress));

    private static IPAddress? Address(ContainerRequest request) => request.Address is not { } text
        ? null
        : IPAddress.TryParse(text, out IPAddress? address)
            && address.AddressFamily == System.Net.Sockets.AddressFamily.InterNetwork
            ? address
            : throw new Asked("address", text).Refuse("expected an IPv4 address of the network");

    private static string Alias(string alias) => NetworkName.IsLabel(alias)
        ? alias
        : throw new Asked("aliases", alias).Refuse(
            $"expected 1 to {NetworkName.MaxLength} small letters, digits and '-'");

    private static PublishedPort Port(PortView port)
    {
        bool isUdp = port.Protocol == "udp";
        IPAddress? address = null;
        if (!isUdp && port.Protocol is not (null or "tcp"))
        {
            throw new Asked("ports.protocol", port.Protocol).Refuse("expected tcp or udp");
        }

        if (port.Address is { } text && !IPAddress.TryParse(text, out address))
        {
            throw new Asked("ports.address", text).Refuse("expected an address of the machine");
        }

        return new PublishedPort(address, Number("ports.port", port.Port), Number("ports.target", port.Target), isUdp);
    }

    private static int Number(string member, int port) => port is >= 1 and <= ushort.MaxValue
        ? port
        : throw new Asked(member, $"{port}").Refuse("expected 1 to 65535");

    private static PublishedPort[] Distinct(PublishedPort[] ports) =>
        ports.GroupBy(p => (p.Address, p.Host, p.IsUdp)).FirstOrDefault(g => g.Count() > 1) is { } twice
            ? throw new Asked("ports", $"{twice.First()}").Refuse("a port of the machine leads to one place only")
            : ports;

    private static IReadOnlyList<T> Few<T>(string member, IReadOnlyList<T> list, int most) => list.Count <= most
        ? list
        : throw new Asked(member, null).Refuse("…", $"at most {most} can be given");
}
