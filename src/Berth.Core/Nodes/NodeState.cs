namespace Berth.Core.Nodes;

/// <summary>Whether a node can be given work. The names are the wire's.</summary>
public enum NodeState
{
    /// <summary>It has joined and was not heard of since.</summary>
    Joined,

    /// <summary>Its heartbeats come.</summary>
    Ready,

    /// <summary>They are late: it gets nothing new, what it has goes on.</summary>
    Suspect,

    /// <summary>It is gone: what it had runs again elsewhere.</summary>
    Lost,

    /// <summary>It is there and can't be worked with; its record says why.</summary>
    Refused,
}

/// <summary>The one rule of a node's health.</summary>
public static class NodeHealth
{
    /// <summary>Heartbeats come each second: several were missed.</summary>
    public static TimeSpan SuspectAfter { get; } = TimeSpan.FromSeconds(4);

    /// <summary>With the retry's delay and a start elsewhere this keeps within 15 seconds.</summary>
    public static TimeSpan LostAfter { get; } = TimeSpan.FromSeconds(9);

    /// <param name="silence">Since its last sign of life; null where it has no link.</param>
    /// <param name="wasHeard">Whether it ever had one.</param>
    /// <param name="problem">Why it is not worked with.</param>
    public static NodeState Of(TimeSpan? silence, bool wasHeard, string? problem) =>
        silence is { } quiet
            ? quiet < SuspectAfter ? NodeState.Ready : quiet < LostAfter ? NodeState.Suspect : NodeState.Lost
            : problem is not null ? NodeState.Refused : wasHeard ? NodeState.Lost : NodeState.Joined;
}
