using System.CommandLine;
using Berth.Api.Containers;
using Berth.Commands.Containers;

namespace Berth.Commands.Runs;

/// <summary>
/// <c>berth run</c>: standard input to the program, its standard output back, its exit code passed on. Nothing is held
/// in memory on the way. A call where that is enough; a container where it is to have a name, a terminal, mounts, or to
/// be left alone.
/// </summary>
internal sealed class RunCommand : Verb
{
    private readonly RunSettings settings = new();
    private readonly Option<bool> interactive = new("--interactive", "-i")
    {
        Description = "Pass on what is typed (end it with Ctrl-D); redirected input is always passed on",
    };

    private readonly Option<bool> remove = new("--rm")
    {
        Description = "Remove the container once it has ended; without a name, a terminal, mounts or -d it always is",
    };

    private readonly Option<bool> detach = new("--detach", "-d")
    {
        Description = "Don't wait: print the container's id and leave it running",
    };

    private readonly ContainerSettings container = new();
    private readonly DetachKeysOption keys = new();

    private readonly QuietOption quiet = new("Do not print the program's standard error and why it failed");

    public RunCommand()
        : base(
            "run", "Run an image once and wait: standard input goes in, standard output comes out",
            new("berth run demo/thumbnail 400 < photo.jpg > thumbnail.jpg", "Send a file through a program"),
            new(
                "berth run -e LEVEL=9 --memory 512Mi --timeout 2m tools/compress --best < in > out",
                "With limits and a variable"),
            new("berth run -it --rm --entrypoint /bin/sh demo/thumbnail", "Look around inside an image"),
            new("berth run -d --name web --restart always -v pages:/srv demo/web", "Leave a service running"))
    {
        Add(interactive);
        Add(quiet);
        Add(remove);
        Add(detach);
        container.AddTo(this);
        Add(keys);
        ForeignOptions.AddTo(this);
        settings.AddTo(this);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        return session.Get(detach) || container.IsAsked(session)
            ? await RunContainerAsync(session, cancellationToken)
            : await CallAsync(session, cancellationToken);
    }

    /// <summary>With a name, a terminal, mounts or for long: a container.</summary>
    private Task<int> RunContainerAsync(Session session, CancellationToken cancellationToken)
    {
        bool detached = session.Get(detach);
        bool atTerminal = container.Terminal(session);
        // As without a container, what is piped in goes to the program; docker needs -i for that.
        bool input = session.Get(interactive) || (!detached && !atTerminal && !session.Terminal.InputIsTerminal);
        ContainerRequest request = container.Read(session, settings, input, session.Get(remove));
        return detached
            ? ContainerRuns.DetachedAsync(session, request, cancellationToken)
            : ContainerRuns.AttachedAsync(session, request, input, keys.Read(session), cancellationToken);
    }

    /// <summary>One program, once: nothing of it stays.</summary>
    private Task<int> CallAsync(Session session, CancellationToken cancellationToken) => Conversation.RunAsync(
        session, session.Get(interactive), session.Get(quiet),
        (answer, input) => session.Client.Runs.CallAsync(
            settings.Image(session), settings.Read(session) with { Answer = answer }, input, cancellationToken),
        cancellationToken);
}
