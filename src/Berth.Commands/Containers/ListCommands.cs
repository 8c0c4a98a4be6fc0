using System.CommandLine;
using System.Globalization;
using Berth.Api.Client;
using Berth.Api.Containers;
using Berth.Api.Nodes;
using Berth.Commands.Images;
using Berth.Commands.Output;
using Berth.Core.Errors;

namespace Berth.Commands.Containers;

/// <summary><c>berth ps</c>.</summary>
internal sealed class PsCommand : Verb
{
    private readonly OutputOption output = new();
    private readonly QuietOption quiet = new("Print ids only");
    private readonly Option<bool> all = new("--all", "-a")
    {
        Description = "Those that have ended or were never started, too",
    };

    private readonly Option<bool> whole = new("--no-trunc") { Description = "Print ids and commands whole" };
    private readonly Option<string[]> filters = new("--filter", "-f")
    {
        HelpName = "KEY=VALUE",
        Description = "Only those with this status, name, label or ancestor (repeatable)",
        AllowMultipleArgumentsPerToken = false,
    };

    public PsCommand()
        : base(
            "ps", "List containers, newest first",
            new("berth ps", "Those that run"),
            new("berth ps -a --filter status=exited", "Those that have ended"),
            new("berth ps -o json", "All about them, for programs"))
    {
        foreach (Option option in (Option[])[output, quiet, all, whole, filters])
        {
            Add(option);
        }
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        IAsyncEnumerable<ContainerView> containers = session.Client.Containers.ListAsync(
            Filter(session), cancellationToken);
        if (session.Get(output) == "json")
        {
            await JsonOutput.WriteAsync(
                session.Terminal, containers, ContainerJson.Default.ContainerView, cancellationToken);
            return 0;
        }

        bool full = session.Get(whole);
        DateTimeOffset now = session.Terminal.Time.GetUtcNow();
        List<ContainerView> listed = [];
        await foreach (ContainerView container in containers)
        {
            listed.Add(container);
        }

        // Who has one machine need not be told of it.
        bool nodes = listed.Any(c => c.Node is not null);
        Table table = new(
        [
            new("CONTAINER"), new("IMAGE"), new("COMMAND"), new("CREATED"), new("STATUS"),
            .. nodes ? [new Column("NODE")] : Array.Empty<Column>(), new("NAME"),
        ]);
        foreach (ContainerView container in listed)
        {
            string id = full ? container.Id : ContainerText.Id(container.Id);
            if (session.Get(quiet))
            {
                await session.Terminal.Out.WriteLineAsync(id);
                continue;
            }

            table.Add(
            [
                id, container.Image, ContainerText.Command(container, full), Wording.Age(container.CreatedAt, now),
                ContainerText.Status(container, now), .. nodes ? [container.Node ?? "-"] : Array.Empty<string>(),
                container.Name,
            ]);
        }

        if (!session.Get(quiet))
        {
            table.Write(session.Terminal);
        }

        return 0;
    }

    private ContainerFilter Filter(Session session)
    {
        ContainerFilter filter = new(session.Get(all));
        foreach (string text in session.Get(filters) ?? [])
        {
            int equals = text.IndexOf('=', StringComparison.Ordinal);
            string value = equals < 0 ? "" : text[(equals + 1)..];
            filter = (equals < 0 ? text : text[..equals]) switch
            {
                "status" => filter with { State = value },
                "name" => filter with { Name = value },
                "label" => filter with { Label = value },
                "ancestor" => filter with { Image = value },
                var key => throw new BerthException(
                    ErrorCode.InvalidRequest,
                    $"--filter: there is no '{key}'; there are status, name, label and ancestor."),
            };
        }

        return filter;
    }
}

/// <summary><c>berth inspect</c>: all about something, whatever it is.</summary>
internal sealed class InspectAnyCommand : Verb
{
    private readonly Argument<string[]> names = new("name")
    {
        Description = "Containers by name or id, or images",
        Arity = ArgumentArity.OneOrMore,
    };

    public InspectAnyCommand()
        : base(
            "inspect", "Print all about containers and images, as a JSON array",
            new("berth inspect web | jq -r '.[0].state'", "One thing of a container"),
            new("berth inspect demo/web", "An image"))
        => Add(names);

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        using MemoryStream array = new();
        await using (System.Text.Json.Utf8JsonWriter writer = new(array, JsonOutput.Options))
        {
            writer.WriteStartArray();
            foreach (string name in session.Get(names))
            {
                await WriteAsync(session, writer, name, cancellationToken);
            }

            writer.WriteEndArray();
        }

        await session.Terminal.Output.WriteAsync(array.GetBuffer().AsMemory(0, (int)array.Length), cancellationToken);
        session.Terminal.Output.WriteByte((byte)'\n');
        return 0;
    }

    private static async Task WriteAsync(
        Session session, System.Text.Json.Utf8JsonWriter writer, string name, CancellationToken cancellationToken)
    {
        try
        {
            ContainerView container = await session.Client.Containers.GetAsync(name, cancellationToken);
            System.Text.Json.JsonSerializer.Serialize(writer, container, ContainerJson.Default.ContainerView);
            return;
        }
        catch (BerthException refusal) when (refusal.Code == ErrorCode.NotFound)
        {
            // Perhaps an image.
        }

        try
        {
            Api.Images.ImageDetail image = await session.Client.Images.GetAsync(name, cancellationToken);
            System.Text.Json.JsonSerializer.Serialize(writer, image, Api.Images.ImageJson.Default.ImageDetail);
        }
        catch (BerthException refusal) when (
            refusal.Code is ErrorCode.ImageNotFound or ErrorCode.InvalidReference or ErrorCode.NotFound)
        {
            throw new BerthException(
                ErrorCode.NotFound,
                $"There is no container and no image '{name}': 'berth ps -a' and 'berth image ls' list them.");
        }
    }
}

internal sealed class TopCommand : Verb
{
    private readonly ContainerArgument container = new();
    private readonly OutputOption output = new();

    public TopCommand()
        : base("top", "List what runs in a container", new Example("berth top web", "Its processes"))
    {
        Add(container);
        Add(output);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        IReadOnlyList<ContainerProcess> processes = await session.Client.Containers.ProcessesAsync(
            session.Get(container), cancellationToken);
        if (session.Get(output) == "json")
        {
            JsonOutput.Write(
                session.Terminal, new ContainerProcesses(processes), ContainerJson.Default.ContainerProcesses);
            return 0;
        }

        Table table = new(
            new("PID", Right: true), new("USER", Right: true), new("CPU", Right: true), new("MEMORY", Right: true),
            new("COMMAND"));
        foreach (ContainerProcess process in processes)
        {
            table.Add(
                process.Pid.ToString(CultureInfo.InvariantCulture),
                process.User.ToString(CultureInfo.InvariantCulture), Wording.Milliseconds(process.CpuMs),
                Wording.Bytes(process.ResidentBytes),
                new string([.. process.Command.Select(c => char.IsControl(c) ? ' ' : c)]));
        }

        table.Write(session.Terminal);
        return 0;
    }
}

/// <summary><c>berth stats</c>: what containers use, again and again.</summary>
internal sealed class StatsCommand : Verb
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    private readonly Argument<string[]> names = new("container")
    {
        Description = "Names or ids; all that run if none is given",
        Arity = ArgumentArity.ZeroOrMore,
    };

    private readonly Option<bool> once = new("--no-stream") { Description = "Measure once" };
    private readonly OutputOption output = new();

    public StatsCommand()
        : base(
            "stats", "Show what containers use, until Ctrl-C",
            new("berth stats", "All that run"),
            new("berth stats --no-stream -o json web", "One, once, for programs"))
    {
        Add(names);
        Add(once);
        Add(output);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        Dictionary<string, ContainerStats> before = [];
        bool json = session.Get(output) == "json";
        bool redraws = session.Terminal.OutputIsTerminal && !json && !session.Get(once);
        // How much a processor was used is told by two looks.
        await MeasureAsync(session, before, cancellationToken);
        while (true)
        {
            await Task.Delay(Interval, session.Terminal.Time, cancellationToken);
            Dictionary<string, ContainerStats> now = [];
            await MeasureAsync(session, now, cancellationToken);
            if (json)
            {
                foreach (ContainerStats stats in now.Values)
                {
                    JsonOutput.WriteLine(session.Terminal, stats, ContainerJson.Default.ContainerStats);
                }
            }
            else
            {
                await session.Terminal.Out.WriteAsync(redraws ? "\e[H\e[2J" : "");
                Write(session, before, now);
                await session.Terminal.Out.FlushAsync(cancellationToken);
            }

            if (session.Get(once))
            {
                return 0;
            }

            before = now;
        }
    }

    private async Task MeasureAsync(
        Session session, Dictionary<string, ContainerStats> into, CancellationToken cancellationToken)
    {
        string[] wanted = session.Get(names);
        if (wanted.Length == 0)
        {
            await foreach (ContainerView container in session.Client.Containers.ListAsync(
                new ContainerFilter(), cancellationToken))
            {
                try
                {
                    into[container.Id] = await session.Client.Containers.StatsAsync(container.Id, cancellationToken);
                }
                catch (BerthException refusal) when (refusal.Code is ErrorCode.Conflict or ErrorCode.NotFound)
                {
                    // It has ended meanwhile.
                }
            }

            return;
        }

        foreach (string name in wanted)
        {
            ContainerStats stats = await session.Client.Containers.StatsAsync(name, cancellationToken);
            into[stats.Id] = stats;
        }
    }

    private static void Write(
        Session session, Dictionary<string, ContainerStats> before, Dictionary<string, ContainerStats> now)
    {
        Table table = new(
            new("CONTAINER"), new("NAME"), new("CPU %", Right: true), new("MEMORY / LIMIT", Right: true),
            new("MEMORY %", Right: true), new("PIDS", Right: true));
        foreach (ContainerStats stats in now.Values)
        {
            double cpu = before.TryGetValue(stats.Id, out ContainerStats? last) && stats.At > last.At
                ? (stats.CpuMs - last.CpuMs) / (stats.At - last.At).TotalMilliseconds
                : 0;
            table.Add(
                ContainerText.Id(stats.Id), stats.Name, Percent(cpu),
                $"{Wording.Bytes(stats.MemoryBytes)} / {Wording.Bytes(stats.MemoryLimitBytes)}",
                Percent((double)stats.MemoryBytes / stats.MemoryLimitBytes),
                stats.Processes.ToString(CultureInfo.InvariantCulture));
        }

        table.Write(session.Terminal);
    }

    private static string Percent(double share) =>
        string.Create(CultureInfo.InvariantCulture, $"{share * 100:0.00} %");
}

/// <summary><c>berth sandbox ls</c>: what stands on the node, what is prepared ahead too.</summary>
internal sealed class SandboxListCommand : Verb
{
    private readonly OutputOption output = new();
    private readonly QuietOption quiet = new("Print ids only");

    public SandboxListCommand()
        : base(
            "ls", "List the sandboxes that exist now: of calls, tasks and containers, and those prepared ahead",
            new("berth sandbox ls", "What is running and what stands ready"),
            new("berth sandbox ls -o json", "The same for programs"))
    {
        Add(output);
        Add(quiet);
    }

    public static Noun All() => new(
        "sandbox", "See the sandboxes that programs run in",
        [new("berth sandbox ls", "What is running and what stands ready")],
        new SandboxListCommand());

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        IReadOnlyList<SandboxLine> sandboxes = await session.Client.SandboxesAsync(cancellationToken);
        if (session.Get(output) == "json")
        {
            JsonOutput.Write(session.Terminal, new SandboxList(sandboxes), NodeJson.Default.SandboxList);
            return 0;
        }

        Table table = new(new("SANDBOX"), new("STATE"), new("RUN"), new("IMAGE"), new("CREATED"));
        foreach (SandboxLine sandbox in sandboxes)
        {
            if (session.Get(quiet))
            {
                await session.Terminal.Out.WriteLineAsync(sandbox.Id);
            }

            string created = Wording.Age(sandbox.CreatedAt, session.Terminal.Time.GetUtcNow());
            table.Add(sandbox.Id, sandbox.State, sandbox.Run, ImageListCommand.ShortDigest(sandbox.Image), created);
        }

        if (!session.Get(quiet))
        {
            table.Write(session.Terminal);
        }

        return 0;
    }
}
