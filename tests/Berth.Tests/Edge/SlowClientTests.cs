using System.Net;
using System.Net.Sockets;
using System.Text;
using Berth.Api.Runs;
using Berth.Core.Resources;
using Berth.Testing.Server;
using Berth.Tests.Server;
using Xunit;

namespace Berth.Tests.Edge;

/// <summary>Clients that send a little now and then for ever: their connections are cut by the operator's times and
/// given to others, no sandbox is theirs beyond its deadline, and nobody else waits.</summary>
public sealed class SlowClientTests
{
    private const string Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

    private static readonly byte[][] Letters = ["x"u8.ToArray()];
    private static readonly TimeSpan Drip = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan Shortest = TimeSpan.FromSeconds(1);

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Heads_that_drip_are_cut_and_their_connections_given_to_others()
    {
        string[] beginnings =
        [
            "G", "GET /", "GET /healthz HTTP/1.1\r\nHost: a\r\nX-A: ",
            "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET /healthz HTTP/1.1\r\nHost: a\r\nX-B: ",
        ];
        await using ServerRig rig = await ServerRig.StartAsync(
            o => o with { HeadTimeout = Shortest, MaxConnections = beginnings.Length + 3 });

        byte[] continuation = Http2Wire.Frame(Http2Wire.Continuation, 0, 1, Http2Wire.Fields("x-a: b"));
        Task<string>[] endings =
        [
            .. beginnings.Select(b => DripAsync(rig, Encoding.ASCII.GetBytes(b), Letters)),
            DripAsync(rig, [], [.. Preface.Select(letter => new[] { (byte)letter })]),
            DripAsync(rig, UnfinishedHeaders(), [continuation]),
        ];
        using HttpResponseMessage meanwhile = await rig.GetAsync("/healthz");
        string[] answers = await Task.WhenAll(endings);

        Assert.Equal(HttpStatusCode.OK, meanwhile.StatusCode);
        Assert.All(answers[..3], a => Assert.StartsWith("HTTP/1.1 408 ", a, StringComparison.Ordinal));
        Assert.StartsWith("HTTP/1.1 200 ", answers[3], StringComparison.Ordinal);
        Assert.Contains("HTTP/1.1 408 ", answers[3], StringComparison.Ordinal);
        Assert.All(answers[4..], a => Assert.DoesNotContain("200", a, StringComparison.Ordinal));
        await SlowClients.AllServedAsync(rig, beginnings.Length + 2);
    }

    [Fact]
    public async Task A_document_that_drips_is_refused()
    {
        await using ServerRig rig = await ServerRig.StartAsync(o => o with { BodyIdleTimeout = Shortest });

        string answer = await DripAsync(
            rig, Encoding.ASCII.GetBytes(
                $"POST /v1/tokens HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {rig.AdminToken}\r\n"
                + "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{\"name\":\""),
            Letters);

        Assert.StartsWith("HTTP/1.1 408 ", answer, StringComparison.Ordinal);
    }

    /// <summary>A call's own time bounds its body (decision 0063), and with it how long the sandbox is held.</summary>
    [Fact]
    public async Task A_calls_body_that_drips_holds_its_sandbox_until_the_calls_deadline_and_no_longer()
    {
        await using ServerRig rig = await ServerRig.StartAsync(o => o with { MaxRunning = 1 });

        Task<string> dripping = DripAsync(
            rig, Encoding.ASCII.GetBytes(
                $"POST /v1/call/{ServerRig.Image} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {rig.AdminToken}\r\n"
                + "Berth-Timeout: 500ms\r\nContent-Length: 100000\r\n\r\n"),
            Letters);
        await Eventually.HoldsAsync("the program runs", () => rig.Node.Started.Count == 1);
        // The one place is taken: it is had when the deadline has come, however the dripping goes on.
        using HttpResponseMessage other = await rig.SendAsync(ServerRig.Call(body: new StringContent("other")));

        Assert.Equal("other", await other.Content.ReadAsStringAsync(Stop));
        string answer = await dripping;
        Assert.StartsWith("HTTP/1.1 504 ", answer, StringComparison.Ordinal);
        Assert.Contains("\"code\":\"run_timed_out\"", answer, StringComparison.Ordinal);
        await Eventually.HoldsAsync("no program runs", () => rig.Node.Running == 0);
    }

    /// <summary>An input that still moves is an honest one (decision 0063); it holds a connection and nothing else.
    /// </summary>
    [Fact]
    public async Task A_tasks_input_that_drips_holds_no_sandbox_and_no_place()
    {
        await using ServerRig rig = await ServerRig.StartAsync(
            o => o with { MaxRunning = 1, BodyIdleTimeout = Shortest });
        await using RawConnection task = await RawConnection.OpenAsync(rig);
        await task.WriteAsync(
            $"POST /v1/tasks/{ServerRig.Image} HTTP/1.1\r\nHost: a\r\n{task.Authorization}Connection: close\r\n"
            + "Content-Length: 5\r\n\r\n");
        for (int i = 0; i < 5; i++)
        {
            using HttpResponseMessage other = await rig.SendAsync(ServerRig.Call(body: new StringContent("other")));
            Assert.Equal("other", await other.Content.ReadAsStringAsync(Stop));
            Assert.Equal(i + 1, rig.Node.Started.Count);
            await task.WriteAsync("x");
        }

        Assert.StartsWith("HTTP/1.1 202 ", await task.ReadToEndAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Output_that_nobody_reads_holds_its_sandbox_until_the_calls_deadline_and_no_longer()
    {
        await using ServerRig rig = await ServerRig.StartAsync(o => o with { MaxRunning = 1 });
        await using RawConnection call = await RawConnection.OpenAsync(rig);
        await call.WriteAsync(
            $"POST /v1/call/{ServerRig.Image} HTTP/1.1\r\nHost: a\r\n{call.Authorization}Berth-Command: yes\r\n"
            + "Berth-Timeout: 500ms\r\nContent-Length: 0\r\n\r\n");
        await Eventually.HoldsAsync("the program runs", () => rig.Node.Started.Count == 1);

        using HttpResponseMessage other = await rig.SendAsync(ServerRig.Call(body: new StringContent("other")));

        Assert.Equal("other", await other.Content.ReadAsStringAsync(Stop));
        await Eventually.HoldsAsync("no program runs", () => rig.Node.Running == 0);
    }

    /// <summary>Sends a beginning, then piece after piece, over and over, until the connection is ended.</summary>
    /// <returns>What was answered.</returns>
    private static async Task<string> DripAsync(ServerRig rig, byte[] beginning, byte[][] pieces)
    {
        await using RawConnection connection = await RawConnection.OpenAsync(rig);
        await connection.WriteAsync(beginning);
        using MemoryStream answer = new();
        Task reading = ReadAsync(connection, answer);
        for (int i = 0; !reading.IsCompleted; i++)
        {
            try
            {
                await connection.WriteAsync(pieces[i % pieces.Length]);
            }
            catch (Exception error) when (error is IOException or SocketException)
            {
                break;
            }

            await Task.WhenAny(reading, Task.Delay(Drip, TimeProvider.System, Stop));
        }

        await reading;
        return Encoding.Latin1.GetString(answer.ToArray());
    }

    private static async Task ReadAsync(RawConnection connection, MemoryStream answer)
    {
        try
        {
            await connection.ReadToEndIntoAsync(answer);
        }
        catch (Exception error) when (error is IOException or SocketException)
        {
            // Ended with something of ours unread.
        }
    }

    private static byte[] UnfinishedHeaders() =>
    [
        .. Encoding.ASCII.GetBytes(Preface), .. Http2Wire.Frame(Http2Wire.Settings, 0, 0),
        .. Http2Wire.Frame(Http2Wire.Headers, Http2Wire.EndStream, 1, Http2Wire.Fields(Http2EdgeTests.Good)),
    ];
}

/// <summary>What is true of connections after some of them were cut.</summary>
internal static class SlowClients
{
    /// <summary>Returns once so many connections at once are answered.</summary>
    public static async Task AllServedAsync(ServerRig rig, int count)
    {
        using CancellationTokenSource limit = new(HangGuard.Limit);
        while (!await AreServedAsync(rig, count))
        {
            Assert.False(limit.IsCancellationRequested, $"{count} connections at once were never served again.");
        }
    }

    private static async Task<bool> AreServedAsync(ServerRig rig, int count)
    {
        RawConnection[] all = await Task.WhenAll(Enumerable.Range(0, count).Select(_ => RawConnection.OpenAsync(rig)));
        try
        {
            foreach (RawConnection connection in all)
            {
                await connection.WriteAsync("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
                string answer = await connection.ReadUntilAsync("\r\n\r\n");
                if (!answer.StartsWith("HTTP/1.1 200 ", StringComparison.Ordinal))
                {
                    return false;
                }
            }

            return true;
        }
        catch (Exception error) when (error is IOException or SocketException)
        {
            return false;
        }
        finally
        {
            foreach (RawConnection connection in all)
            {
                await connection.DisposeAsync();
            }
        }
    }
}
