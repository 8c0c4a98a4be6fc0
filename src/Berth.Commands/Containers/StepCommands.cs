using System.CommandLine;
using Berth.Api.Client;
using Berth.Core.Containers;
using Berth.Core.Resources;

namespace Berth.Commands.Containers;

/// <summary>The names or ids of containers, as every command about them takes them.</summary>
internal sealed class ContainersArgument : Argument<string[]>
{
    public ContainersArgument()
        : base("container")
    {
        Description = "Name or id, or the beginning of an id, as 'berth ps' shows them";
        Arity = ArgumentArity.OneOrMore;
    }
}

/// <summary>The name or id of one container.</summary>
internal sealed class ContainerArgument : Argument<string>
{
    public ContainerArgument()
        : base("container") => Description = "Name or id, or the beginning of an id, as 'berth ps' shows them";
}

/// <summary>A command that takes several containers a step on, one after the other, and goes on where one is refused.
/// </summary>
internal abstract class StepCommand : SeveralCommand
{
    protected StepCommand(string name, string description, params Example[] examples)
        : base(new ContainersArgument(), name, description, examples)
    {
    }

    protected abstract Task StepAsync(Session session, string container, CancellationToken cancellationToken);

    protected sealed override async Task SeeToAsync(
        Session session, string container, CancellationToken cancellationToken)
    {
        await StepAsync(session, container, cancellationToken);
        await session.Terminal.Out.WriteLineAsync(container);
    }
}

/// <summary><c>-t TIME</c> of stop and restart.</summary>
internal sealed class GraceOption : Option<string?>
{
    public GraceOption()
        : base("--time", "-t")
    {
        HelpName = "TIME";
        Description = "How long the program may take to end before it is killed: seconds, or such as 1m";
    }

    public TimeSpan? Read(Session session) => session.Get(this) is { } text
        ? Duration.Parse(ContainerSettings.SecondsOf("--time", text))
        : null;
}

internal sealed class StopCommand : StepCommand
{
    private readonly GraceOption grace = new();

    public StopCommand()
        : base(
            "stop", "End containers: they are asked to, and killed when they take too long",
            new("berth stop web", "With the time it was made with, 10 s if none"),
            new("berth stop -t 60 db", "With a minute"))
        => Add(grace);

    protected override Task StepAsync(Session session, string container, CancellationToken cancellationToken) =>
        session.Client.Containers.StopAsync(container, grace.Read(session), cancellationToken);
}

internal sealed class RestartCommand : StepCommand
{
    private readonly GraceOption grace = new();

    public RestartCommand()
        : base("restart", "Stop containers and start them again", new Example("berth restart web", "Its files stay"))
        => Add(grace);

    protected override Task StepAsync(Session session, string container, CancellationToken cancellationToken) =>
        session.Client.Containers.RestartAsync(container, grace.Read(session), cancellationToken);
}

internal sealed class KillCommand : StepCommand
{
    private readonly Option<string> signal = new("--signal", "-s")
    {
        HelpName = "SIGNAL",
        Description = "Name or number; KILL if not given",
        DefaultValueFactory = _ => "KILL",
    };

    public KillCommand()
        : base(
            "kill", "Send a signal to the programs of containers",
            new("berth kill web", "End it at once"),
            new("berth kill -s HUP web", "Have it read its settings again"))
        => Add(signal);

    protected override Task StepAsync(Session session, string container, CancellationToken cancellationToken) =>
        session.Client.Containers.KillAsync(
            container, SignalName.Of(SignalName.Parse(session.Get(signal)!)), cancellationToken);
}

internal sealed class PauseCommand : StepCommand
{
    public PauseCommand()
        : base(
            "pause", "Have containers stand still: they keep their memory and get no processor",
            new Example("berth pause batch", "Until 'berth unpause batch'"))
    {
    }

    protected override Task StepAsync(Session session, string container, CancellationToken cancellationToken) =>
        session.Client.Containers.PauseAsync(container, cancellationToken);
}

internal sealed class UnpauseCommand : StepCommand
{
    public UnpauseCommand()
        : base("unpause", "Let paused containers go on", new Example("berth unpause batch", "Where it stood"))
    {
    }

    protected override Task StepAsync(Session session, string container, CancellationToken cancellationToken) =>
        session.Client.Containers.ResumeAsync(container, cancellationToken);
}

internal sealed class RemoveContainerCommand : StepCommand
{
    private readonly Option<bool> force = new("--force", "-f") { Description = "End a running one first" };
    private readonly Option<bool> volumes = new("--volumes", "-v")
    {
        Description = "Remove the volumes that were made for it alone, too",
    };

    public RemoveContainerCommand()
        : base(
            "rm", "Remove containers with their files and logs",
            new("berth rm web", "One that has ended"),
            new("berth rm -f $(berth ps -aq)", "All there are"))
    {
        Add(force);
        Add(volumes);
    }

    protected override Task StepAsync(Session session, string container, CancellationToken cancellationToken) =>
        session.Client.Containers.RemoveAsync(
            container, session.Get(force), session.Get(volumes), cancellationToken);
}

/// <summary><c>berth wait</c>: prints an exit code for each.</summary>
internal sealed class WaitContainerCommand : SeveralCommand
{
    public WaitContainerCommand()
        : base(
            new ContainersArgument(),
            "wait", "Wait until containers have ended and print their exit codes",
            new Example("berth wait job && berth logs job", "Then show what it said"))
    {
    }

    protected override async Task SeeToAsync(Session session, string container, CancellationToken cancellationToken)
    {
        int code = (await session.Client.Containers.WaitAsync(container, cancellationToken)).ExitCode ?? 0;
        await session.Terminal.Out.WriteLineAsync(code.ToString(System.Globalization.CultureInfo.InvariantCulture));
    }
}

internal sealed class RenameCommand : Verb
{
    private readonly ContainerArgument container = new();
    private readonly Argument<string> name = new("name") { Description = "What it is to be called" };

    public RenameCommand()
        : base(
            "rename", "Give a container another name",
            new Example("berth rename gentle_sloop web", "It may run meanwhile"))
    {
        Add(container);
        Add(name);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        await session.Client.Containers.RenameAsync(session.Get(container), session.Get(name), cancellationToken);
        return 0;
    }
}
