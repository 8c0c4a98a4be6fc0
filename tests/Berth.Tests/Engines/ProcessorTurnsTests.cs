using Berth.Node.Engines;
using Xunit;

namespace Berth.Tests.Engines;

/// <summary>Which programs are bound to a processor, and to which.</summary>
public sealed class ProcessorTurnsTests
{
    [Fact]
    public void As_many_as_there_are_processors_have_all_and_the_others_one_each_in_turn()
    {
        ProcessorTurns turns = new([1, 4, 6]);

        Assert.Equal([null, null, null, 1, 4, 6, 1], Enumerable.Range(0, 7).Select(_ => turns.Take()));
    }

    [Fact]
    public void The_next_one_gets_what_has_the_fewest()
    {
        ProcessorTurns turns = new([0, 1]);
        int?[] taken = [.. Enumerable.Range(0, 6).Select(_ => turns.Take())];
        Assert.Equal([null, null, 0, 1, 0, 1], taken);

        turns.Return(1);
        turns.Return(1);

        Assert.Equal([1, 1, 0], Enumerable.Range(0, 3).Select(_ => turns.Take()));
    }

    [Fact]
    public void Who_comes_when_others_have_gone_has_all_again()
    {
        ProcessorTurns turns = new([0, 1]);
        int?[] taken = [.. Enumerable.Range(0, 4).Select(_ => turns.Take())];

        foreach (int? processor in taken)
        {
            turns.Return(processor);
        }

        Assert.Null(turns.Take());
        Assert.Null(turns.Take());
        Assert.Equal(0, turns.Take());
    }
}
