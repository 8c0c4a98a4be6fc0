using System.CommandLine;
using Berth.Commands.Access;
using Berth.Commands.Containers;
using Berth.Commands.Declarations;
using Berth.Commands.Development;
using Berth.Commands.Functions;
using Berth.Commands.Help;
using Berth.Commands.Images;
using Berth.Commands.Networks;
using Berth.Commands.Nodes;
using Berth.Commands.Repositories;
using Berth.Commands.Rollouts;
using Berth.Commands.Runs;
using Berth.Commands.Secrets;
using Berth.Commands.Servers;
using Berth.Commands.Tasks;
using Berth.Commands.Terminals;
using Berth.Commands.Triggers;

namespace Berth.Commands;

/// <summary>The whole command line: every command hangs from here.</summary>
internal sealed class BerthRoot : RootCommand, IDocumented
{
    /// <param name="terminal">What the commands read and write.</param>
    /// <param name="ofServers">Commands of the server part: whole, or by name alone.</param>
    /// <param name="handler">In place of the network; for tests.</param>
    public BerthRoot(Terminal terminal, IReadOnlyList<Command> ofServers, HttpMessageHandler? handler = null)
        : base("Berth runs container images as functions and tasks, each in a fresh sandbox")
    {
        Terminal = terminal;
        Handler = handler;
        // 'berth version' does this, with the server's.
        Options.Remove(Options.OfType<VersionOption>().Single());
        HelpPageAction.Install(this, terminal);
        Add(Host);
        Add(Context);
        Add(Verbose);
        Context.Validators.Add(result =>
        {
            if (!result.Implicit && result.GetResult(Host) is { Implicit: false })
            {
                result.AddError("--host and --context can't be used together: each names a server.");
            }
        });
        Command[] commands =
        [
            new RunCommand(), FunctionCommands.All(), new ApplyCommand(), new DeclarationDiffCommand(),
            new DevCommand(), RolloutCommands.All(), TaskCommands.All(), DeadLetterCommands.All(),
            SecretCommands.All(), TriggerCommands.All(), ImageCommands.All(), RepositoryCommands.All(),
            new CreateCommand(), new StartCommand(), new StopCommand(), new RestartCommand(), new KillCommand(),
            new PauseCommand(), new UnpauseCommand(), new RemoveContainerCommand(), new RenameCommand(),
            new WaitContainerCommand(), new ExecCommand(), new AttachCommand(), new CopyCommand(),
            new PsCommand(), new InspectAnyCommand(), new TopCommand(), new StatsCommand(),
            new LogsCommand("logs"), new WhyCommand(), new EventsCommand(),
            VolumeCommands.All(), NetworkCommands.All(), SystemCommands.All(), SandboxListCommand.All(),
            new LoginCommand(), ContextCommands.All(), TokenCommands.All(),
            NodeCommands.All(ofServers.Single(c => c.Name == ServerPart.JoinName)),
            .. ofServers.Where(c => c.Name != ServerPart.JoinName),
            new VersionCommand(), new HelpCommand(), new CompletionCommand(),
        ];
        foreach (Command command in commands)
        {
            Add(command);
        }
    }

    public Terminal Terminal { get; }

    public Interrupts Interrupts { get; init; } = new();

    /// <summary>In place of the network; for tests.</summary>
    public HttpMessageHandler? Handler { get; }

    public Option<string?> Host { get; } = new("--host", "-H")
    {
        HelpName = "ADDRESS",
        Description = "Server to talk to, for instance http://127.0.0.1:7070",
        Recursive = true,
    };

    public Option<string?> Context { get; } = new("--context")
    {
        HelpName = "NAME",
        Description = "Context to use, as 'berth context ls' shows them",
        Recursive = true,
    };

    public Option<bool> Verbose { get; } = new("--verbose")
    {
        Description = "Tell more on standard error: the server, where the token is from, what a run used",
        Recursive = true,
    };

    public IReadOnlyList<Example> Examples { get; } =
    [
        new("berth serve", "Start a server on this machine"),
        new("berth run demo/thumbnail 400 < photo.jpg > thumbnail.jpg", "Send a file through an image"),
        new("berth task submit demo/thumbnail 400 < photo.jpg", "The same, later"),
    ];
}
