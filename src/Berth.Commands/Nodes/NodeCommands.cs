using System.CommandLine;
using System.Globalization;
using Berth.Api.Nodes;
using Berth.Commands.Output;

namespace Berth.Commands.Nodes;

/// <summary><c>berth node</c>: the machines that run work for a server.</summary>
internal static class NodeCommands
{
    /// <param name="join">The command of the machine that joins.</param>
    public static Noun All(Command join)
    {
        Noun noun = new(
            "node", "Let machines run work for the server, and look after them",
            [
                new("berth node token create", "On the server: a token that lets one machine join"),
                new("berth node join https://berth.example:7071 --token-file token", "On the machine: run work for it"),
                new("berth node ls", "Which there are, and how they do"),
            ],
            new NodeListCommand(), new NodeInspectCommand(), new NodeCordonCommand(), new NodeUncordonCommand(),
            new NodeDrainCommand(), new NodeLabelCommand(), new NodeTaintCommand(), new NodeRemoveCommand())
        {
            join,
            new Noun(
                "token", "Make tokens for joining, and take them back",
                [new("berth node token create", "For one machine, within an hour")], new NodeTokenCreateCommand(),
                new NodeTokenListCommand(), new NodeTokenRemoveCommand()),
        };
        return noun;
    }
}

internal sealed class NodeTokenCreateCommand : Verb
{
    private readonly Option<string?> expires = new("--expires")
    {
        HelpName = "TIME",
        Description = "How long it is valid, up to 7d (default 1h)",
    };

    private readonly OutputOption output = new();

    public NodeTokenCreateCommand()
        : base(
            "create", "Make a token that lets one machine join once, and print it; it can't be shown again",
            new("berth node token create > token", "For the next hour"),
            new("berth node token create --expires 1d", "For a day"))
    {
        Add(expires);
        Add(output);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        JoinTokenCreated made = await session.Client.Nodes.CreateTokenAsync(
            session.Get(expires), cancellationToken);
        if (session.Get(output) == "json")
        {
            JsonOutput.Write(session.Terminal, made, NodeJson.Default.JoinTokenCreated);
        }
        else
        {
            await session.Terminal.Out.WriteLineAsync(made.Token);
        }

        return 0;
    }
}

internal sealed class NodeListCommand : Verb
{
    private readonly OutputOption output = new();
    private readonly QuietOption quiet = new("Print names only");

    public NodeListCommand()
        : base(
            "ls", "List the machines that run work",
            new("berth node ls", "How they do"),
            new("berth node ls -o json", "For programs"))
    {
        Add(output);
        Add(quiet);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        IReadOnlyList<MachineView> nodes = await session.Client.Nodes.ListAsync(cancellationToken);
        if (session.Get(output) == "json")
        {
            JsonOutput.Write(session.Terminal, new MachineList(nodes), NodeJson.Default.MachineList);
            return 0;
        }

        DateTimeOffset now = session.Terminal.Time.GetUtcNow();
        Table table = new(
            new("NODE"), new("STATE"), new("RUNNING", Right: true), new("PLACES", Right: true),
            new("CORES", Right: true), new("MEMORY", Right: true), new("SEEN"), new("VERSION"), new("NOTE"));
        foreach (MachineView node in nodes)
        {
            if (session.Get(quiet))
            {
                await session.Terminal.Out.WriteLineAsync(node.Name);
            }

            table.Add(
                node.Name, node.Cordoned ? node.State + ", cordoned" : node.State, Text(node.Running),
                Text(node.Places), Text(node.Facts?.Cores), Wording.Bytes(node.Facts?.MemoryBytes),
                node.Own ? "" : Wording.Age(node.SeenAt, now), node.Version ?? "",
                node.Problem ?? (node.Own ? "the server's own" : node.SharesLayers is null ? "" : "shares layers"));
        }

        if (!session.Get(quiet))
        {
            table.Write(session.Terminal);
        }

        return 0;
    }

    private static string Text(int? number) => number?.ToString(CultureInfo.InvariantCulture) ?? "";
}

internal sealed class NodeInspectCommand : Verb
{
    private readonly Argument<string> name = new("node") { Description = "Name of the node" };

    public NodeInspectCommand()
        : base(
            "inspect", "Print all that is known about a node",
            new Example("berth node inspect worker-1", "As JSON"))
        => Add(name);

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        MachineView view = await session.Client.Nodes.GetAsync(session.Get(name), cancellationToken);
        JsonOutput.Write(session.Terminal, view, NodeJson.Default.MachineView);
        return 0;
    }
}

internal sealed class NodeCordonCommand : SeveralCommand
{
    public NodeCordonCommand()
        : base(
            new("node") { Description = "Names of the nodes" },
            "cordon", "Give nodes nothing new; what they run goes on",
            new Example("berth node cordon worker-1", "One"))
    {
    }

    protected override async Task SeeToAsync(Session session, string name, CancellationToken cancellationToken)
    {
        await session.Client.Nodes.CordonAsync(name, cancellationToken);
        await session.Terminal.Out.WriteLineAsync(name);
    }
}

internal sealed class NodeUncordonCommand : SeveralCommand
{
    public NodeUncordonCommand()
        : base(
            new("node") { Description = "Names of the nodes" },
            "uncordon", "Give cordoned or drained nodes work again",
            new Example("berth node uncordon worker-1", "One"))
    {
    }

    protected override async Task SeeToAsync(Session session, string name, CancellationToken cancellationToken)
    {
        await session.Client.Nodes.UncordonAsync(name, cancellationToken);
        await session.Terminal.Out.WriteLineAsync(name);
    }
}

internal sealed class NodeRemoveCommand : SeveralCommand
{
    public NodeRemoveCommand()
        : base(
            new("node") { Description = "Names of the nodes" },
            "rm", "Remove nodes: their certificates are refused from now on, and what they run is lost",
            new Example("berth node rm worker-1", "One; drain it first"))
    {
    }

    protected override async Task SeeToAsync(Session session, string name, CancellationToken cancellationToken)
    {
        await session.Client.Nodes.RemoveAsync(name, cancellationToken);
        await session.Terminal.Out.WriteLineAsync(name);
    }
}
