using System.CommandLine;
using System.Globalization;
using Berth.Api.Client;
using Berth.Api.Containers;
using Berth.Commands.Output;
using Berth.Commands.Runs;
using Berth.Core.Errors;

namespace Berth.Commands.Containers;

/// <summary><c>berth volume</c>.</summary>
internal static class VolumeCommands
{
    public static Noun All() => new(
        "volume", "Make and remove named volumes: folders that outlast containers",
        [
            new("berth volume create pages", "A folder on the server's machine"),
            new("berth run -v pages:/srv demo/busybox ls /srv", "In a container"),
        ],
        new VolumeCreateCommand(), new VolumeListCommand(), new VolumeInspectCommand(), new VolumeRemoveCommand());
}

internal sealed class VolumeCreateCommand : Verb
{
    private readonly Argument<string?> name = new("name")
    {
        Description = "Name of the volume; made up if not given",
        Arity = ArgumentArity.ZeroOrOne,
    };

    private readonly Option<string?> node = new("--node")
    {
        HelpName = "NODE",
        Description = "Machine that is to have it; what uses it runs there (default: that of its first use)",
    };

    private readonly PlacementOptions placement = new();

    public VolumeCreateCommand()
        : base(
            "create", "Make a volume and print its name; one that is there already stays as it is",
            new("berth volume create pages", "Empty"),
            new("berth volume create --node worker-1 pages", "On another machine"),
            new("berth volume create --constraint ssd pages", "On one with that label"))
    {
        Add(name);
        Add(node);
        placement.AddTo(this, spreads: false);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        RunOptions where = placement.Add(session, new RunOptions());
        VolumeView volume = await session.Client.Volumes.CreateAsync(
            new VolumeRequest(
                session.Result.GetValue(name), session.Get(node),
                where.Constraints.Count == 0 ? null : where.Constraints,
                where.Tolerations.Count == 0 ? null : where.Tolerations),
            cancellationToken);
        await session.Terminal.Out.WriteLineAsync(volume.Name);
        return 0;
    }
}

internal sealed class VolumeListCommand : Verb
{
    private readonly OutputOption output = new();
    private readonly QuietOption quiet = new("Print names only");

    public VolumeListCommand()
        : base("ls", "List volumes and who has them", new Example("berth volume ls", "All of them"))
    {
        Add(output);
        Add(quiet);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        IReadOnlyList<VolumeView> volumes = await session.Client.Volumes.ListAsync(cancellationToken);
        if (session.Get(output) == "json")
        {
            JsonOutput.Write(session.Terminal, new VolumeList(volumes), ContainerJson.Default.VolumeList);
            return 0;
        }

        Table table = new(new("VOLUME"), new("NODE"), new("CREATED"), new("CONTAINERS"));
        foreach (VolumeView volume in volumes)
        {
            if (session.Get(quiet))
            {
                await session.Terminal.Out.WriteLineAsync(volume.Name);
            }

            table.Add(
                volume.Name, volume.Node ?? "-", Wording.Age(volume.CreatedAt, session.Terminal.Time.GetUtcNow()),
                string.Join(", ", volume.Containers));
        }

        if (!session.Get(quiet))
        {
            table.Write(session.Terminal);
        }

        return 0;
    }
}

internal sealed class VolumeInspectCommand : Verb
{
    private readonly Argument<string> name = new("name") { Description = "Name of the volume" };

    public VolumeInspectCommand()
        : base(
            "inspect", "Print all about a volume, its size too",
            new Example("berth volume inspect pages", "As JSON"))
        => Add(name);

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        VolumeView volume = await session.Client.Volumes.GetAsync(session.Get(name), cancellationToken);
        JsonOutput.Write(session.Terminal, volume, ContainerJson.Default.VolumeView);
        return 0;
    }
}

internal sealed class VolumeRemoveCommand : SeveralCommand
{
    public VolumeRemoveCommand()
        : base(
            new("name") { Description = "Names of the volumes" },
            "rm", "Remove volumes with all that is in them",
            new Example("berth volume rm pages", "One that no container has"))
    {
    }

    protected override async Task SeeToAsync(Session session, string name, CancellationToken cancellationToken)
    {
        await session.Client.Volumes.RemoveAsync(name, cancellationToken);
        await session.Terminal.Out.WriteLineAsync(name);
    }
}

/// <summary><c>berth system</c>.</summary>
internal static class SystemCommands
{
    public static Noun All() => new(
        "system", "See what Berth keeps on disk, and remove what nobody needs",
        [
            new("berth system df", "How much of what"),
            new("berth system prune", "Containers that have ended and volumes of nobody"),
        ],
        new UsageCommand(), new SystemPruneCommand());
}

internal sealed class UsageCommand : Verb
{
    private readonly OutputOption output = new();

    public UsageCommand()
        : base(
            "df", "Show how much disk images, containers and volumes take",
            new Example("berth system df", "And what could be freed"))
        => Add(output);

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        SystemUsage usage = await session.Client.Volumes.UsageAsync(cancellationToken);
        if (session.Get(output) == "json")
        {
            JsonOutput.Write(session.Terminal, usage, ContainerJson.Default.SystemUsage);
            return 0;
        }

        Table table = new(
            new("KIND"), new("COUNT", Right: true), new("IN USE", Right: true), new("SIZE", Right: true),
            new("RECLAIMABLE", Right: true));
        foreach (UsageLine line in usage.Usage)
        {
            table.Add(
                line.Kind, line.Count.ToString(CultureInfo.InvariantCulture),
                line.Active.ToString(CultureInfo.InvariantCulture), Wording.Bytes(line.SizeBytes),
                Wording.Bytes(line.ReclaimableBytes));
        }

        table.Write(session.Terminal);
        return 0;
    }
}

internal sealed class SystemPruneCommand : Verb
{
    private readonly Option<bool> volumes = new("--volumes") { Description = "Named volumes that nobody has, too" };
    private readonly Option<bool> force = new("--force", "-f") { Description = "Don't ask" };
    private readonly OutputOption output = new();

    public SystemPruneCommand()
        : base(
            "prune", "Remove containers that have ended and the volumes that were made for them",
            new("berth system prune", "Asks first"),
            new("berth system prune -f --volumes", "Without asking, and named volumes that no container has"))
    {
        Add(volumes);
        Add(force);
        Add(output);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        if (!session.Get(force) && !await AgreesAsync(session, cancellationToken))
        {
            return 1;
        }

        SystemPruneResult result = await session.Client.Volumes.PruneAsync(session.Get(volumes), cancellationToken);
        if (session.Get(output) == "json")
        {
            JsonOutput.Write(session.Terminal, result, ContainerJson.Default.SystemPruneResult);
            return 0;
        }

        foreach (string name in result.Containers.Concat(result.Volumes))
        {
            await session.Terminal.Out.WriteLineAsync(name);
        }

        session.Say(
            $"Removed {Wording.Count(result.Containers.Count, "container")} and "
            + $"{Wording.Count(result.Volumes.Count, "volume")}, {Wording.Bytes(result.FreedBytes)} freed.");
        return 0;
    }

    private async Task<bool> AgreesAsync(Session session, CancellationToken cancellationToken)
    {
        if (!session.Terminal.InputIsTerminal)
        {
            throw new BerthException(
                ErrorCode.InvalidRequest, "Nobody can be asked here: add --force to remove without asking.");
        }

        await session.Terminal.Error.WriteAsync(
            "This removes every container that does not run"
            + (session.Get(volumes) ? " and every volume that none has" : "") + ". Go on? [y/N] ");
        using StreamReader reader = new(session.Terminal.OpenInput());
        string? answer = await reader.ReadLineAsync(cancellationToken);
        return answer?.Trim() is "y" or "Y" or "yes";
    }
}
