using System.CommandLine;
using Berth.Api.Client;
using Berth.Api.Containers;
using Berth.Commands.Runs;
using Berth.Commands.Terminals;
using Berth.Core.Errors;

namespace Berth.Commands.Containers;

/// <summary><c>--detach-keys</c>.</summary>
internal sealed class DetachKeysOption : Option<string>
{
    public DetachKeysOption()
        : base("--detach-keys")
    {
        HelpName = "KEYS";
        Description = $"Keys that leave the program running; {DetachKeys.Usual} if not given";
        DefaultValueFactory = _ => DetachKeys.Usual;
    }

    public DetachKeys Read(Session session) => DetachKeys.Parse(session.Get(this)!);
}

internal sealed class CreateCommand : Verb
{
    private readonly RunSettings settings = new();
    private readonly ContainerSettings container = new();
    private readonly Option<bool> interactive = new("--interactive", "-i") { Description = "Keep standard input open" };
    private readonly Option<bool> remove = new("--rm") { Description = "Remove it once it has ended" };

    public CreateCommand()
        : base(
            "create", "Make a container without starting it, and print its id",
            new Example("berth create --name web demo/web && berth start web", "In two steps"))
    {
        Add(interactive);
        Add(remove);
        container.AddTo(this);
        ForeignOptions.AddTo(this);
        settings.AddTo(this, lasting: true);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        ContainerView made = await session.Client.Containers.CreateAsync(
            container.Read(session, settings, session.Get(interactive), session.Get(remove)), cancellationToken);
        await session.Terminal.Out.WriteLineAsync(made.Id);
        return 0;
    }
}

internal sealed class StartCommand : StepCommand
{
    private readonly Option<bool> attach = new("--attach", "-a")
    {
        Description = "Show what it writes and return its exit code; for one container",
    };

    private readonly Option<bool> interactive = new("--interactive", "-i")
    {
        Description = "Pass on what is typed, too",
    };

    private readonly DetachKeysOption keys = new();

    public StartCommand()
        : base(
            "start", "Start containers that were made before or have ended",
            new("berth start web db", "Both"),
            new("berth start -ai shell", "And stay with it"))
    {
        Add(attach);
        Add(interactive);
        Add(keys);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        bool input = session.Get(interactive);
        if (!session.Get(attach) && !input)
        {
            return await base.RunAsync(session, cancellationToken);
        }

        string[] names = session.Get(Things);
        if (names.Length != 1)
        {
            throw new BerthException(
                ErrorCode.InvalidRequest, "--attach stays with one container: name one, or leave it out.");
        }

        ContainerView container = await session.Client.Containers.GetAsync(names[0], cancellationToken);
        ContainerRuns.RequireTerminal(session, container.Spec.Terminal && input);
        await using ProgramConnection program = await session.Client.Containers.AttachAsync(
            container.Id, cancellationToken);
        await session.Client.Containers.StartAsync(container.Id, cancellationToken);
        return await ContainerRuns.StayAsync(
            session, program, container, input && container.Spec.OpenInput, keys.Read(session), cancellationToken);
    }

    protected override Task StepAsync(Session session, string container, CancellationToken cancellationToken) =>
        session.Client.Containers.StartAsync(container, cancellationToken);
}

internal sealed class AttachCommand : Verb
{
    private readonly ContainerArgument container = new();
    private readonly DetachKeysOption keys = new();
    private readonly Option<bool> noInput = new("--no-stdin") { Description = "Only look" };

    public AttachCommand()
        : base(
            "attach", "Be at a running container's streams: see what it writes, type what it reads",
            new("berth attach shell", "Ctrl-P Ctrl-Q leaves it running"),
            new("berth attach --no-stdin web", "Only look"))
    {
        Add(container);
        Add(keys);
        Add(noInput);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        ContainerView found = await session.Client.Containers.GetAsync(session.Get(container), cancellationToken);
        if (found.State is not ("running" or "paused"))
        {
            throw new BerthException(
                ErrorCode.Conflict, $"The container {found.Name} is {found.State}: 'berth start -a' starts it.");
        }

        bool input = !session.Get(noInput) && found.Spec.OpenInput;
        ContainerRuns.RequireTerminal(session, found.Spec.Terminal && input);
        await using ProgramConnection program = await session.Client.Containers.AttachAsync(
            found.Id, cancellationToken);
        if (found.Spec.Terminal && RawMode.WindowSize() is { } size)
        {
            // The true size follows. Of one that does not change, the program is not told, and draws nothing anew.
            await program.ResizeAsync((ushort)(size.Rows + 1), (ushort)(size.Columns + 1), cancellationToken);
        }

        return await ContainerRuns.StayAsync(
            session, program, found, input, keys.Read(session), cancellationToken);
    }
}

/// <summary><c>berth exec</c>.</summary>
internal sealed class ExecCommand : Verb
{
    private readonly ContainerArgument container = new();
    private readonly Argument<string[]> words = new("args")
    {
        Description = "Program and its arguments; everything after CONTAINER is passed on as it is",
        Arity = ArgumentArity.OneOrMore,
    };

    private readonly Option<bool> interactive = new("--interactive", "-i")
    {
        Description = "Pass on standard input",
    };

    private readonly Option<bool> terminal = new("--tty", "-t") { Description = "Run the program at a terminal" };
    private readonly Option<bool> detach = new("--detach", "-d") { Description = "Don't wait for it" };
    private readonly Option<string?> user = new("--user", "-u")
    {
        HelpName = "USER[:GROUP]",
        Description = "Run as this user instead of the container's",
    };

    private readonly Option<string?> workdir = new("--workdir", "-w")
    {
        HelpName = "PATH",
        Description = "Working directory instead of the container's",
    };

    private readonly EnvironmentOptions environment = new();
    private readonly DetachKeysOption keys = new();

    public ExecCommand()
        : base(
            "exec", "Run another program in a running container",
            new("berth exec -it web sh", "A shell in it"),
            new("berth exec db pg_dump app > app.sql", "Its output is this command's"))
    {
        Option[] options = [interactive, terminal, detach, user, workdir, keys];
        foreach (Option option in options)
        {
            Add(option);
        }

        environment.AddTo(this);
        Add(container);
        Add(words);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        bool input = session.Get(interactive);
        bool atTerminal = session.Get(terminal);
        ContainerRuns.RequireTerminal(session, atTerminal && input);
        ExecRequest request = new(
            session.Get(words), environment.Read(session), session.Get(user), session.Get(workdir), atTerminal, input,
            session.Get(detach));
        await using ProgramConnection program = await session.Client.Containers.ExecuteAsync(
            session.Get(container), request, atTerminal ? RawMode.WindowSize() : null, cancellationToken);
        if (request.Detach)
        {
            return 0;
        }

        ProgramSession streams = new(session, program, keys.Read(session), isOurs: true);
        int? exitCode = await streams.RunAsync(atTerminal, input, signals: !atTerminal, cancellationToken);
        return exitCode ?? (streams.IsDetached
            ? 0
            : throw new BerthException(ErrorCode.Upstream, "The connection ended before the program did."));
    }
}
