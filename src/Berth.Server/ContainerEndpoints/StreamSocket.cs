using System.Buffers;
using System.Net.WebSockets;
using System.Text.Json;
using Berth.Api.Containers;
using Berth.Core.Errors;
using Berth.Server.Containers;

namespace Berth.Server.ContainerEndpoints;

/// <summary>The server's side of the connection of attach and exec; see <see cref="StreamProtocol"/>.</summary>
internal sealed class StreamSocket(WebSocket socket) : IDisposable
{
    private static readonly TimeSpan Farewell = TimeSpan.FromSeconds(5);

    private readonly SemaphoreSlim sending = new(1, 1);
    private readonly CancellationTokenSource abort = new();
    private readonly byte[] buffer = ArrayPool<byte>.Shared.Rent(StreamProtocol.MaxMessage);

    public async Task SendAsync(ProgramOutput piece, CancellationToken cancellationToken)
    {
        byte[] message = ArrayPool<byte>.Shared.Rent(piece.Bytes.Length + 1);
        try
        {
            message[0] = (byte)piece.Stream;
            piece.Bytes.CopyTo(message.AsMemory(1));
            await SendAsync(
                message.AsMemory(0, piece.Bytes.Length + 1), WebSocketMessageType.Binary, cancellationToken);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(message);
        }
    }

    public Task SendAsync(StreamMessage message, CancellationToken cancellationToken) => SendAsync(
        JsonSerializer.SerializeToUtf8Bytes(message, ContainerJson.Default.StreamMessage), WebSocketMessageType.Text,
        cancellationToken);

    public Task SendAsync(BerthException refusal, CancellationToken cancellationToken) => SendAsync(
        new StreamMessage(
            "error", Code: Api.Errors.ErrorCatalog.Find(refusal.Code).Code, Message: refusal.Message),
        cancellationToken);

    /// <summary>The next message; null once the other side has closed or gone. What is in it is good until the next
    /// call. Throws <c>InvalidRequest</c> for what is no message.</summary>
    public async Task<Received?> ReceiveAsync()
    {
        try
        {
            int length = 0;
            while (true)
            {
                ValueWebSocketReceiveResult part = await socket.ReceiveAsync(
                    buffer.AsMemory(length, StreamProtocol.MaxMessage - length), abort.Token);
                length += part.Count;
                if (part.MessageType == WebSocketMessageType.Close)
                {
                    return null;
                }

                if (part.EndOfMessage)
                {
                    return Read(part.MessageType, buffer.AsMemory(0, length));
                }

                if (length == StreamProtocol.MaxMessage)
                {
                    throw new BerthException(
                        ErrorCode.InvalidRequest, $"A message may have {StreamProtocol.MaxMessage} bytes.");
                }
            }
        }
        catch (Exception error) when (error is WebSocketException or OperationCanceledException)
        {
            return null;
        }
    }

    /// <summary>Ends in good order, as far as the other side lets it.</summary>
    /// <param name="receiving">Whoever reads its messages, until its farewell comes. A receive that was called off
    /// would break the connection, and what was sent last with it.</param>
    public async Task CloseAsync(Task receiving)
    {
        using CancellationTokenSource limit = new(Farewell);
        try
        {
            if (socket.State is WebSocketState.Open or WebSocketState.CloseReceived)
            {
                await socket.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, null, limit.Token);
            }
        }
        catch (Exception error) when (error is WebSocketException or OperationCanceledException)
        {
            // It has gone.
        }

        await receiving.WaitAsync(limit.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await abort.CancelAsync();
        await receiving;
    }

    public void Dispose()
    {
        abort.Dispose();
        ArrayPool<byte>.Shared.Return(buffer);
        sending.Dispose();
    }

    private static Received Read(WebSocketMessageType type, ReadOnlyMemory<byte> bytes)
    {
        if (type == WebSocketMessageType.Binary)
        {
            return !bytes.IsEmpty && bytes.Span[0] == StreamProtocol.Input
                ? new Received(null, bytes[1..])
                : throw new BerthException(
                    ErrorCode.InvalidRequest, "A binary message begins with a byte 0, for standard input.");
        }

        try
        {
            return new Received(
                JsonSerializer.Deserialize(bytes.Span, ContainerRequestJson.Default.StreamMessage), default);
        }
        catch (JsonException error)
        {
            throw new BerthException(
                ErrorCode.InvalidRequest, $"A text message is not the JSON it must be: {error.Message}", error);
        }
    }

    private async Task SendAsync(
        ReadOnlyMemory<byte> message, WebSocketMessageType type, CancellationToken cancellationToken)
    {
        await sending.WaitAsync(cancellationToken);
        // One that is called off half-way breaks the connection, and what was sent before with it.
        using CancellationTokenSource late = new();
        await using CancellationTokenRegistration calledOff = cancellationToken.Register(
            static state => ((CancellationTokenSource)state!).CancelAfter(Farewell), late);
        try
        {
            await socket.SendAsync(message, type, endOfMessage: true, late.Token);
        }
        catch (WebSocketException error)
        {
            throw new IOException("The other side has gone.", error);
        }
        finally
        {
            sending.Release();
        }
    }
}

/// <param name="Message">Null for input.</param>
internal readonly record struct Received(StreamMessage? Message, ReadOnlyMemory<byte> Input);
