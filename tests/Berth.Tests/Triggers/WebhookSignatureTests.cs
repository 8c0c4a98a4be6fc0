using System.Text;
using Berth.Core.Triggers;
using Xunit;

namespace Berth.Tests.Triggers;

/// <summary>What senders sign with.</summary>
public sealed class WebhookSignatureTests
{
    private static readonly DateTimeOffset Now = DateTimeOffset.FromUnixTimeSeconds(1_795_249_939);
    private static readonly byte[] Secret = "It's a Secret to Everybody"u8.ToArray();
    private static readonly byte[] Body = "Hello, World!"u8.ToArray();

    /// <summary>The example of GitHub's own page "Validating webhook deliveries".</summary>
    private const string GitHubs = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    [Fact]
    public void The_example_of_github_is_right_and_is_made_alike()
    {
        Assert.True(Verify(WebhookStyle.GitHub, "sha256=" + GitHubs));
        Assert.Equal("sha256=" + GitHubs, WebhookSignature.Make(WebhookStyle.GitHub, Secret, Body, Now));
        Assert.True(Verify(WebhookStyle.Plain, GitHubs));
        Assert.True(Verify(WebhookStyle.Plain, "sha256=" + GitHubs.ToUpperInvariant()));
        Assert.True(Verify(WebhookStyle.Plain, Convert.ToBase64String(Convert.FromHexString(GitHubs))));
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("sha256=")]
    [InlineData(GitHubs)]
    [InlineData("sha1=" + GitHubs)]
    [InlineData("sha256=" + GitHubs + "00")]
    [InlineData("sha256=657107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17")]
    public void Anything_else_is_wrong(string? header) => Assert.False(Verify(WebhookStyle.GitHub, header));

    [Fact]
    public void A_timestamped_one_holds_within_its_window_either_way_and_for_its_own_moment_alone()
    {
        string made = WebhookSignature.Make(WebhookStyle.Timestamped, Secret, Body, Now);

        Assert.True(Verify(WebhookStyle.Timestamped, made, Now.AddMinutes(5)));
        Assert.True(Verify(WebhookStyle.Timestamped, made, Now.AddMinutes(-5)));
        Assert.False(Verify(WebhookStyle.Timestamped, made, Now.AddMinutes(5).AddSeconds(1)));
        Assert.False(Verify(WebhookStyle.Timestamped, made, Now.AddMinutes(-5).AddSeconds(-1)));
        Assert.False(Verify(
            WebhookStyle.Timestamped, made.Replace("t=1795249939", "t=1795249940", StringComparison.Ordinal)));
        Assert.False(Verify(WebhookStyle.Timestamped, made[(made.IndexOf(',', StringComparison.Ordinal) + 1)..]));
        Assert.True(Verify(
            WebhookStyle.Timestamped,
            made.Replace(",v1=", ",v1=" + GitHubs + ",v0=x,v1=", StringComparison.Ordinal)));
    }

    [Fact]
    public void No_header_makes_it_fail()
    {
        Random random = new(5);
        const string Alphabet = "sha256=tv01,9afXZ+/é \0";
        for (int i = 0; i < 100_000; i++)
        {
            string header = string.Concat(
                Enumerable.Range(0, random.Next(90)).Select(_ => Alphabet[random.Next(Alphabet.Length)]));
            Assert.False(Verify((WebhookStyle)random.Next(3), header));
        }

        Assert.False(Verify(WebhookStyle.Plain, new string('a', 100_000)));
    }

    private static bool Verify(WebhookStyle style, string? header, DateTimeOffset? now = null) =>
        WebhookSignature.Verify(
            new WebhookSpec(style, "X", "s", WebhookSpec.DefaultWindow, false), Secret, header, Body, now ?? Now);
}
