using Berth.Simulation.Sizes;
using Xunit;

namespace Berth.Simulation;

public sealed class SizeReplayTests
{
    [Fact]
    public void Every_call_of_a_small_day_is_placed_and_the_cores_are_as_busy_as_the_calls_are_long()
    {
        SizeCase of = new("small", Nodes: 100, Cores: 10, Calls: 20_000, TimeSpan.FromSeconds(100), Swing: 0.5);

        SizeResult result = new SizeReplay(of, seed: 3).Run();

        Assert.Equal(20_000, result.Placed);
        // 200 calls a second of 2.5 s on 1,000 cores.
        Assert.InRange(result.Utilisation, 0.45, 0.55);
        Assert.True(result.Peak <= 1);
    }

    [Fact]
    public void What_finds_no_room_waits_and_is_placed_when_there_is_some()
    {
        SizeCase of = new("full", Nodes: 10, Cores: 10, Calls: 5_000, TimeSpan.FromSeconds(100), Swing: 0);

        SizeResult result = new SizeReplay(of, seed: 3).Run();

        Assert.Equal((5_000, 1.0), (result.Placed, result.Peak));
        Assert.True(result.Delayed > 0);
        Assert.True(result.Waits.At(0.99) > 1);
    }
}
