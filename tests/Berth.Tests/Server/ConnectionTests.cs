using System.Net;
using System.Text;
using Berth.Testing.Clocks;
using Berth.Testing.Server;
using Xunit;

namespace Berth.Tests.Server;

/// <summary>Connections before their first request: silent ones, and those that speak HTTP/2 at once.</summary>
public sealed class ConnectionTests
{
    private const string Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

    [Theory]
    [InlineData("")]
    [InlineData("PRI * HT")]
    public async Task A_connection_that_does_not_say_what_it_wants_is_closed(string said)
    {
        ManualTime time = new();
        await using ServerRig rig = await ServerRig.StartAsync(time: time);
        await using RawConnection connection = await RawConnection.OpenAsync(rig);
        await connection.WriteAsync(said);

        Task<string> end = connection.ReadToEndAsync();
        await Eventually.HoldsAsync("the connection is closed", () =>
        {
            time.Advance(TimeSpan.FromSeconds(15));
            return end.IsCompleted;
        });

        Assert.Equal("", await end);
    }

    [Fact]
    public async Task A_silent_connection_does_not_hold_up_a_stop()
    {
        // On this clock the stop's own limit never comes.
        ServerRig rig = await ServerRig.StartAsync(time: new ManualTime());
        await using RawConnection connection = await RawConnection.OpenAsync(rig);
        using HttpResponseMessage other = await rig.GetAsync("/healthz");

        await rig.DisposeAsync().AsTask().WaitAsync(TimeSpan.FromSeconds(30), TestContext.Current.CancellationToken);

        Assert.Equal("", await connection.ReadToEndAsync());
    }

    /// <summary>HAProxy's <c>proto h2</c> names the scheme that it was asked with or, for HTTP/1.1, https.</summary>
    [Theory]
    [InlineData(0x86)]
    [InlineData(0x87)]
    public async Task A_proxy_may_send_its_preface_in_pieces_and_the_scheme_that_it_was_asked_with(byte scheme)
    {
        await using ServerRig rig = await ServerRig.StartAsync(
            o => o with { TrustedProxies = [IPNetwork.Parse("127.0.0.0/8")] });
        await using RawConnection connection = await RawConnection.OpenAsync(rig);
        foreach (char letter in Preface)
        {
            await connection.WriteAsync([(byte)letter]);
        }

        await connection.WriteAsync([.. Frame(4, 0, 0, []), .. Frame(1, 5, 1, Head("/healthz", scheme))]);
        byte[] answer = await ReadFrameAsync(connection, stream: 1);

        // HEADERS, whose first field is the static table's ":status: 200" (RFC 7541, appendix A).
        Assert.Equal((1, 0x88), (answer[3], answer[9]));
    }

    private static byte[] Head(string path, byte scheme) =>
        [0x82, scheme, 0x04, (byte)path.Length, .. Encoding.ASCII.GetBytes(path), 0x01, 5, .. "berth"u8];

    private static byte[] Frame(byte type, byte flags, byte stream, byte[] payload) =>
        [0, 0, (byte)payload.Length, type, flags, 0, 0, 0, stream, .. payload];

    private static async Task<byte[]> ReadFrameAsync(RawConnection connection, byte stream)
    {
        while (true)
        {
            byte[] head = await ReadAsync(connection, 9);
            byte[] payload = await ReadAsync(connection, (head[0] << 16) | (head[1] << 8) | head[2]);
            if (head[8] == stream)
            {
                return [.. head, .. payload];
            }
        }
    }

    private static async Task<byte[]> ReadAsync(RawConnection connection, int length)
    {
        using MemoryStream read = new();
        while (read.Length < length)
        {
            Assert.True(await connection.ReadIntoAsync(read, length - (int)read.Length) > 0, "The connection ended.");
        }

        return read.ToArray();
    }
}
