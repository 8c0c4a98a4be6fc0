using Berth.Core.Errors;
using Berth.Core.Runs;

namespace Berth.Core.Containers;

/// <summary>Decides every step of a container. Throws <c>Conflict</c> for a step that its state does not allow.
/// </summary>
public static class ContainerSteps
{
    /// <summary>Its program is about to be started.</summary>
    /// <param name="byPolicy">Nobody asked: its restart policy did.</param>
    public static Container Start(Container container, RunId run, DateTimeOffset now, bool byPolicy)
    {
        if (container.State.IsLive())
        {
            throw Refuse(container, "it is running already");
        }

        return container with
        {
            State = ContainerState.Running,
            Run = run,
            StartedAt = now,
            Stopped = false,
            Restarts = container.Restarts + (byPolicy ? 1 : 0),
            RestartsInRow = byPolicy ? container.RestartsInRow + 1 : 0,
        };
    }

    /// <summary>It could not be started. By its policy it is tried again, as after a failure.</summary>
    public static ContainerEnd StartFailed(
        Container started, Container before, ContainerExit exit, DateTimeOffset now) =>
        before.State == ContainerState.Restarting
            ? End(started, exit, TimeSpan.Zero, now, serverStops: false)
            : new ContainerEnd(
                before with
                {
                    Exit = exit,
                    Run = started.Run,
                    FinishedAt = before.State == ContainerState.Created
                    ? null
                    : now
                }, null);

    /// <summary>Its program ended.</summary>
    /// <param name="ran">How long the program ran.</param>
    /// <param name="serverStops">It ended because the server does; what follows is decided at the server's start.
    /// </param>
    public static ContainerEnd End(
        Container container, ContainerExit exit, TimeSpan ran, DateTimeOffset now, bool serverStops)
    {
        int inRow = ran >= RestartPolicy.SteadyAfter ? 0 : container.RestartsInRow;
        TimeSpan? delay = container.Stopped || serverStops
            ? null
            : container.Spec.Restart.DelayAfter(exit.Failed, inRow);
        Container next = container with
        {
            State = delay is null ? ContainerState.Exited : ContainerState.Restarting,
            FinishedAt = now,
            RestartsInRow = inRow,
            Exit = exit,
        };
        return new ContainerEnd(next, delay);
    }

    /// <summary>Its program ended so that it is started on another machine: that is no failure, and counts as none.
    /// </summary>
    /// <param name="serverStops">As of <see cref="End"/>.</param>
    public static ContainerEnd Leave(Container container, ContainerExit exit, DateTimeOffset now, bool serverStops)
    {
        bool isOver = container.Stopped || serverStops;
        return new ContainerEnd(
            container with
            {
                State = isOver ? ContainerState.Exited : ContainerState.Restarting,
                FinishedAt = now,
                RestartsInRow = 0,
                Exit = exit,
            },
            isOver ? null : TimeSpan.Zero);
    }

    /// <summary>Somebody wants it to end. One that waits for its next start is over at once.</summary>
    public static Container Stop(Container container) => container.State switch
    {
        ContainerState.Restarting => container with { State = ContainerState.Exited, Stopped = true },
        ContainerState.Running or ContainerState.Paused => container with { Stopped = true },
        _ => container,
    };

    public static Container Pause(Container container) => container.State == ContainerState.Running
        ? container with { State = ContainerState.Paused }
        : throw Refuse(container, "only a running container can be paused");

    public static Container Resume(Container container) => container.State == ContainerState.Paused
        ? container with { State = ContainerState.Running }
        : throw Refuse(container, "it is not paused");

    /// <summary>What has become of it under a server that was killed or stopped, and whether it is started
    /// now.</summary>
    /// <param name="lost">How its last program ended where it was still running.</param>
    public static (Container Container, bool Starts) Recover(
        Container container, ContainerExit lost, DateTimeOffset now)
    {
        bool live = container.State.IsLive();
        ContainerExit? exit = live ? lost : container.Exit;
        // One that an orderly stop ended is Exited without anybody's having asked for it.
        bool wasRunning = live || container.State == ContainerState.Restarting
            || (container.State == ContainerState.Exited && exit?.Reason == EndReason.PlatformFault);
        bool starts = container.Spec.Restart.StartsWithServer(wasRunning, container.Stopped, exit?.Failed ?? false);
        return (
            container with
            {
                State = container.State == ContainerState.Created ? ContainerState.Created : ContainerState.Exited,
                FinishedAt = live ? now : container.FinishedAt,
                Exit = exit,
            },
            starts);
    }

    public static BerthException Refuse(Container container, string why) => new(
        ErrorCode.Conflict, $"The container {container.Name} is {Word(container.State)}: {why}.");

    public static string Word(ContainerState state) => state.ToString().ToLowerInvariant();
}

/// <summary>What follows a program's end.</summary>
/// <param name="Delay">When it is started again; null when it is not.</param>
public sealed record ContainerEnd(Container Next, TimeSpan? Delay);
