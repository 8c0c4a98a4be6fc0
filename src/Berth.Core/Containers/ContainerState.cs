using System.Collections.Frozen;

namespace Berth.Core.Containers;

/// <summary>Where a container is. The legal steps between states stand in <see cref="ContainerTransitions"/>.</summary>
public enum ContainerState
{
    /// <summary>Never started.</summary>
    Created,

    /// <summary>Its program runs, or is being started.</summary>
    Running,

    /// <summary>Its processes stand still.</summary>
    Paused,

    /// <summary>Its program ended and will be started again after a delay.</summary>
    Restarting,

    /// <summary>Its program ended; it keeps its files and can be started again.</summary>
    Exited,
}

/// <summary>The one table of legal steps.</summary>
public static class ContainerTransitions
{
    private static readonly FrozenDictionary<ContainerState, ContainerState[]> Table =
        new Dictionary<ContainerState, ContainerState[]>
        {
            [ContainerState.Created] = [ContainerState.Running],
            // Back to Created: its first start failed.
            [ContainerState.Running] =
                [ContainerState.Paused, ContainerState.Restarting, ContainerState.Exited, ContainerState.Created],
            [ContainerState.Paused] = [ContainerState.Running, ContainerState.Restarting, ContainerState.Exited],
            [ContainerState.Restarting] = [ContainerState.Running, ContainerState.Exited],
            // To Restarting: its policy starts it with the server, and no node has room for it.
            [ContainerState.Exited] = [ContainerState.Running, ContainerState.Restarting],
        }.ToFrozenDictionary();

    public static IReadOnlyList<ContainerState> From(ContainerState state) => Table[state];

    public static bool IsLegal(ContainerState from, ContainerState to) => Array.IndexOf(Table[from], to) >= 0;

    /// <summary>Throws where the table does not have the step: then its maker has a defect.</summary>
    public static void Require(ContainerState from, ContainerState to)
    {
        if (from != to && !IsLegal(from, to))
        {
            throw new InvalidOperationException($"A container that is {from} can't become {to}.");
        }
    }

    /// <summary>Whether it has a program now.</summary>
    public static bool IsLive(this ContainerState state) => state is ContainerState.Running or ContainerState.Paused;
}
