using Berth.Server.Cluster;
using Berth.Server.Store;
using Berth.Testing.Clocks;
using Xunit;

namespace Berth.Tests.Cluster;

public sealed class ServerWatchTests
{
    private readonly ManualTime time = new();

    [Fact]
    public void A_server_is_lost_when_its_beat_stands_still_for_long_enough()
    {
        ServerWatch watch = new(time);

        Assert.Empty(LookFor(watch, ServerWatch.LostAfter - ServerWatch.Interval, beat: 7));
        Assert.Equal("two", Assert.Single(LookFor(watch, ServerWatch.Interval, beat: 7)).Id);
    }

    [Fact]
    public void A_beat_that_rises_is_a_server_that_is_there()
    {
        ServerWatch watch = new(time);
        for (int beat = 0; beat < 20; beat++)
        {
            Assert.Empty(LookFor(watch, ServerWatch.Interval, beat));
        }
    }

    [Fact]
    public void Who_could_not_look_begins_anew()
    {
        ServerWatch watch = new(time);
        LookFor(watch, ServerWatch.LostAfter - ServerWatch.Interval, beat: 7);

        time.Advance(TimeSpan.FromMinutes(1));

        Assert.Empty(LookFor(watch, ServerWatch.LostAfter - ServerWatch.Interval, beat: 7));
        Assert.Single(LookFor(watch, ServerWatch.Interval, beat: 7));
    }

    /// <summary>Looks at every interval for so long; gives what the last look found.</summary>
    private IReadOnlyList<ServerBeat> LookFor(ServerWatch watch, TimeSpan span, long beat)
    {
        ServerBeat[] servers =
        [
            new("one", "one", 0, "", IsGone: false, IsSelf: true),
            new("two", "two", beat, "", IsGone: false, IsSelf: false),
        ];
        IReadOnlyList<ServerBeat> lost = watch.Look(servers);
        for (TimeSpan passed = TimeSpan.Zero; passed < span; passed += ServerWatch.Interval)
        {
            time.Advance(ServerWatch.Interval);
            lost = watch.Look(servers);
        }

        return lost;
    }
}
