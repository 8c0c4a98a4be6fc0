using System.Net;
using Berth.Core.Networks;
using Berth.Node.Linux;

namespace Berth.Node.Networks;

/// <summary>What goes through a network's namespace and what does not. What no rule names is dropped.</summary>
internal static class NetworkRules
{
    public const string BridgeName = "net0";
    public const string UplinkName = "up0";

    /// <summary>Set of <see cref="FilterRule.SenderKey"/>: the programs that are plugged in.</summary>
    public const string Senders = "senders";

    /// <summary>Set of <see cref="FilterRule.MachineKey"/>: the other machines.</summary>
    public const string Machines = "machines";

    /// <summary>What goes through the network's namespace, and what comes to it.</summary>
    public static FilterChain[] Packets(NetworkDefinition definition)
    {
        const byte Tcp = 6;
        const byte Udp = 17;
        const byte Icmp = 1;
        const byte EchoRequest = 8;
        const int Names = 53;
        const int Source = 100;
        IPNetwork own = new(definition.Gateway, 32);
        FilterChain[] chains =
        [
            new(
                "input", FilterHook.Input, 0, Accepts: false,
                [
                    new FilterRule().Established().Accept(),
                    new FilterRule().From("lo").Accept(),
                    new FilterRule().From(BridgeName).Target(own).Transport(Udp).ToPort(Names).Accept(),
                    new FilterRule().From(BridgeName).Target(own).Transport(Tcp).ToPort(Names).Accept(),
                    new FilterRule().From(BridgeName).Target(own).Transport(Icmp).IcmpType(EchoRequest).Accept(),
                ]),
            new("forward", FilterHook.Forward, 0, Accepts: false, [.. Forward(definition)]),
            new(
                "source", FilterHook.Postrouting, Source, Accepts: true,
                [new FilterRule().To(UplinkName).Masquerade()], Translates: true),
        ];
        return definition.Overlay is { } overlay ? [.. chains, FromMachines(overlay)] : chains;
    }

    /// <summary>What another machine sends is from its own programs.</summary>
    private static FilterChain FromMachines(OverlaySegment overlay)
    {
        const int BeforeAll = -300;
        string tunnel = OverlayPort.NameOf(overlay.Number);
        return new(
            "machines", FilterHook.Prerouting, BeforeAll, Accepts: true,
            [
                new FilterRule().From(tunnel).MachineIn(Machines, overlay.Part.PrefixLength).Accept(),
                new FilterRule().From(tunnel).Drop(),
            ]);
    }

    private static IEnumerable<FilterRule> Forward(NetworkDefinition definition)
    {
        yield return new FilterRule().Established().Accept();
        // A kernel may show bridged packets to rules for routed ones (br_netfilter).
        yield return new FilterRule().From(BridgeName).To(BridgeName).Accept();
        if (definition.Overlay is { } overlay)
        {
            string tunnel = OverlayPort.NameOf(overlay.Number);
            yield return new FilterRule().From(BridgeName).To(tunnel).Target(definition.Subnet).Accept();
            yield return new FilterRule().From(tunnel).To(BridgeName).Target(overlay.Part).Accept();
        }

        yield return new FilterRule().Target(EgressRules.LinkLocal).Drop();
        foreach (EgressRule rule in EgressRules.Restore(definition.Egress).Rules)
        {
            FilterRule fits = new FilterRule().From(BridgeName).To(UplinkName).Target(rule.To);
            yield return rule.Allow ? fits.Accept() : fits.Drop();
        }

        foreach (IPNetwork closed in EgressRules.Closed)
        {
            yield return new FilterRule().Target(closed).Drop();
        }

        yield return new FilterRule().From(BridgeName).To(UplinkName).Accept();
    }

    /// <summary>What a port of the bridge may send: IPv4 and ARP, from its own addresses. Router advertisements, other
    /// protocols, DHCP in either direction: nothing of that is anybody's business here.</summary>
    public static FilterChain[] Frames()
    {
        const ushort Ip = 0x0800;
        const ushort Arp = 0x0806;
        const byte Udp = 17;
        const int SourceAddress = 12;
        const int BeforeAll = -300;
        const int DhcpServer = 67;
        const int DhcpClient = 68;
        return
        [
            new(
                "prerouting", FilterHook.Prerouting, BeforeAll, Accepts: false,
                [
                    new FilterRule().Carrying(Arp).SenderIn(Senders, 14).ArpSenderIn(Senders).Accept(),
                    new FilterRule().Carrying(Ip).Transport(Udp).ToPort(DhcpServer).Drop(),
                    new FilterRule().Carrying(Ip).Transport(Udp).ToPort(DhcpClient).Drop(),
                    new FilterRule().Carrying(Ip).SenderIn(Senders, SourceAddress).Accept(),
                ]),
        ];
    }
}
