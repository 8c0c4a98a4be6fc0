using System.Buffers;
using System.Net.WebSockets;
using System.Text.Json;
using Berth.Api.Containers;
using Berth.Api.Errors;
using Berth.Core.Errors;

namespace Berth.Api.Client;

/// <summary>A piece of what a program wrote.</summary>
/// <param name="Stream"><see cref="StreamProtocol.Output"/> or <see cref="StreamProtocol.Error"/>.</param>
/// <param name="Bytes">Good until the next one is read.</param>
public readonly record struct ProgramPiece(byte Stream, ReadOnlyMemory<byte> Bytes);

/// <summary>
/// A program's streams: what it writes comes in pieces, what it is sent goes out as it is given. Disposing it leaves a
/// container's program running and ends one that was started by it. Reading and writing may go on at once.
/// </summary>
public sealed class ProgramConnection : IAsyncDisposable
{
    private static readonly TimeSpan Farewell = TimeSpan.FromSeconds(2);

    private readonly ClientWebSocket socket;
    private readonly SemaphoreSlim sending = new(1, 1);
    private readonly byte[] buffer = ArrayPool<byte>.Shared.Rent(StreamProtocol.MaxMessage);

    private ProgramConnection(ClientWebSocket socket) => this.socket = socket;

    /// <summary>How it ended, as a shell tells it; null while it runs, and where the connection ended before.</summary>
    public int? ExitCode { get; private set; }

    /// <summary>Why it ended, where there is something to say.</summary>
    public string? Message { get; private set; }

    /// <param name="start">Sent first, where the address wants it.</param>
    internal static async Task<ProgramConnection> OpenAsync(
        ApiExchange exchange, string path, StreamMessage? start, CancellationToken cancellationToken)
    {
        ClientWebSocket socket = new();
        socket.Options.AddSubProtocol(StreamProtocol.Name);
        socket.Options.Proxy = null;
        socket.Options.CollectHttpResponseDetails = true;
        socket.Options.SetRequestHeader("User-Agent", ApiExchange.UserAgent);
        if (exchange.Token is { } token)
        {
            socket.Options.SetRequestHeader("Authorization", "Bearer " + token);
        }

        ProgramConnection connection = new(socket);
        try
        {
            UriBuilder target = new(exchange.UriOf(path));
            target.Scheme = target.Scheme == Uri.UriSchemeHttps ? Uri.UriSchemeWss : Uri.UriSchemeWs;
            await ConnectAsync(exchange, socket, target.Uri, path, cancellationToken);
            if (start is not null)
            {
                await connection.SendAsync(start, cancellationToken);
            }

            await connection.AwaitStartAsync(cancellationToken);
            return connection;
        }
        catch
        {
            await connection.DisposeAsync();
            throw;
        }
    }

    /// <summary>The next piece; null at the program's end, when <see cref="ExitCode"/> is known. Throws BerthException
    /// for what the server refuses, IOException where the connection breaks.</summary>
    public async ValueTask<ProgramPiece?> ReadAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            (WebSocketMessageType type, ReadOnlyMemory<byte> bytes) = await ReceiveAsync(cancellationToken);
            switch (type)
            {
                case WebSocketMessageType.Binary when !bytes.IsEmpty:
                    return new ProgramPiece(bytes.Span[0], bytes[1..]);
                case WebSocketMessageType.Text:
                    StreamMessage message = Read(bytes);
                    if (message.Type == "exit")
                    {
                        ExitCode = message.ExitCode;
                        Message = message.Message;
                        return null;
                    }

                    break;
                case WebSocketMessageType.Close:
                    return null;
            }
        }
    }

    public async Task WriteAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
    {
        byte[] message = ArrayPool<byte>.Shared.Rent(bytes.Length + 1);
        try
        {
            message[0] = StreamProtocol.Input;
            bytes.CopyTo(message.AsMemory(1));
            await SendAsync(
                message.AsMemory(0, bytes.Length + 1), WebSocketMessageType.Binary, cancellationToken);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(message);
        }
    }

    public Task EndInputAsync(CancellationToken cancellationToken) =>
        SendAsync(new StreamMessage("end_of_input"), cancellationToken);

    public Task ResizeAsync(ushort rows, ushort columns, CancellationToken cancellationToken) =>
        SendAsync(new StreamMessage("resize", Rows: rows, Columns: columns), cancellationToken);

    /// <summary>Leaves a program running that this connection started. The server closes the connection then.</summary>
    public Task DetachAsync(CancellationToken cancellationToken) =>
        SendAsync(new StreamMessage("detach"), cancellationToken);

    /// <param name="signal">Name or number.</param>
    public Task SignalAsync(string signal, CancellationToken cancellationToken) =>
        SendAsync(new StreamMessage("signal", Signal: signal), cancellationToken);

    public async ValueTask DisposeAsync()
    {
        if (socket.State == WebSocketState.Open)
        {
            using CancellationTokenSource limit = new(Farewell);
            try
            {
                await socket.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, null, limit.Token);
            }
            catch (Exception e) when (e is WebSocketException or OperationCanceledException)
            {
                // It has gone.
            }
        }

        socket.Dispose();
        ArrayPool<byte>.Shared.Return(buffer);
    }

    private static async Task ConnectAsync(
        ApiExchange exchange, ClientWebSocket socket, Uri target, string path, CancellationToken cancellationToken)
    {
        try
        {
            using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            limit.CancelAfter(CallConnection.ConnectTimeout);
            await socket.ConnectAsync(target, limit.Token);
        }
        catch (WebSocketException e) when ((int)socket.HttpStatusCode >= 400)
        {
            // Why is in the body, which a WebSocket client does not read: asked again without the upgrade, it comes.
            using HttpRequestMessage again = new(HttpMethod.Get, exchange.UriOf(path));
            using HttpResponseMessage _ = await exchange.OpenAsync(again, cancellationToken);
            throw exchange.Unreachable(e);
        }
        catch (Exception e) when (
            e is WebSocketException || (e is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            throw exchange.Unreachable(e);
        }
    }

    private async Task AwaitStartAsync(CancellationToken cancellationToken)
    {
        (WebSocketMessageType type, ReadOnlyMemory<byte> bytes) = await ReceiveAsync(cancellationToken);
        if (type != WebSocketMessageType.Text || Read(bytes).Type != "started")
        {
            throw new BerthException(ErrorCode.Upstream, "The server's answer is not what was asked for.");
        }
    }

    /// <summary>Throws where the message is a refusal.</summary>
    private static StreamMessage Read(ReadOnlyMemory<byte> bytes)
    {
        StreamMessage message = JsonSerializer.Deserialize(bytes.Span, ContainerJson.Default.StreamMessage)
            ?? throw new BerthException(ErrorCode.Upstream, "The server sent an empty message.");
        return message.Type == "error"
            ? throw new BerthException(
                ErrorCatalog.Find(message.Code ?? "").Error, message.Message ?? "The server refused.")
            : message;
    }

    private async ValueTask<(WebSocketMessageType, ReadOnlyMemory<byte>)> ReceiveAsync(
        CancellationToken cancellationToken)
    {
        try
        {
            int length = 0;
            while (true)
            {
                ValueWebSocketReceiveResult part = await socket.ReceiveAsync(
                    buffer.AsMemory(length), cancellationToken);
                length += part.Count;
                if (part.EndOfMessage || length == buffer.Length)
                {
                    return (part.MessageType, buffer.AsMemory(0, length));
                }
            }
        }
        catch (WebSocketException e)
        {
            throw new IOException("The connection to the server broke off.", e);
        }
    }

    private Task SendAsync(StreamMessage message, CancellationToken cancellationToken) => SendAsync(
        JsonSerializer.SerializeToUtf8Bytes(message, ContainerJson.Default.StreamMessage), WebSocketMessageType.Text,
        cancellationToken);

    private async Task SendAsync(
        ReadOnlyMemory<byte> message, WebSocketMessageType type, CancellationToken cancellationToken)
    {
        await sending.WaitAsync(cancellationToken);
        try
        {
            await socket.SendAsync(message, type, endOfMessage: true, cancellationToken);
        }
        catch (Exception e) when (e is WebSocketException or ObjectDisposedException or InvalidOperationException)
        {
            throw new IOException("The connection to the server broke off.", e);
        }
        finally
        {
            sending.Release();
        }
    }
}
