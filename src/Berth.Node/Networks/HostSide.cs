using System.Net;
using System.Security.Cryptography;
using Berth.Core.Networks;
using Berth.Node.Linux;

namespace Berth.Node.Networks;

/// <summary>
/// What networks have in the machine's own namespace: a cable each, and one table of rules for all of them. Nothing
/// that comes up a cable reaches the machine itself or another network; what goes out has the machine's address. All of
/// it goes with this process.
/// </summary>
internal sealed class HostSide : IDisposable
{
    private const string ForwardingSwitch = "/proc/sys/net/ipv4/ip_forward";

    /// <summary>Link-local, because nothing else on a machine is routed there. Two addresses for each cable.</summary>
    private static readonly IPNetwork Cables = IPNetwork.Parse("169.254.32.0/19");
    private const uint MostCables = 4096;

    private readonly Lock gate = new();
    private readonly string prefix;
    private readonly string table;
    private readonly FileDescriptor space;
    private RouteSocket? devices;
    private FilterSocket? filter;
    private uint next;
    private int named;

    /// <param name="instance">Eight hexadecimal digits of the server.</param>
    public HostSide(string instance)
    {
        // 15 characters make a device's name.
        prefix = "bn" + instance;
        table = "berth-" + instance;
        // Where another server of the machine has not begun.
        next = (uint)RandomNumberGenerator.GetInt32((int)MostCables);
        space = NetworkNamespace.OfThisProcess();
    }

    /// <summary>How the names of this server's cables begin.</summary>
    public string Prefix => prefix;

    /// <summary>Lays a cable out of a network's namespace. Throws LinuxException.</summary>
    /// <param name="end">The network's.</param>
    public Cable Connect(RouteSocket network, CableEnd end, int mtu)
    {
        lock (gate)
        {
            Prepare();
            IPNetwork pair = ChoosePair();
            Cable cable = new(prefix + ToText(named++), pair.BaseAddress, AddressPool.At(pair, 1));
            network.MakePair(end, 0, new CableEnd(0, cable.Name), space, mtu);
            Complete(cable);
            return cable;
        }
    }

    /// <summary>Whether a cable is there still.</summary>
    public bool Has(Cable cable)
    {
        lock (gate)
        {
            return devices!.Devices().Any(d => d.Name == cable.Name && d.IsUp);
        }
    }

    /// <summary>Takes this end away, and with it the other.</summary>
    public void Disconnect(Cable cable)
    {
        lock (gate)
        {
            if (devices?.Devices().FirstOrDefault(d => d.Name == cable.Name) is { } device)
            {
                devices.Remove(device.Index);
            }
        }
    }

    /// <summary>What somebody may have changed is as it was again. Throws LinuxException.</summary>
    public void Repair(IReadOnlyCollection<Cable> cables)
    {
        lock (gate)
        {
            if (filter is not null && !filter.IsInstalled())
            {
                filter.Dispose();
                filter = null;
            }

            if (cables.Count > 0)
            {
                Prepare();
                foreach (Cable cable in cables)
                {
                    Complete(cable);
                }
            }
        }
    }

    public void Dispose()
    {
        lock (gate)
        {
            filter?.Dispose();
            devices?.Dispose();
            space.Dispose();
        }
    }

    private void Prepare()
    {
        devices ??= RouteSocket.Open();
        if (filter is null)
        {
            FilterSocket made = FilterSocket.Open(FilterFamily.Internet, table);
            try
            {
                made.Install([], Rules());
            }
            catch
            {
                made.Dispose();
                throw;
            }

            filter = made;
        }

        if (File.ReadAllText(ForwardingSwitch).Trim() == "0")
        {
            File.WriteAllText(ForwardingSwitch, "1");
        }
    }

    private void Complete(Cable cable)
    {
        if (devices!.Devices().FirstOrDefault(d => d.Name == cable.Name) is { } device)
        {
            Switch($"/proc/sys/net/ipv6/conf/{cable.Name}/disable_ipv6", "1");
            devices.SetUp(device.Index);
            devices.AddAddress(device.Index, cable.Here, 31);
        }
    }

    /// <summary>Before those of others, which may say less but not more.</summary>
    private FilterChain[] Rules()
    {
        const int First = -10;
        const int Source = 100;
        const byte Udp = 17;
        string own = prefix + "*";
        return
        [
            new("input", FilterHook.Input, First, Accepts: true, [new FilterRule().From(own).Drop()]),
            new(
                "forward", FilterHook.Forward, First, Accepts: true,
                [
                    // Between machines, tunnels are known by the sender's address, which all have that leave here.
                    new FilterRule().From(own).Transport(Udp).ToPort(Underlay.Port).Drop(),
                    // Networks of any server of this machine.
                    new FilterRule().From(own).To("bn*").Drop(),
                    new FilterRule().To(own).Established().Accept(),
                    new FilterRule().To(own).Drop(),
                ]),
            new(
                "source", FilterHook.Postrouting, Source, Accepts: true,
                [new FilterRule().OfIp4().NotTo(own).Source(Cables).Masquerade()], Translates: true),
        ];
    }

    private IPNetwork ChoosePair()
    {
        HashSet<IPAddress> taken = [.. devices!.Addresses()];
        for (uint tried = 0; tried < MostCables; tried++)
        {
            uint number = next++ % MostCables;
            IPNetwork pair = new(AddressPool.At(Cables, number * 2), 31);
            if (!taken.Contains(pair.BaseAddress))
            {
                return pair;
            }
        }

        throw new LinuxException("netlink", $"all of {Cables} is taken", Errno.NoSpace);
    }

    private static void Switch(string path, string value)
    {
        if (File.Exists(path))
        {
            File.WriteAllText(path, value);
        }
    }

    /// <summary>Five characters at most.</summary>
    private static string ToText(int number) => (number & 0xfffff).ToString("x", null);
}

/// <summary>What connects a network with the machine.</summary>
/// <param name="Name">Of the machine's end.</param>
internal sealed record Cable(string Name, IPAddress Here, IPAddress There);
