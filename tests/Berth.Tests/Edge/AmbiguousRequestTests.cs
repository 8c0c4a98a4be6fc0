using System.Net.Sockets;
using System.Text;
using Berth.Api.Runs;
using Berth.Testing.Server;
using Berth.Tests.Server;
using Xunit;

namespace Berth.Tests.Edge;

/// <summary>
/// What a proxy in front and this server could read differently is refused, and the connection is at its end: nothing
/// that was hidden behind it is ever a request.
/// </summary>
public sealed class AmbiguousRequestTests(ServerRigFixture fixture) : IClassFixture<ServerRigFixture>
{
    public static TheoryData<string> Names => [.. AmbiguousRequest.Refused.Select(r => r.Name)];

    private ServerRig Rig => fixture.Rig;

    [Theory]
    [MemberData(nameof(Names))]
    public async Task Is_refused_and_nothing_behind_it_is_answered(string name)
    {
        AmbiguousRequest request = AmbiguousRequest.Refused.Single(r => r.Name == name);

        int before = Rig.Node.Started.Count;

        string answer = await SendAsync(request.Text + AmbiguousRequest.Second).WaitAsync(
            HangGuard.Limit, TestContext.Current.CancellationToken);

        Assert.Matches("^HTTP/1.1 (4..|501|505) ", answer);
        Assert.Equal(1, AnswersIn(answer));
        Assert.Equal(before, Rig.Node.Started.Count);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public async Task Is_refused_the_same_when_it_comes_byte_by_byte(string name)
    {
        AmbiguousRequest request = AmbiguousRequest.Refused.Single(r => r.Name == name);
        if (request.Text.Length > 1000)
        {
            return;
        }

        string answer = await SendAsync(request.Text + AmbiguousRequest.Second, pieces: 7);

        Assert.Matches("^HTTP/1.1 (4..|501|505) ", answer);
        Assert.Equal(1, AnswersIn(answer));
    }

    [Theory]
    [InlineData("GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")]
    [InlineData("GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length:5 \t\r\n\r\nhello")]
    [InlineData("GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")]
    [InlineData("GET /healthz HTTP/1.1\r\nHost: a\r\ncontent-length: 0000000005\r\n\r\na\nb\nc")]
    [InlineData("GET /healthz HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\na\nb\nc\r\n0\r\n\r\n")]
    [InlineData("GET /healthz HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\tChunked\r\n\r\n5;n=v\r\nhello\r\n0\r\n\r\n")]
    [InlineData("GET /healthz HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-A: b\r\n\r\n")]
    [InlineData("GET http://a/healthz HTTP/1.1\r\nHost: a\r\n\r\n")]
    [InlineData("GET /healthz HTTP/1.1\r\nHost: a\r\nX-A:\t b \t\r\nX-Empty:\r\n\r\n")]
    public async Task What_is_one_message_to_everybody_is_followed_by_the_next(string request)
    {
        foreach (int pieces in (int[])[int.MaxValue, 1, 3])
        {
            string answer = await SendAsync(
                request + request + "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", pieces);

            Assert.Equal(3, AnswersIn(answer));
            Assert.Equal(3, answer.Split("HTTP/1.1 200 OK").Length - 1);
        }
    }

    [Fact]
    public async Task A_body_of_line_feeds_comes_whole_and_the_next_request_is_still_looked_at()
    {
        string body = string.Concat(Enumerable.Repeat("\n+\r\n\n", 40_000));
        await using RawConnection connection = await RawConnection.OpenAsync(Rig);

        await connection.WriteAsync(
            $"POST /v1/call/demo/echo:1 HTTP/1.1\r\nHost: a\r\n{connection.Authorization}Content-Length: {body.Length}"
            + $"\r\n\r\n{body}GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: +0\r\n\r\n");
        string answers = await connection.ReadToEndAsync();

        Assert.StartsWith("HTTP/1.1 200 OK", answers, StringComparison.Ordinal);
        Assert.Equal(40_000, answers.Count(c => c == '+'));
        Assert.Contains("HTTP/1.1 400 ", answers, StringComparison.Ordinal);
        Assert.Equal(2, AnswersIn(answers));
    }

    [Fact]
    public async Task After_an_upgrade_that_was_not_made_the_connection_ends()
    {
        string answer = await SendAsync(
            "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
            + AmbiguousRequest.Second);

        Assert.StartsWith("HTTP/1.1 200 ", answer, StringComparison.Ordinal);
        Assert.Contains("Connection: close", answer, StringComparison.Ordinal);
        Assert.Equal(1, AnswersIn(answer));
    }

    private static int AnswersIn(string text) => text.Split("HTTP/1.1 ").Length - 1;

    private async Task<string> SendAsync(string text, int pieces = int.MaxValue)
    {
        await using RawConnection connection = await RawConnection.OpenAsync(Rig);
        byte[] bytes = Encoding.Latin1.GetBytes(
            text.Replace("{auth}", connection.Authorization, StringComparison.Ordinal));
        await IgnoringResetAsync(async () =>
        {
            for (int at = 0; at < bytes.Length; at += Math.Min(pieces, bytes.Length))
            {
                await connection.WriteAsync(bytes[at..(int)Math.Min(bytes.Length, at + (long)pieces)]);
            }
        });
        using MemoryStream answer = new();
        await IgnoringResetAsync(() => connection.ReadToEndIntoAsync(answer));
        return Encoding.Latin1.GetString(answer.ToArray());
    }

    /// <summary>A server that has refused need not read the rest; what it said came before.</summary>
    private static async Task IgnoringResetAsync(Func<Task> work)
    {
        try
        {
            await work();
        }
        catch (Exception error) when (error is IOException or SocketException)
        {
        }
    }
}
