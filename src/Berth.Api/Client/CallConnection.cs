using System.Buffers;
using System.Globalization;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Text;
using Berth.Core.Errors;

namespace Berth.Api.Client;

/// <summary>
/// One HTTP/1.1 exchange that is read while it is still being written. HttpClient holds an HTTP/1.1 answer back until
/// the whole request is sent, which deadlocks with any program that writes before it has read all; hence this. One
/// exchange to a connection; disposing it closes the connection, which tells the server that the caller is gone.
/// </summary>
internal sealed class CallConnection : IAsyncDisposable
{
    public static readonly TimeSpan ConnectTimeout = TimeSpan.FromSeconds(10);

    /// <summary>Kestrel's own limits on an answer's head are far below.</summary>
    private const int MaxHeadBytes = 64 * 1024;

    private const int BufferSize = 64 * 1024;

    private readonly Stream stream;
    private readonly CancellationTokenSource sendingEnds = new();
    private readonly byte[] buffer = new byte[BufferSize];
    private int start;
    private int end;
    private bool disposed;
    private Task sending = Task.CompletedTask;

    private CallConnection(Stream stream) => this.stream = stream;

    public static async Task<CallConnection> OpenAsync(Uri address, CancellationToken cancellationToken)
    {
        using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(ConnectTimeout);
        Socket socket = new(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(address.DnsSafeHost, address.Port, limit.Token);
            Stream stream = new NetworkStream(socket, ownsSocket: true);
            if (address.Scheme == Uri.UriSchemeHttps)
            {
                SslStream secure = new(stream);
                await secure.AuthenticateAsClientAsync(
                    new SslClientAuthenticationOptions { TargetHost = address.DnsSafeHost }, limit.Token);
                stream = secure;
            }

            return new CallConnection(stream);
        }
        catch (AuthenticationException e)
        {
            socket.Dispose();
            throw new IOException("the certificate is not trusted", e);
        }
        catch (OperationCanceledException e) when (!cancellationToken.IsCancellationRequested)
        {
            socket.Dispose();
            throw new IOException($"no connection within {ConnectTimeout.TotalSeconds} s", e);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>Sends the head and begins to send the body, which goes on in the background.</summary>
    /// <param name="head">Request line and headers without the body's length, each line ended by CR LF.</param>
    /// <param name="input">Read to its end, never disposed; null for no body.</param>
    public async Task SendAsync(string head, Stream? input, CancellationToken cancellationToken)
    {
        long? length = input switch
        {
            null => 0,
            { CanSeek: true } => input.Length - input.Position,
            _ => null,
        };
        string framing = length is null
            ? "Transfer-Encoding: chunked\r\n\r\n"
            : string.Create(CultureInfo.InvariantCulture, $"Content-Length: {length}\r\n\r\n");
        await stream.WriteAsync(Encoding.ASCII.GetBytes(head + framing), cancellationToken);
        if (input is not null && length != 0)
        {
            sending = SendBodyAsync(input, chunked: length is null, sendingEnds.Token);
        }
    }

    /// <summary>Reads status and headers; interim answers (1xx) are passed over.</summary>
    public async Task<ResponseHead> ReadHeadAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            List<string> lines = [];
            for (int bytes = 0; await ReadLineAsync(cancellationToken) is { Length: > 0 } line; lines.Add(line))
            {
                bytes += line.Length;
                if (bytes > MaxHeadBytes)
                {
                    throw new IOException("The server's answer has a head that is too long.");
                }
            }

            ResponseHead head = ResponseHead.Parse(lines);
            if (head.Status >= 200)
            {
                return head;
            }
        }
    }

    /// <summary>Reads one line without its line break.</summary>
    public async Task<string> ReadLineAsync(CancellationToken cancellationToken)
    {
        StringBuilder line = new();
        while (true)
        {
            if (start == end && !await FillAsync(cancellationToken))
            {
                throw new IOException("The server closed the connection in the middle of its answer.");
            }

            int at = buffer.AsSpan(start, end - start).IndexOf((byte)'\n');
            int take = at < 0 ? end - start : at + 1;
            line.Append(Encoding.Latin1.GetString(buffer, start, take));
            start += take;
            if (at >= 0)
            {
                return line.ToString().TrimEnd('\n').TrimEnd('\r');
            }

            if (line.Length > MaxHeadBytes)
            {
                throw new IOException("The server's answer has a line that is too long.");
            }
        }
    }

    /// <summary>Reads bytes of the body as they stand on the wire; 0 at the connection's end.</summary>
    public async ValueTask<int> ReadAsync(Memory<byte> target, CancellationToken cancellationToken)
    {
        if (start == end)
        {
            return await stream.ReadAsync(target, cancellationToken);
        }

        int take = Math.Min(end - start, target.Length);
        buffer.AsMemory(start, take).CopyTo(target);
        start += take;
        return take;
    }

    public async ValueTask DisposeAsync()
    {
        if (disposed)
        {
            return;
        }

        disposed = true;
        // A program may end without having read its input; nobody waits for the rest of it.
        await sendingEnds.CancelAsync();
        await stream.DisposeAsync();
        sendingEnds.Dispose();
    }

    /// <summary>The fault of the input itself (not of the connection), if it had one.</summary>
    public Exception? InputFault { get; private set; }

    private async Task SendBodyAsync(Stream input, bool chunked, CancellationToken cancellationToken)
    {
        const int headroom = 10;
        byte[] block = ArrayPool<byte>.Shared.Rent(BufferSize + headroom + 2);
        try
        {
            while (true)
            {
                int read;
                try
                {
                    read = await input.ReadAsync(block.AsMemory(headroom, BufferSize), cancellationToken);
                }
                catch (Exception e) when (e is IOException or UnauthorizedAccessException)
                {
                    InputFault = e;
                    await stream.DisposeAsync();
                    return;
                }

                if (read == 0)
                {
                    break;
                }

                await stream.WriteAsync(
                    chunked ? Frame(block, headroom, read) : block.AsMemory(headroom, read), cancellationToken);
            }

            if (chunked)
            {
                await stream.WriteAsync("0\r\n\r\n"u8.ToArray(), cancellationToken);
            }
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException or OperationCanceledException)
        {
            // The answer says what happened; a server may well answer before it has taken everything.
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(block);
        }
    }

    private static Memory<byte> Frame(byte[] block, int headroom, int length)
    {
        byte[] size = Encoding.ASCII.GetBytes(length.ToString("x", CultureInfo.InvariantCulture) + "\r\n");
        size.CopyTo(block, headroom - size.Length);
        block[headroom + length] = (byte)'\r';
        block[headroom + length + 1] = (byte)'\n';
        return block.AsMemory(headroom - size.Length, size.Length + length + 2);
    }

    private async ValueTask<bool> FillAsync(CancellationToken cancellationToken)
    {
        start = 0;
        end = await stream.ReadAsync(buffer, cancellationToken);
        return end > 0;
    }
}

/// <summary>Status and headers of an answer; of a repeated header the last counts.</summary>
internal sealed record ResponseHead(int Status, IReadOnlyDictionary<string, string> Headers)
{
    public string? this[string name] => Headers.GetValueOrDefault(name);

    public static ResponseHead Parse(List<string> lines)
    {
        // "HTTP/1.1 200 OK"
        if (lines.Count == 0 || !lines[0].StartsWith("HTTP/1.", StringComparison.Ordinal) || lines[0].Length < 12
            || !int.TryParse(lines[0].AsSpan(9, 3), NumberStyles.None, CultureInfo.InvariantCulture, out int status))
        {
            throw new BerthException(
                ErrorCode.Upstream, "The answer is not HTTP: is this the address of a Berth server?");
        }

        return new ResponseHead(status, ParseFields(lines.Skip(1)));
    }

    public static Dictionary<string, string> ParseFields(IEnumerable<string> lines)
    {
        Dictionary<string, string> fields = new(StringComparer.OrdinalIgnoreCase);
        foreach (string line in lines)
        {
            int colon = line.IndexOf(':', StringComparison.Ordinal);
            if (colon > 0)
            {
                fields[line[..colon]] = line[(colon + 1)..].Trim();
            }
        }

        return fields;
    }
}
