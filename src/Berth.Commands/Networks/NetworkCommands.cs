using System.CommandLine;
using System.Globalization;
using Berth.Api.Networks;
using Berth.Commands.Output;
using Berth.Commands.Runs;

namespace Berth.Commands.Networks;

/// <summary><c>berth network</c>.</summary>
internal static class NetworkCommands
{
    public static Noun All() => new(
        "network", "Make and remove networks: programs in one find each other by name",
        [
            new("berth network create shop", "A network of its own addresses"),
            new("berth run -d --name web --network shop -p 8080:80 demo/web", "A container in it"),
        ],
        new NetworkCreateCommand(), new NetworkListCommand(), new NetworkInspectCommand(), new NetworkRemoveCommand(),
        new NetworkPruneCommand());
}

internal sealed class NetworkCreateCommand : Verb
{
    private readonly Argument<string> name = new("name") { Description = "Name: small letters, digits and '-'" };
    private readonly Option<string?> driver = new("--driver", "-d")
    {
        HelpName = "bridge|overlay",
        Description = "On the server's machine (bridge, if not given), or across all nodes (overlay)",
    };

    private readonly Option<string?> subnet = new("--subnet")
    {
        HelpName = "RANGE",
        Description = "Its addresses, such as 10.20.0.0/24; chosen if not given",
    };

    private readonly Option<bool> isInternal = new("--internal")
    {
        Description = "Nothing outside of it can be reached",
    };

    private readonly Option<bool> isEncrypted = new("--encrypted")
    {
        Description = "Of an overlay: encrypt what goes between nodes (WireGuard); nodes that can't are not in it",
    };

    private readonly Option<int?> mtu = new("--mtu")
    {
        HelpName = "BYTES",
        Description = "Largest packet; 1500 if not given, or what fits between nodes",
    };

    private readonly Option<string[]> egress = new("--egress")
    {
        HelpName = "allow|deny:RANGE",
        Description = "Where its programs may connect to; the first that fits decides (repeatable)",
    };

    private readonly Option<string[]> labels = new("--label", "-l")
    {
        HelpName = "KEY=VALUE",
        Description = "Label of the network (repeatable)",
    };

    public NetworkCreateCommand()
        : base(
            "create", "Make a network and print its name",
            new("berth network create shop", "Public addresses can be reached from it"),
            new("berth network create --driver overlay shop", "Across nodes"),
            new("berth network create --driver overlay --encrypted safe", "Across nodes, over a wire that isn't yours"),
            new("berth network create --internal --subnet 10.20.0.0/24 vault", "Nothing outside"),
            new("berth network create --egress allow:93.184.216.0/24 --egress deny:0.0.0.0/0 narrow", "One range"))
    {
        Option[] options = [driver, subnet, isInternal, isEncrypted, mtu, egress, labels];
        Add(name);
        foreach (Option option in options)
        {
            Add(option);
        }
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        string[] rules = session.Get(egress) ?? [];
        NetworkRequest request = new(
            session.Get(name), session.Get(driver), session.Get(subnet), session.Get(isInternal), session.Get(mtu),
            rules.Length == 0 ? null : rules,
            session.Get(labels) is { Length: > 0 } given
                ? given.Select(l => RunSettings.Pair(l, "--label")).ToDictionary(p => p.Key, p => p.Value)
                : null,
            session.Get(isEncrypted) ? true : null);
        NetworkView network = await session.Client.Networks.CreateAsync(request, cancellationToken);
        await session.Terminal.Out.WriteLineAsync(network.Name);
        return 0;
    }
}

internal sealed class NetworkListCommand : Verb
{
    private readonly OutputOption output = new();
    private readonly QuietOption quiet = new("Print names only");

    public NetworkListCommand()
        : base("ls", "List networks and what is in them", new Example("berth network ls", "All of yours"))
    {
        Add(output);
        Add(quiet);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        IReadOnlyList<NetworkView> networks = await session.Client.Networks.ListAsync(cancellationToken);
        if (session.Get(output) == "json")
        {
            JsonOutput.Write(session.Terminal, new NetworkList(networks), NetworkJson.Default.NetworkList);
            return 0;
        }

        Table table = new(
            new("NETWORK"), new("DRIVER"), new("ENCRYPTED"), new("SUBNET"),
            new("MTU", Right: true), new("OUTSIDE"), new("OWNER"), new("USED BY"));
        foreach (NetworkView network in networks)
        {
            if (session.Get(quiet))
            {
                await session.Terminal.Out.WriteLineAsync(network.Name);
            }

            table.Add(
                network.Name, network.Driver, network.Encrypted switch { true => "yes", false => "no", null => "-" },
                network.Subnet, network.Mtu.ToString(CultureInfo.InvariantCulture),
                network.Internal ? "nothing" : network.Egress.Count == 0 ? "public" : string.Join(' ', network.Egress),
                network.Owner, string.Join(", ", network.Users));
        }

        if (!session.Get(quiet))
        {
            table.Write(session.Terminal);
        }

        return 0;
    }
}

internal sealed class NetworkInspectCommand : Verb
{
    private readonly Argument<string> name = new("name") { Description = "Name of the network" };

    public NetworkInspectCommand()
        : base("inspect", "Print all about a network", new Example("berth network inspect shop", "As JSON"))
        => Add(name);

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        NetworkView network = await session.Client.Networks.GetAsync(session.Get(name), cancellationToken);
        JsonOutput.Write(session.Terminal, network, NetworkJson.Default.NetworkView);
        return 0;
    }
}

internal sealed class NetworkRemoveCommand : SeveralCommand
{
    public NetworkRemoveCommand()
        : base(
            new("name") { Description = "Names of the networks" },
            "rm", "Remove networks that nothing uses",
            new Example("berth network rm shop", "One"))
    {
    }

    protected override async Task SeeToAsync(Session session, string name, CancellationToken cancellationToken)
    {
        await session.Client.Networks.RemoveAsync(name, cancellationToken);
        await session.Terminal.Out.WriteLineAsync(name);
    }
}

internal sealed class NetworkPruneCommand : Verb
{
    public NetworkPruneCommand()
        : base(
            "prune", "Remove your networks that nothing uses, and print their names",
            new Example("berth network prune", "All of them"))
    {
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        foreach (string name in await session.Client.Networks.PruneAsync(cancellationToken))
        {
            await session.Terminal.Out.WriteLineAsync(name);
        }

        return 0;
    }
}
