using System.Net;
using System.Net.Sockets;
using Berth.Api.Runs;
using Berth.Core.Resources;
using Berth.Testing.Server;
using Xunit;

namespace Berth.Tests.Server;

/// <summary>Callers who are gone while their bodies wait for programs that do not read them.</summary>
public sealed class LeavingCallerTests
{
    /// <summary>More than all buffers on the way hold together.</summary>
    private const int Large = 24 * 1024 * 1024;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_killed_callers_program_is_ended_though_it_reads_nothing(bool reset)
    {
        await using ServerRig rig = await ServerRig.StartAsync();
        await using RawConnection connection = await BeginAsync(rig);
        Task sending = connection.WriteAsync(new byte[Large]);
        string id = await Eventually.FindRunAsync(rig, "test=left", run => run.State == "running");

        connection.Kill(reset);
        await Task.WhenAny(sending);

        Assert.Equal("client_gone", (await Eventually.EndAsync(rig, id)).Reason);
        await Eventually.HoldsAsync("the room is given back", () => rig.Server.Rooms.Overflow.Taken == 0);
    }

    [Fact]
    public async Task Where_there_is_no_room_for_the_body_a_reset_is_seen_all_the_same()
    {
        await using ServerRig rig = await ServerRig.StartAsync(o => o with { OverflowLimit = ByteSize.Zero });
        await using RawConnection connection = await BeginAsync(rig);
        Task sending = connection.WriteAsync(new byte[Large]);
        string id = await Eventually.FindRunAsync(rig, "test=left", run => run.State == "running");

        connection.Kill(reset: true);
        await Task.WhenAny(sending);

        Assert.Equal("client_gone", (await Eventually.EndAsync(rig, id)).Reason);
    }

    [Fact]
    public async Task Over_http2_too()
    {
        await using ServerRig rig = await ServerRig.StartAsync();
        Socket? socket = null;
        using SocketsHttpHandler handler = new()
        {
            UseProxy = false,
            ConnectCallback = async (context, cancellationToken) =>
            {
                socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
                await socket.ConnectAsync(context.DnsEndPoint, cancellationToken);
                return new NetworkStream(socket, ownsSocket: true);
            },
        };
        using HttpClient client = new(handler) { BaseAddress = rig.Address };
        HttpRequestMessage request = ServerRig.Call(
            ["sleep", "600"], new ByteArrayContent(new byte[Large]), headers: [("Berth-Label", "test=left")]);
        request.Headers.Authorization = new("Bearer", rig.AdminToken);
        request.Version = HttpVersion.Version20;
        request.VersionPolicy = HttpVersionPolicy.RequestVersionExact;
        Task sending = client.SendAsync(request);
        string id = await Eventually.FindRunAsync(rig, "test=left", run => run.State == "running");

        socket!.Close();

        Assert.Equal("client_gone", (await Eventually.EndAsync(rig, id)).Reason);
        await Assert.ThrowsAnyAsync<HttpRequestException>(() => sending);
    }

    [Fact]
    public async Task A_program_that_begins_to_read_late_gets_every_byte_in_order()
    {
        byte[] body = new byte[Large];
        new Random(3).NextBytes(body);
        await using ServerRig rig = await ServerRig.StartAsync();
        HttpRequestMessage request = ServerRig.Call(["sh", "-c", "sleep 2; cat"], new ByteArrayContent(body));

        using HttpResponseMessage response = await rig.SendAsync(request);
        byte[] received = await response.Content.ReadAsByteArrayAsync();

        Assert.True(received.AsSpan().SequenceEqual(body), $"{received.Length} bytes came back, changed on the way.");
        Assert.Equal(0, rig.Server.Rooms.Overflow.Taken);
    }

    private static async Task<RawConnection> BeginAsync(ServerRig rig)
    {
        RawConnection connection = await RawConnection.OpenAsync(rig);
        await connection.WriteAsync(
            $"POST /v1/call/{ServerRig.Image} HTTP/1.1\r\nHost: berth\r\n{connection.Authorization}"
            + "Berth-Command: sleep\r\nBerth-Command: 600\r\nBerth-Label: test=left\r\n"
            + $"Content-Length: {2 * Large}\r\n\r\n");
        return connection;
    }
}
