using Berth.Core.Placement;

namespace Berth.Core.Nodes;

/// <summary>How long a silence of a node means what.</summary>
/// <param name="Interval">Between two heartbeats.</param>
/// <param name="SuspectAfter">Silence after which nothing new goes there.</param>
/// <param name="LostAfter">Silence after which its work is begun again elsewhere. The node itself must have ended that
/// work by then: see <see cref="Runs.RunLease"/>.</param>
public sealed record LivenessRules(TimeSpan Interval, TimeSpan SuspectAfter, TimeSpan LostAfter)
{
    /// <summary>Several missed heartbeats make a node suspect. Lost tasks run again within 15 s: nine of silence, and
    /// the rest for the retry's delay and a start elsewhere.</summary>
    public static LivenessRules Default { get; } =
        new(TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(4), TimeSpan.FromSeconds(9));
}

/// <summary>What a heartbeat or a silence changed.</summary>
public enum LivenessChange
{
    None,

    /// <summary>It became silent; nothing new goes there.</summary>
    BecameSuspect,

    /// <summary>Its work is to be begun again elsewhere.</summary>
    BecameLost,

    /// <summary>A suspect was heard of again; nothing had been taken from it.</summary>
    Recovered,

    /// <summary>A lost node was heard of. Its work belongs to others by now: it gets new work only once it has said
    /// that it ended what it had (<see cref="NodeLiveness.Settle"/>).</summary>
    Returned,
}

/// <summary>
/// What is known of one node from its heartbeats: ready, suspect or lost. A value; each step makes a new one. All times
/// are those of one steady clock of who listens. A listener that was itself stopped for a while has heard nobody, which
/// says nothing of them: silence counts only from <c>listening</c> on.
/// </summary>
/// <param name="State">Ready, suspect or lost; what people asked for (cordoned, draining) is kept elsewhere.</param>
/// <param name="Heard">Of the last heartbeat.</param>
/// <param name="IsSettled">False from a return until the node has ended the work that was taken from it.</param>
public readonly record struct NodeLiveness(NodeAvailability State, TimeSpan Heard, bool IsSettled)
{
    /// <summary>A node that has just joined, with no work of its own.</summary>
    public static NodeLiveness Joined(TimeSpan now) => new(NodeAvailability.Ready, now, IsSettled: true);

    /// <summary>Whether new work may go there.</summary>
    public bool TakesWork => State == NodeAvailability.Ready && IsSettled;

    /// <summary>A heartbeat arrived. One that is older than the last, delayed on its way, changes nothing.</summary>
    public NodeLiveness Hear(TimeSpan now, out LivenessChange change)
    {
        change = State switch
        {
            NodeAvailability.Suspect => LivenessChange.Recovered,
            NodeAvailability.Lost => LivenessChange.Returned,
            _ => LivenessChange.None,
        };
        return new NodeLiveness(
            NodeAvailability.Ready, now > Heard ? now : Heard, IsSettled && change != LivenessChange.Returned);
    }

    /// <summary>A returned node said that it has ended what belongs to others now.</summary>
    public NodeLiveness Settle() => this with { IsSettled = true };

    /// <summary>Looks at the silence. A node never goes from ready to lost in one look.</summary>
    /// <param name="listening">Since when the listener has been able to hear without a gap.</param>
    public NodeLiveness Judge(TimeSpan now, TimeSpan listening, LivenessRules rules, out LivenessChange change)
    {
        TimeSpan silence = now - (Heard > listening ? Heard : listening);
        change = State switch
        {
            NodeAvailability.Ready when silence >= rules.SuspectAfter => LivenessChange.BecameSuspect,
            NodeAvailability.Suspect when silence >= rules.LostAfter => LivenessChange.BecameLost,
            _ => LivenessChange.None,
        };
        return change switch
        {
            LivenessChange.BecameSuspect => this with { State = NodeAvailability.Suspect },
            LivenessChange.BecameLost => this with { State = NodeAvailability.Lost },
            _ => this,
        };
    }
}

/// <summary>Notices that the listener itself stood still, so that it does not take its own deafness for the silence of
/// all nodes.</summary>
/// <param name="Since">Since when it has listened without a gap.</param>
/// <param name="Looked">When it last looked.</param>
public readonly record struct ListeningTime(TimeSpan Since, TimeSpan Looked)
{
    public static ListeningTime Begin(TimeSpan now) => new(now, now);

    /// <summary>To be called at every look. A gap longer than two intervals between looks begins the listening anew.
    /// </summary>
    public ListeningTime Look(TimeSpan now, LivenessRules rules) =>
        new(now - Looked > rules.Interval * 2 ? now : Since, now);
}
