using System.Net;
using System.Net.Sockets;
using System.Text;
using Berth.Api.Runs;
using Berth.Core.Resources;
using Berth.Testing.Server;
using Xunit;

namespace Berth.Tests.Server;

/// <summary>Large bodies and answers under way at once, with callers of every habit: who reads while sending, who reads
/// only afterwards, who lags behind, who sends on when nobody listens.</summary>
public sealed class StreamingTests(ServerRigFixture fixture) : IClassFixture<ServerRigFixture>
{
    private const int Large = 32 * 1024 * 1024;

    private ServerRig Rig => fixture.Rig;

    [Fact]
    public async Task A_client_that_reads_nothing_before_it_has_sent_everything_gets_the_whole_answer()
    {
        byte[] sent = Bytes(Large);

        using HttpResponseMessage response = await Rig.SendAsync(ServerRig.Call(body: new ByteArrayContent(sent)));
        byte[] received = await response.Content.ReadAsByteArrayAsync();

        Assert.Equal(HttpVersion.Version11, response.Version);
        AssertEqual(sent, received);
        Assert.Equal("completed", response.TrailingHeaders.GetValues("Berth-Reason").Single());
        AssertNothingOnDisk(Rig);
    }

    [Fact]
    public async Task Several_such_clients_at_once_each_get_their_own()
    {
        byte[][] sent = [.. Enumerable.Range(0, 4).Select(seed => Bytes(8 * 1024 * 1024, seed))];

        byte[][] received = await Task.WhenAll(sent.Select(async body =>
        {
            using HttpResponseMessage response = await Rig.SendAsync(ServerRig.Call(body: new ByteArrayContent(body)));
            return await response.Content.ReadAsByteArrayAsync();
        }));

        Assert.All(sent.Zip(received), pair => AssertEqual(pair.First, pair.Second));
        AssertNothingOnDisk(Rig);
    }

    [Fact]
    public async Task A_client_that_reads_only_now_and_then_while_it_sends_gets_every_byte_in_order()
    {
        byte[] sent = Bytes(Large);
        await using RawConnection connection = await RawConnection.OpenAsync(Rig);
        await connection.WriteAsync($"POST /v1/call/{ServerRig.Image} HTTP/1.0\r\n{connection.Authorization}"
            + $"Content-Length: {sent.Length}\r\n\r\n");
        using MemoryStream received = new();

        // Much is sent between two small reads, so that the reader falls behind and catches up only at the end.
        Task sending = connection.WriteAsync(sent);
        while (!sending.IsCompleted)
        {
            await Task.WhenAny(sending, connection.ReadIntoAsync(received, 4096));
        }

        await sending;
        await connection.ReadToEndIntoAsync(received);

        byte[] answer = received.ToArray();
        int head = answer.AsSpan().IndexOf("\r\n\r\n"u8) + 4;
        Assert.StartsWith("HTTP/1.1 200 ", Encoding.ASCII.GetString(answer, 0, head), StringComparison.Ordinal);
        AssertEqual(sent, answer[head..]);
        AssertNothingOnDisk(Rig);
    }

    [Fact]
    public async Task Where_there_is_no_room_for_the_answer_the_call_ends_at_its_timeout_and_never_looks_whole()
    {
        await using ServerRig rig = await ServerRig.StartAsync(o => o with { OverflowLimit = ByteSize.Zero });
        HttpRequestMessage request = ServerRig.Call(
            body: new ByteArrayContent(new byte[Large]),
            headers: [("Berth-Timeout", "1s"), ("Berth-Label", "test=full")]);

        await Assert.ThrowsAnyAsync<HttpRequestException>(async () =>
        {
            using HttpResponseMessage response = await rig.SendAsync(request);
            await response.Content.ReadAsByteArrayAsync();
        });

        string id = await Eventually.FindRunAsync(rig, "test=full", run => run.EndedAt is not null);
        Assert.Equal("timed_out", (await Eventually.EndAsync(rig, id)).Reason);
    }

    [Fact]
    public async Task A_program_that_reads_nothing_and_writes_without_end_stops_at_its_limit_while_the_client_sends()
    {
        HttpRequestMessage request = ServerRig.Call(
            ["yes"], new ByteArrayContent(new byte[Large]),
            headers: [("Berth-Output-Limit", "8Mi"), ("Berth-Label", "test=yes")]);

        await Assert.ThrowsAnyAsync<HttpRequestException>(async () =>
        {
            using HttpResponseMessage response = await Rig.SendAsync(request);
            await response.Content.ReadAsByteArrayAsync();
        });

        string id = await Eventually.FindRunAsync(Rig, "test=yes", run => run.EndedAt is not null);
        RunView ended = await Eventually.EndAsync(Rig, id);
        Assert.Equal("output_limit", ended.Reason);
    }

    [Fact]
    public async Task A_client_may_send_the_rest_of_its_body_after_the_answer_and_go_on_with_the_connection()
    {
        const int length = 4 * 1024 * 1024;
        await using RawConnection connection = await RawConnection.OpenAsync(Rig);
        string head = $"POST /v1/call/{ServerRig.Image} HTTP/1.1\r\nHost: berth\r\n{connection.Authorization}"
            + "Berth-Command: echo\r\nBerth-Command: done\r\n";
        await connection.WriteAsync($"{head}Content-Length: {length}\r\n\r\n");

        string first = await connection.ReadUntilAsync("done\n");
        await connection.WriteAsync(new byte[length]);
        await connection.WriteAsync($"{head}Content-Length: 0\r\n\r\n");
        string second = await connection.ReadUntilAsync("done\n");

        Assert.StartsWith("HTTP/1.1 200 ", first, StringComparison.Ordinal);
        Assert.StartsWith("HTTP/1.1 200 ", second, StringComparison.Ordinal);
    }

    [Fact]
    public void What_a_killed_server_left_of_such_answers_is_gone_after_the_next_start()
    {
        using Berth.Testing.Content.TemporaryFolder folder = new();
        Directory.CreateDirectory(folder["overflow"]);
        File.WriteAllText(Path.Combine(folder["overflow"], "left"), "x");

        Berth.Server.Calls.OverflowRoom room = new(folder["overflow"], ByteSize.MiB(64));

        Assert.Empty(Directory.GetFiles(folder["overflow"]));
        Assert.Equal(0, room.Taken);
    }

    private static byte[] Bytes(int length, int seed = 7)
    {
        byte[] bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    private static void AssertEqual(byte[] expected, byte[] actual) =>
        Assert.True(
            expected.AsSpan().SequenceEqual(actual),
            $"{actual.Length} bytes came back, not the {expected.Length} sent.");

    private static void AssertNothingOnDisk(ServerRig rig)
    {
        Assert.Equal(0, rig.Server.Rooms.Overflow.Taken);
        Assert.Empty(Directory.GetFiles(Path.Combine(rig.Folder, "overflow")));
    }
}
