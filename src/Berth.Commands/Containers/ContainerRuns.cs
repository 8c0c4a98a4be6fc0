using Berth.Api.Client;
using Berth.Api.Containers;
using Berth.Commands.Terminals;
using Berth.Core.Errors;

namespace Berth.Commands.Containers;

/// <summary>Making a container and, where it is not left to itself, staying with it until it ends.</summary>
internal static class ContainerRuns
{
    /// <summary>Makes and starts it and prints its id.</summary>
    public static async Task<int> DetachedAsync(
        Session session, ContainerRequest request, CancellationToken cancellationToken)
    {
        ContainerView container = await session.Client.Containers.CreateAsync(request, cancellationToken);
        await StartAsync(session, container, cancellationToken);
        await session.Terminal.Out.WriteLineAsync(container.Id);
        return 0;
    }

    /// <summary>Makes it, attaches to it, starts it and returns its exit code.</summary>
    public static async Task<int> AttachedAsync(
        Session session, ContainerRequest request, bool input, DetachKeys keys, CancellationToken cancellationToken)
    {
        RequireTerminal(session, request.Terminal && input);
        ContainerView container = await session.Client.Containers.CreateAsync(request, cancellationToken);
        try
        {
            await using ProgramConnection program = await session.Client.Containers.AttachAsync(
                container.Id, cancellationToken);
            await session.Client.Containers.StartAsync(container.Id, cancellationToken);
            return await StayAsync(session, program, container, input, keys, cancellationToken);
        }
        catch (BerthException)
        {
            if (request.AutoRemove)
            {
                await TryRemoveAsync(session, container);
            }

            throw;
        }
    }

    /// <summary>Streams until the program ends or is left.</summary>
    public static async Task<int> StayAsync(
        Session session, ProgramConnection program, ContainerView container, bool input, DetachKeys keys,
        CancellationToken cancellationToken)
    {
        ProgramSession streams = new(session, program, keys, isOurs: false);
        int? exitCode = await streams.RunAsync(
            container.Spec.Terminal, input, signals: !container.Spec.Terminal, cancellationToken);
        if (exitCode is null && streams.IsDetached)
        {
            session.Say($"Left {container.Name} running: 'berth attach {container.Name}' comes back to it.");
            return 0;
        }

        if (exitCode is null)
        {
            throw new BerthException(
                ErrorCode.Upstream,
                $"The connection ended before {container.Name} did: 'berth ps -a' tells what became of it.");
        }

        if (program.Message is { } message)
        {
            session.Say($"berth: {message}");
        }

        await TellRestartAsync(session, container);
        return exitCode.Value;
    }

    /// <summary>As docker does, the command ends with the program; that the container goes on is told.</summary>
    private static async Task TellRestartAsync(Session session, ContainerView container)
    {
        if (container.Spec.Restart is null or "no")
        {
            return;
        }

        try
        {
            ContainerView now = await session.Client.Containers.GetAsync(container.Id, CancellationToken.None);
            if (now.State is "restarting" or "running")
            {
                session.Say(
                    $"{container.Name} is started again (--restart {container.Spec.Restart}): 'berth attach "
                    + $"{container.Name}' comes back to it, 'berth stop {container.Name}' ends it.");
            }
        }
        catch (BerthException)
        {
            // Removed, or the server has gone: its exit code is known and matters more.
        }
    }

    public static void RequireTerminal(Session session, bool needed)
    {
        if (needed && !session.Terminal.InputIsTerminal)
        {
            throw new BerthException(
                ErrorCode.InvalidRequest,
                "-t with -i needs a terminal to type at, and standard input is none: leave -t out.");
        }
    }

    private static async Task StartAsync(
        Session session, ContainerView container, CancellationToken cancellationToken)
    {
        try
        {
            await session.Client.Containers.StartAsync(container.Id, cancellationToken);
        }
        catch (BerthException)
        {
            if (container.Spec.AutoRemove)
            {
                await TryRemoveAsync(session, container);
            }

            throw;
        }
    }

    private static async Task TryRemoveAsync(Session session, ContainerView container)
    {
        try
        {
            await session.Client.Containers.RemoveAsync(
                container.Id, force: true, volumes: true, CancellationToken.None);
        }
        catch (BerthException)
        {
            // It went by itself, or the server can't be reached: what was refused first matters more.
        }
    }
}
