using Berth.Core.Nodes;
using Berth.Core.Placement;
using Xunit;

namespace Berth.Tests.Nodes;

public sealed class NodeLivenessTests
{
    private static readonly LivenessRules Rules = LivenessRules.Default;

    [Fact]
    public void Silence_makes_a_node_suspect_and_then_lost_and_a_heartbeat_brings_it_back()
    {
        NodeLiveness node = NodeLiveness.Joined(S(0));

        Assert.Equal(LivenessChange.None, Judge(ref node, 3.9));
        Assert.Equal(LivenessChange.BecameSuspect, Judge(ref node, 4));
        Assert.False(node.TakesWork);
        Assert.Equal(LivenessChange.Recovered, Hear(ref node, 5));
        Assert.True(node.TakesWork);
        Assert.Equal(LivenessChange.BecameSuspect, Judge(ref node, 9));
        Assert.Equal(LivenessChange.None, Judge(ref node, 13.9));
        Assert.Equal(LivenessChange.BecameLost, Judge(ref node, 14));
        Assert.Equal(LivenessChange.None, Judge(ref node, 100));
    }

    [Fact]
    public void A_returned_node_gets_no_work_before_it_has_ended_what_was_taken_from_it()
    {
        NodeLiveness node = NodeLiveness.Joined(S(0));
        Judge(ref node, 10);
        Judge(ref node, 10);

        Assert.Equal(LivenessChange.Returned, Hear(ref node, 20));
        Assert.False(node.TakesWork);
        Hear(ref node, 21);
        Assert.False(node.TakesWork);
        node = node.Settle();

        Assert.True(node.TakesWork);
    }

    [Fact]
    public void One_look_never_makes_a_ready_node_lost()
    {
        NodeLiveness node = NodeLiveness.Joined(S(0));

        Assert.Equal(LivenessChange.BecameSuspect, Judge(ref node, 1000));
        Assert.Equal(LivenessChange.BecameLost, Judge(ref node, 1000));
    }

    [Fact]
    public void A_heartbeat_that_was_delayed_does_not_turn_time_back()
    {
        NodeLiveness node = NodeLiveness.Joined(S(0));
        Hear(ref node, 10);

        Hear(ref node, 5);

        Assert.Equal(S(10), node.Heard);
    }

    [Fact]
    public void A_listener_that_stood_still_takes_its_own_deafness_for_nobodys_silence()
    {
        NodeLiveness node = NodeLiveness.Joined(S(0));
        ListeningTime listening = ListeningTime.Begin(S(0)).Look(S(1), Rules).Look(S(2), Rules);
        Assert.Equal(S(0), listening.Since);

        listening = listening.Look(S(60), Rules);
        node = node.Judge(S(60), listening.Since, Rules, out LivenessChange change);

        Assert.Equal((S(60), LivenessChange.None, NodeAvailability.Ready), (listening.Since, change, node.State));
    }

    private static TimeSpan S(double seconds) => TimeSpan.FromSeconds(seconds);

    private static LivenessChange Judge(ref NodeLiveness node, double seconds)
    {
        node = node.Judge(S(seconds), TimeSpan.Zero, Rules, out LivenessChange change);
        return change;
    }

    private static LivenessChange Hear(ref NodeLiveness node, double seconds)
    {
        node = node.Hear(S(seconds), out LivenessChange change);
        return change;
    }
}
