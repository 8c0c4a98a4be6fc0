using Berth.Core.Errors;
using Xunit;

namespace Berth.Tests.Core;

public sealed class QuotedTests
{
    [Theory]
    [InlineData(null, "")]
    [InlineData("plain ü €", "plain ü €")]
    [InlineData("a\r\nb\0\u001b[2Jc", "a??b??[2Jc")]
    [InlineData("gpj\u202e.exe\u2066", "gpj?.exe?")]
    public void What_steers_a_terminal_or_cannot_be_shown_becomes_a_question_mark(string? text, string expected) =>
        Assert.Equal(expected, Quoted.Of(text));

    [Theory]
    [InlineData(100, 100)]
    [InlineData(101, 101)]
    [InlineData(60_000, 101)]
    public void No_more_than_a_hundred_characters_are_told(int given, int told)
    {
        string text = Quoted.Of(new string('x', given));

        Assert.Equal(told, text.Length);
        Assert.Equal(given > 100, text.EndsWith('…'));
    }

    // An attribute keeps its texts as UTF-8, which has no halves.
    [Fact]
    public void Half_a_character_is_none() => Assert.Equal("half ? of one", Quoted.Of("half \ud83d of one"));

    [Fact]
    public void A_character_of_two_halves_is_not_cut_in_two() =>
        Assert.EndsWith("\ud83d\udea2…", Quoted.Of(string.Concat(Enumerable.Repeat("\ud83d\udea2", 60))));
}
