using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Berth.Tests.Functions;

/// <summary>A request as a program got it.</summary>
internal sealed record PlayedRequest(string Line, IReadOnlyDictionary<string, string> Headers, string Body);

/// <summary>A program that serves HTTP, played by the test: listens on a port of this machine, where the node in memory
/// finds it, and says what it is told to. Nothing is answered where the script gives null: the connection is closed.
/// </summary>
internal sealed class PlayedService : IAsyncDisposable
{
    private readonly TcpListener listener = new(IPAddress.Loopback, 0);
    private readonly Func<PlayedRequest, CancellationToken, Task<string?>> script;
    private readonly CancellationTokenSource stop = new();
    private readonly ConcurrentBag<Task> exchanges = [];
    private readonly ConcurrentQueue<PlayedRequest> requests = new();
    private readonly Task accepting;
    private int brokenOff;

    public PlayedService(Func<PlayedRequest, CancellationToken, Task<string?>> script)
    {
        this.script = script;
        listener.Start();
        accepting = AcceptAsync();
    }

    public int Port => ((IPEndPoint)listener.LocalEndpoint).Port;

    /// <summary>Whether it takes the bodies of requests; one that does not answers at once and keeps the connection.
    /// </summary>
    public bool ReadsBodies { get; init; } = true;

    /// <summary>Whether a connection is there for the next request after an answer.</summary>
    public bool KeepsConnections { get; init; }

    /// <summary>In the order in which they came.</summary>
    public IReadOnlyList<PlayedRequest> Requests => [.. requests];

    /// <summary>How often the caller broke off while the script was at work.</summary>
    public int BrokenOff => Volatile.Read(ref brokenOff);

    /// <summary>Answers each request with this text, once that is done.</summary>
    public static PlayedService After(Task done, string text) => new(async (_, token) =>
    {
        await done.WaitAsync(token);
        return Answer(200, text);
    });

    public static string Answer(int status, string body, string more = "") => string.Create(
        CultureInfo.InvariantCulture,
        $"HTTP/1.1 {status} Said\r\nContent-Length: {Encoding.UTF8.GetByteCount(body)}\r\n{more}\r\n{body}");

    public async ValueTask DisposeAsync()
    {
        await stop.CancelAsync();
        listener.Dispose();
        await accepting;
        await Task.WhenAll(exchanges);
        stop.Dispose();
    }

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                exchanges.Add(ServeAsync(await listener.AcceptTcpClientAsync(stop.Token)));
            }
        }
        catch (Exception error) when (error is OperationCanceledException or SocketException or ObjectDisposedException)
        {
            // The end.
        }
    }

    private async Task ServeAsync(TcpClient client)
    {
        using TcpClient owned = client;
        using CancellationTokenSource gone = CancellationTokenSource.CreateLinkedTokenSource(stop.Token);
        try
        {
            NetworkStream stream = client.GetStream();
            if (KeepsConnections)
            {
                await ServeEachAsync(stream);
                return;
            }

            if (await ReadAsync(stream) is not { } request)
            {
                return;
            }

            requests.Enqueue(request);
            Task<string?> answering = script(request, gone.Token);
            if (!ReadsBodies)
            {
                await stream.WriteAsync(Encoding.UTF8.GetBytes((await answering)!), stop.Token);
                await Task.Delay(Timeout.InfiniteTimeSpan, stop.Token);
            }

            byte[] more = new byte[1];
            Task<int> left = stream.ReadAsync(more, gone.Token).AsTask();
            if (await Task.WhenAny(answering, left) == left)
            {
                Interlocked.Increment(ref brokenOff);
                await gone.CancelAsync();
            }
            else if (await answering is { } answer)
            {
                await stream.WriteAsync(Encoding.UTF8.GetBytes(answer), stop.Token);
            }
        }
        catch (Exception error) when (error is IOException or OperationCanceledException)
        {
            // The caller has what it wanted.
        }
    }

    /// <summary>One request after the other, until there is no answer or no more comes.</summary>
    private async Task ServeEachAsync(NetworkStream stream)
    {
        while (await ReadAsync(stream) is { } request)
        {
            requests.Enqueue(request);
            if (await script(request, stop.Token) is not { } answer)
            {
                return;
            }

            await stream.WriteAsync(Encoding.UTF8.GetBytes(answer), stop.Token);
        }
    }

    /// <summary>Null where a connection was only tried.</summary>
    private async Task<PlayedRequest?> ReadAsync(NetworkStream stream)
    {
        byte[] block = new byte[64 * 1024];
        List<byte> got = [];
        int end;
        while ((end = Encoding.Latin1.GetString([.. got]).IndexOf("\r\n\r\n", StringComparison.Ordinal)) < 0)
        {
            int count = await stream.ReadAsync(block, stop.Token);
            if (count == 0)
            {
                return null;
            }

            got.AddRange(block.AsSpan(0, count));
        }

        string[] lines = Encoding.Latin1.GetString([.. got[..end]]).Split("\r\n");
        Dictionary<string, string> headers = lines.Skip(1).Select(l => l.Split(": ", 2))
            .ToDictionary(h => h[0], h => h[1], StringComparer.OrdinalIgnoreCase);
        long length = headers.TryGetValue("Content-Length", out string? text)
            ? long.Parse(text, CultureInfo.InvariantCulture)
            : 0;
        List<byte> body = got[(end + 4)..];
        while (ReadsBodies && body.Count < length)
        {
            int count = await stream.ReadAsync(block, stop.Token);
            if (count == 0)
            {
                break;
            }

            body.AddRange(block.AsSpan(0, count));
        }

        return new PlayedRequest(lines[0], headers, Encoding.UTF8.GetString([.. body]));
    }
}
