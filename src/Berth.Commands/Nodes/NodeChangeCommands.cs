using System.CommandLine;
using Berth.Api.Nodes;
using Berth.Commands.Output;
using Berth.Core.Resources;

namespace Berth.Commands.Nodes;

internal sealed class NodeDrainCommand : Verb
{
    private static readonly TimeSpan Look = TimeSpan.FromMilliseconds(500);

    private readonly Argument<string> name = new("node") { Description = "Name of the node" };

    private readonly Option<string> timeout = new("--timeout")
    {
        HelpName = "TIME",
        Description = "How long what it runs may go on; then tasks are begun anew elsewhere, and calls fail. "
            + "Containers that can go elsewhere do so at once, and others are not waited for",
        DefaultValueFactory = _ => "5m",
    };

    public NodeDrainCommand()
        : base(
            "drain", "Give a node nothing new and wait until it runs nothing; exit code 1 where something stays",
            new("berth node drain worker-1", "Before it is switched off"),
            new("berth node drain worker-1 --timeout 0s", "At once: its tasks begin anew elsewhere"))
    {
        Add(name);
        Add(timeout);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        TimeSpan patience = Duration.Parse(session.Get(timeout)!);
        long begun = session.Terminal.Time.GetTimestamp();
        string node = session.Get(name);
        HashSet<string> told = new(StringComparer.Ordinal);
        MachineDrain drain = await LookAsync(session, node, told, cancellationToken);
        bool evicted = false;
        while (Running(drain) > 0)
        {
            bool isDone = Running(drain) <= drain.Staying.Count;
            if (!evicted && session.Terminal.Time.GetElapsedTime(begun) >= patience && !(isDone && drain.Node.Own))
            {
                session.Say(
                    $"{Wording.Count(Running(drain), "run")} of {node} end here, and tasks begin anew elsewhere.");
                await session.Client.Nodes.EvictAsync(node, cancellationToken);
                evicted = true;
            }
            else if (isDone)
            {
                break;
            }

            await Task.Delay(Look, session.Terminal.Time, cancellationToken);
            drain = await LookAsync(session, node, told, cancellationToken);
        }

        await session.Terminal.Out.WriteLineAsync(node);
        return End(session, drain);
    }

    /// <summary>Of a server of before what it alone has there.</summary>
    private static int Running(MachineDrain drain) => drain.Running ?? drain.Node.Running;

    /// <summary>Says once of each container what becomes of it.</summary>
    private static async Task<MachineDrain> LookAsync(
        Session session, string node, HashSet<string> told, CancellationToken cancellationToken)
    {
        MachineDrain drain = await session.Client.Nodes.DrainAsync(node, cancellationToken);
        foreach (string text in drain.Moved.Select(container => $"The container {container} goes to another node.")
            .Concat(drain.Staying.Select(s =>
                $"The container {s.Container}{(s.Server is { } server ? $" of server {server}" : "")} stays: "
                + $"{s.Reason}."))
            .Concat((drain.Unasked ?? []).Select(u =>
                $"The server {u.Server} was not asked: {u.Reason}. What it has there goes on."))
            .Where(told.Add))
        {
            session.Say(text);
        }

        return drain;
    }

    private static int End(Session session, MachineDrain drain)
    {
        int staying = drain.Staying.Count;
        if (staying > 0)
        {
            session.Say(
                $"{Wording.Count(staying, "container")} of {drain.Node.Name} can't be elsewhere: 'berth stop' ends one"
                + (drain.Node.Own
                    ? "."
                    : $", 'berth node drain --timeout 0s {drain.Node.Name}' all that is there but what is on a "
                        + "server's own machine."));
        }

        return staying > 0 || drain.Unasked is { Count: > 0 } ? 1 : 0;
    }
}

internal sealed class NodeLabelCommand : Verb
{
    private readonly Argument<string> name = new("node") { Description = "Name of the node" };

    private readonly Argument<string[]> labels = new("label")
    {
        Description = "NAME=VALUE to set one, NAME- to remove one",
        Arity = ArgumentArity.OneOrMore,
    };

    public NodeLabelCommand()
        : base(
            "label", "Set or remove labels of a node",
            new("berth node label worker-1 zone=cellar disk=ssd", "Two of them"),
            new("berth node label worker-1 disk-", "Without this one"))
    {
        Add(name);
        Add(labels);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        Dictionary<string, string> set = new(StringComparer.Ordinal);
        List<string> removed = [];
        foreach (string text in session.Get(labels))
        {
            string[] parts = text.Split('=', 2);
            if (parts is [[.. var gone, '-']])
            {
                removed.Add(gone);
            }
            else
            {
                set[parts[0]] = parts.ElementAtOrDefault(1) ?? "";
            }
        }

        MachineView view = await session.Client.Nodes.PatchAsync(
            session.Get(name), new NodePatch(Labels: set, RemoveLabels: removed), cancellationToken);
        foreach ((string label, string value) in view.Labels.OrderBy(l => l.Key, StringComparer.Ordinal))
        {
            await session.Terminal.Out.WriteLineAsync($"{label}={value}");
        }

        return 0;
    }
}

internal sealed class NodeTaintCommand : Verb
{
    private readonly Argument<string> name = new("node") { Description = "Name of the node" };

    private readonly Argument<string[]> taints = new("taint")
    {
        Description = "NAME or NAME=VALUE to add one, with :prefer-not behind it a mild one; NAME- removes those of "
            + "that name",
        Arity = ArgumentArity.OneOrMore,
    };

    public NodeTaintCommand()
        : base(
            "taint", "Keep work from a node that does not say it bears its taints",
            new("berth node taint worker-1 gpu", "Only work that bears it, with --tolerate gpu"),
            new("berth node taint worker-1 slow:prefer-not", "Other work only where no other node has room"),
            new("berth node taint worker-1 gpu-", "Any work again"))
    {
        Add(name);
        Add(taints);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        MachineView before = await session.Client.Nodes.GetAsync(session.Get(name), cancellationToken);
        List<string> wanted = [.. before.Taints];
        foreach (string text in session.Get(taints))
        {
            if (text is [.. var removed, '-'])
            {
                wanted.RemoveAll(
                    t => t == removed || t.StartsWith(removed + "=", StringComparison.Ordinal)
                        || t.StartsWith(removed + ":", StringComparison.Ordinal));
            }
            else
            {
                wanted.Add(text);
            }
        }

        MachineView view = await session.Client.Nodes.PatchAsync(
            session.Get(name), new NodePatch(Taints: wanted), cancellationToken);
        foreach (string taint in view.Taints)
        {
            await session.Terminal.Out.WriteLineAsync(taint);
        }

        return 0;
    }
}
