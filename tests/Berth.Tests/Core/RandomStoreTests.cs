using Berth.Core.Runs;
using Xunit;

namespace Berth.Tests.Core;

public sealed class RandomStoreTests
{
    [Fact]
    public async Task No_bytes_are_given_out_twice()
    {
        string[][] taken = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => Task.Run(Take)));

        Assert.Distinct(taken.SelectMany(one => one));

        // Past the end of the store several times, with what does not go into it evenly.
        static string[] Take() => [.. Enumerable.Range(0, 1000).Select(_ =>
        {
            byte[] bytes = new byte[15];
            RandomStore.Take(bytes);
            return Convert.ToHexString(bytes);
        })];
    }

    [Fact]
    public void More_than_it_holds_is_refused() =>
        Assert.Throws<ArgumentOutOfRangeException>(() => RandomStore.Take(new byte[1025]));
}
