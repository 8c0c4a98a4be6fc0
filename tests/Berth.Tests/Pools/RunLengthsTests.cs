using Berth.Node.Pools;
using Xunit;

namespace Berth.Tests.Pools;

/// <summary>When a program's start may be told with its end.</summary>
public sealed class RunLengthsTests
{
    private static readonly TimeSpan Brief = TimeSpan.FromMilliseconds(9);

    private readonly RunLengths lengths = new();

    [Fact]
    public void Of_the_first_the_start_is_told_at_once() =>
        Assert.Equal(TimeSpan.Zero, lengths.PatienceFor(TimeSpan.FromMinutes(1)));

    [Fact]
    public void After_a_brief_one_it_waits_as_long_as_a_frame_can_say()
    {
        lengths.Note(Brief, 32 * 1024);

        Assert.InRange(lengths.PatienceFor(TimeSpan.FromMinutes(1)).TotalMilliseconds, 1, byte.MaxValue);
        Assert.Equal(lengths.PatienceFor(TimeSpan.FromMinutes(1)), lengths.PatienceFor(null));
    }

    [Theory]
    [InlineData(10, 0)]
    [InlineData(9, (32 * 1024) + 1)]
    public void After_one_that_took_long_or_wrote_much_it_is_told_at_once(int milliseconds, long written)
    {
        lengths.Note(Brief, 0);
        lengths.Note(TimeSpan.FromMilliseconds(milliseconds), written);

        Assert.Equal(TimeSpan.Zero, lengths.PatienceFor(null));
    }

    [Fact]
    public void A_deadline_that_is_near_does_not_wait_for_it()
    {
        lengths.Note(Brief, 0);

        Assert.Equal(TimeSpan.Zero, lengths.PatienceFor(TimeSpan.FromMilliseconds(10)));
    }
}
