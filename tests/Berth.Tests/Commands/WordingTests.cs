using Berth.Commands.Output;
using Xunit;

namespace Berth.Tests.Commands;

public sealed class WordingTests
{
    [Theory]
    [InlineData(0, "0 volumes")]
    [InlineData(1, "1 volume")]
    [InlineData(2, "2 volumes")]
    public void One_thing_has_no_plural(int number, string said) =>
        Assert.Equal(said, Wording.Count(number, "volume"));
}
