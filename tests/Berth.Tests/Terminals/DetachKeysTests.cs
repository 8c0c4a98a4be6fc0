using System.Text;
using Berth.Commands.Terminals;
using Berth.Core.Errors;
using Xunit;

namespace Berth.Tests.Terminals;

public sealed class DetachKeysTests
{
    [Theory]
    [InlineData("ctrl-p,ctrl-q", "\u0010\u0011", "", true)]
    [InlineData("ctrl-p,ctrl-q", "ls\u0010\u0011rest", "ls", true)]
    [InlineData("ctrl-p,ctrl-q", "\u0010x", "\u0010x", false)]
    [InlineData("ctrl-p,ctrl-q", "\u0010\u0010\u0011", "\u0010", true)]
    [InlineData("ctrl-p,ctrl-q", "\u0011\u0010", "\u0011", false)]
    [InlineData("CTRL-A", "\u0001", "", true)]
    [InlineData("ctrl-[,q", "\u001bq", "", true)]
    [InlineData("a,b,c", "ababc", "ab", true)]
    [InlineData("~", "x~y", "x", true)]
    [InlineData("", "\u0010\u0011", "\u0010\u0011", false)]
    public void The_keys_are_found_and_all_else_passes(string keys, string typed, string passed, bool detached)
    {
        DetachKeys whole = DetachKeys.Parse(keys);
        byte[] taken = whole.Take(Encoding.ASCII.GetBytes(typed), out bool isDetached);

        Assert.Equal((passed, detached), (Encoding.ASCII.GetString(taken), isDetached));
    }

    [Fact]
    public void Keys_that_come_one_by_one_are_held_back_until_it_is_known_what_they_are()
    {
        DetachKeys keys = DetachKeys.Parse(DetachKeys.Usual);

        Assert.Empty(keys.Take([0x10], out bool detached));
        Assert.False(detached);
        Assert.Equal([0x10, (byte)'a'], keys.Take("a"u8, out detached));
        Assert.False(detached);
        Assert.Empty(keys.Take([0x10], out _));
        Assert.Empty(keys.Take([0x11], out detached));
        Assert.True(detached);
    }

    [Theory]
    [InlineData("ctrl-")]
    [InlineData("ctrl-1")]
    [InlineData("ctrl-pp")]
    [InlineData("ctrl-p,")]
    [InlineData("ab")]
    [InlineData(" ")]
    [InlineData("\u00e4")]
    public void What_is_no_key_is_refused_by_name(string keys)
    {
        BerthException refusal = Assert.Throws<BerthException>(() => DetachKeys.Parse(keys));

        Assert.Equal(ErrorCode.InvalidRequest, refusal.Code);
        Assert.Contains("--detach-keys", refusal.Message, StringComparison.Ordinal);
    }
}
