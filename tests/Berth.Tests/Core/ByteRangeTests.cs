using Berth.Core.Resources;
using Xunit;

namespace Berth.Tests.Core;

/// <summary>The examples of RFC 9110, sections 14.1.1 to 14.2, and what lies beside them.</summary>
public sealed class ByteRangeTests
{
    [Theory]
    [InlineData("bytes=0-499", 10_000, 0, 499)]
    [InlineData("bytes=500-999", 10_000, 500, 999)]
    [InlineData("bytes=-500", 10_000, 9_500, 9_999)]
    [InlineData("bytes=9500-", 10_000, 9_500, 9_999)]
    [InlineData("bytes=0-", 10_000, 0, 9_999)]
    [InlineData("bytes=0-0", 10_000, 0, 0)]
    [InlineData("bytes=9999-9999", 10_000, 9_999, 9_999)]
    [InlineData("bytes=9999-10000", 10_000, 9_999, 9_999)]
    [InlineData("bytes=-10001", 10_000, 0, 9_999)]
    [InlineData("bytes=0-99999999999999999999", 10_000, 0, 9_999)]
    [InlineData("bytes=-99999999999999999999", 10_000, 0, 9_999)]
    [InlineData("bytes=5-9223372036854775807", 10_000, 5, 9_999)]
    [InlineData("bytes=000-009", 10_000, 0, 9)]
    [InlineData("Bytes= 0-9", 10_000, 0, 9)]
    [InlineData("bytes=0-9 ,", 10_000, 0, 9)]
    [InlineData("bytes=, ,0-9", 10_000, 0, 9)]
    [InlineData("bytes=0-", long.MaxValue, 0, long.MaxValue - 1)]
    public void A_range_is_cut_to_what_there_is(string header, long size, long first, long last)
    {
        ByteRange range = Assert.NotNull(ByteRange.Parse(header, size));

        Assert.Equal(new ByteRange(first, last, true), range);
        Assert.Equal(last - first + 1, range.Length);
    }

    [Theory]
    [InlineData("bytes=10000-", 10_000)]
    [InlineData("bytes=10000-10001", 10_000)]
    [InlineData("bytes=99999999999999999999-", 10_000)]
    [InlineData("bytes=-0", 10_000)]
    [InlineData("bytes=0-", 0)]
    [InlineData("bytes=0-0", 0)]
    [InlineData("bytes=500-499", 10_000)]
    [InlineData("bytes=99999999999999999999-5", 10_000)]
    [InlineData("bytes=", 10_000)]
    [InlineData("bytes=,", 10_000)]
    [InlineData("bytes=5", 10_000)]
    [InlineData("bytes=-", 10_000)]
    [InlineData("bytes=a-b", 10_000)]
    [InlineData("bytes=+1-2", 10_000)]
    [InlineData("bytes=--1", 10_000)]
    [InlineData("bytes=1-2-3", 10_000)]
    [InlineData("bytes=0x1-0x2", 10_000)]
    [InlineData("bytes=\u0661-\u0662", 10_000)]
    public void What_is_no_part_of_the_content_is_not_satisfiable(string header, long size) =>
        Assert.False(Assert.NotNull(ByteRange.Parse(header, size)).IsSatisfiable);

    [Theory]
    [InlineData("", 10_000)]
    [InlineData("bytes", 10_000)]
    [InlineData("bytes 0-9", 10_000)]
    [InlineData("items=0-9", 10_000)]
    [InlineData("bytes=0-0,-1", 10_000)]
    [InlineData("bytes=500-600,601-999", 10_000)]
    [InlineData("bytes=-5", 0)]
    public void All_else_is_the_whole(string header, long size) => Assert.Null(ByteRange.Parse(header, size));
}
