using System.Net;
using System.Net.Sockets;
using System.Net.WebSockets;
using System.Security.Cryptography;
using System.Text;
using Berth.Api.Client;
using Berth.Api.Functions;
using Berth.Testing.Server;
using Berth.Tests.Server;
using Xunit;

namespace Berth.Tests.Functions;

/// <summary>WebSocket over HTTP/2 (RFC 8441) to a program that knows it over HTTP/1.1 alone, played by the test.
/// </summary>
public sealed class WebSocketHttp2Tests : IAsyncLifetime
{
    private const string Switch = "HTTP/1.1 101 Yes\r\nConnection: Upgrade\r\n";

    private readonly TcpListener program = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource stop = new();
    private readonly List<string> heads = [];
    private ServerRig rig = null!;
    private Task serving = null!;

    /// <summary>What the program answers to a handshake; null for one that is right.</summary>
    private Func<string, string>? answer;

    public async ValueTask InitializeAsync()
    {
        program.Start();
        serving = ServeAsync();
        rig = await ServerRig.StartAsync(o => o with { FunctionDomain = "fn.example.org" });
        using BerthClient client = new(rig.Address, rig.AdminToken, TimeProvider.System);
        await client.Functions.DeployAsync(
            "ws",
            new FunctionRequest(
                ServerRig.Image, ["sleep", "3600"], Contract: "http", Public: true,
                Port: ((IPEndPoint)program.LocalEndpoint).Port),
            CancellationToken.None);
    }

    public async ValueTask DisposeAsync()
    {
        await rig.DisposeAsync();
        await stop.CancelAsync();
        program.Dispose();
        await serving;
        stop.Dispose();
    }

    [Theory]
    [InlineData(2)]
    [InlineData(1)]
    public async Task Messages_pass_both_ways_and_the_end_too(int version)
    {
        using ClientWebSocket socket = Socket(version);
        socket.Options.AddSubProtocol("chat");
        using HttpMessageInvoker invoker = new(new SocketsHttpHandler { UseProxy = false });
        await socket.ConnectAsync(Address("/v1/functions/ws/room?x=1"), invoker, Soon);

        byte[] large = new byte[300_000];
        new Random(version).NextBytes(large);
        await socket.SendAsync(large, WebSocketMessageType.Binary, endOfMessage: true, Soon);
        byte[] got = await ReceiveAsync(socket);
        await socket.CloseAsync(WebSocketCloseStatus.NormalClosure, "bye", Soon);

        Assert.Equal(large, got);
        Assert.Equal(("chat", WebSocketState.Closed), (socket.SubProtocol, socket.State));
        string head = Assert.Single(heads);
        Assert.StartsWith("GET /room?x=1 HTTP/1.1\r\n", head, StringComparison.Ordinal);
        Assert.Contains("\r\nUpgrade: websocket\r\n", head, StringComparison.OrdinalIgnoreCase);
        Assert.Contains("\r\nConnection: Upgrade\r\n", head, StringComparison.OrdinalIgnoreCase);
        Assert.Contains("\r\nSec-WebSocket-Version: 13\r\n", head, StringComparison.OrdinalIgnoreCase);
        Assert.Equal(2, head.Split("Sec-WebSocket-Key: ", StringSplitOptions.None).Length);
        Assert.DoesNotContain("Authorization", head, StringComparison.OrdinalIgnoreCase);
        Assert.DoesNotContain(":protocol", head, StringComparison.OrdinalIgnoreCase);
        Assert.DoesNotContain("Transfer-Encoding", head, StringComparison.OrdinalIgnoreCase);
    }

    [Fact]
    public async Task A_caller_that_vanishes_ends_the_programs_connection()
    {
        using (ClientWebSocket socket = Socket(2))
        {
            using HttpMessageInvoker invoker = new(new SocketsHttpHandler { UseProxy = false });
            await socket.ConnectAsync(Address("/v1/functions/ws/"), invoker, Soon);
            await Eventually.HoldsAsync("the program has the connection", () => Open == 1);
        }

        await Eventually.HoldsAsync("it has ended", () => Open == 0);
    }

    [Theory]
    [InlineData("403", "HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno")]
    [InlineData("502", "HTTP/1.1 200 Yes\r\nContent-Length: 2\r\n\r\nok")]
    [InlineData("502", "HTTP/1.1 204 Yes\r\n\r\n")]
    [InlineData("502", Switch + "Upgrade: other\r\nSec-WebSocket-Accept: KEY\r\n\r\n")]
    [InlineData("502", Switch + "Upgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n")]
    [InlineData("502", Switch + "Upgrade: websocket\r\n\r\n")]
    public async Task What_is_no_handshake_is_no_connection(string status, string said)
    {
        answer = key => said.Replace("KEY", key, StringComparison.Ordinal);
        using ClientWebSocket socket = Socket(2);
        using HttpMessageInvoker invoker = new(new SocketsHttpHandler { UseProxy = false });

        WebSocketException refused = await Assert.ThrowsAsync<WebSocketException>(
            () => socket.ConnectAsync(Address("/v1/functions/ws/"), invoker, Soon));

        Assert.Contains(status, refused.Message, StringComparison.Ordinal);
        Assert.Single(heads);
        // A refusal leaves the connection as it was, for another request.
        await Eventually.HoldsAsync("no broken one is left open", () => Open == (status == "403" ? 1 : 0));
    }

    [Fact]
    public async Task Without_a_token_a_function_that_is_not_open_is_not_reached()
    {
        using ClientWebSocket socket = new();
        socket.Options.HttpVersion = HttpVersion.Version20;
        socket.Options.HttpVersionPolicy = HttpVersionPolicy.RequestVersionExact;
        using HttpMessageInvoker invoker = new(new SocketsHttpHandler { UseProxy = false });

        await Assert.ThrowsAsync<WebSocketException>(
            () => socket.ConnectAsync(Address("/v1/functions/other/"), invoker, Soon));

        Assert.Empty(heads);
    }

    [Theory]
    [InlineData("/healthz")]
    [InlineData("/v1/functions")]
    [InlineData("/v1/functions/ws")]
    [InlineData("/v1/functions/program/")]
    [InlineData("/openapi/v1.json")]
    public async Task What_never_switches_says_no_success_which_would_pass_for_a_switch(string path)
    {
        using BerthClient client = new(rig.Address, rig.AdminToken, TimeProvider.System);
        await client.Functions.DeployAsync("program", new FunctionRequest(ServerRig.Image), CancellationToken.None);
        using ClientWebSocket socket = Socket(2);
        using HttpMessageInvoker invoker = new(new SocketsHttpHandler { UseProxy = false });

        WebSocketException refused = await Assert.ThrowsAsync<WebSocketException>(
            () => socket.ConnectAsync(Address(path), invoker, Soon));

        Assert.Contains("405", refused.Message, StringComparison.Ordinal);
        Assert.Empty(heads);
    }

    private static CancellationToken Soon => TestContext.Current.CancellationToken;

    private int Open => Volatile.Read(ref open);

    private int open;

    private Uri Address(string path) => new($"ws://{rig.Address.Authority}{path}");

    private ClientWebSocket Socket(int version)
    {
        ClientWebSocket socket = new();
        socket.Options.HttpVersion = version == 2 ? HttpVersion.Version20 : HttpVersion.Version11;
        socket.Options.HttpVersionPolicy = HttpVersionPolicy.RequestVersionExact;
        socket.Options.SetRequestHeader("Authorization", "Bearer " + rig.AdminToken);
        return socket;
    }

    private static async Task<byte[]> ReceiveAsync(WebSocket socket)
    {
        using MemoryStream got = new();
        byte[] block = new byte[64 * 1024];
        while (true)
        {
            WebSocketReceiveResult part = await socket.ReceiveAsync(block, Soon);
            got.Write(block, 0, part.Count);
            if (part.EndOfMessage)
            {
                return got.ToArray();
            }
        }
    }

    private async Task ServeAsync()
    {
        List<Task> exchanges = [];
        try
        {
            while (true)
            {
                exchanges.Add(ServeAsync(await program.AcceptTcpClientAsync(stop.Token)));
            }
        }
        catch (Exception error) when (error is OperationCanceledException or SocketException or ObjectDisposedException)
        {
            await Task.WhenAll(exchanges);
        }
    }

    private async Task ServeAsync(TcpClient accepted)
    {
        using TcpClient owned = accepted;
        NetworkStream stream = accepted.GetStream();
        try
        {
            if (await ReadHeadAsync(stream) is not { } head)
            {
                return;
            }

            lock (heads)
            {
                heads.Add(head);
            }

            Interlocked.Increment(ref open);
            try
            {
                await AnswerAsync(stream, head);
            }
            finally
            {
                Interlocked.Decrement(ref open);
            }
        }
        catch (Exception error) when (error is IOException or OperationCanceledException or WebSocketException)
        {
            // The caller has what it wanted.
        }
    }

    private async Task AnswerAsync(NetworkStream stream, string head)
    {
        string key = head.Split("Sec-WebSocket-Key: ")[1].Split("\r\n")[0] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
#pragma warning disable CA5350 // RFC 6455 says SHA-1.
        string accept = Convert.ToBase64String(SHA1.HashData(Encoding.ASCII.GetBytes(key)));
#pragma warning restore CA5350
        string chosen = head.Contains("Sec-WebSocket-Protocol", StringComparison.OrdinalIgnoreCase)
            ? "Sec-WebSocket-Protocol: chat\r\n"
            : "";
        string said = answer?.Invoke(accept)
            ?? $"HTTP/1.1 101 Yes\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{chosen}"
            + $"Sec-WebSocket-Accept: {accept}\r\n\r\n";
        await stream.WriteAsync(Encoding.ASCII.GetBytes(said), stop.Token);
        if (answer is not null)
        {
            await stream.CopyToAsync(Stream.Null, stop.Token);
            return;
        }

        using WebSocket socket = WebSocket.CreateFromStream(
            stream, new WebSocketCreationOptions { IsServer = true, SubProtocol = chosen.Length > 0 ? "chat" : null });
        byte[] block = new byte[64 * 1024];
        while (true)
        {
            WebSocketReceiveResult part = await socket.ReceiveAsync(block, stop.Token);
            if (part.MessageType == WebSocketMessageType.Close)
            {
                await socket.CloseAsync(WebSocketCloseStatus.NormalClosure, null, stop.Token);
                return;
            }

            await socket.SendAsync(block.AsMemory(0, part.Count), part.MessageType, part.EndOfMessage, stop.Token);
        }
    }

    /// <summary>Null where a connection was only tried.</summary>
    private async Task<string?> ReadHeadAsync(NetworkStream stream)
    {
        StringBuilder head = new();
        byte[] one = new byte[1];
        while (!head.ToString().EndsWith("\r\n\r\n", StringComparison.Ordinal))
        {
            if (await stream.ReadAsync(one, stop.Token) == 0)
            {
                return null;
            }

            head.Append((char)one[0]);
        }

        return head.ToString();
    }
}
