using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>Takes callbacks as a program of somebody else's would; the first answers can be held back.</summary>
internal sealed class CallbackReceiver : IAsyncDisposable
{
    private readonly TcpListener listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource stop = new();
    private readonly TaskCompletionSource answering = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Task accepting;

    public CallbackReceiver()
    {
        listener.Start();
        accepting = AcceptAsync();
    }

    public Uri Address => new($"http://127.0.0.1:{((IPEndPoint)listener.LocalEndpoint).Port}/told");

    /// <summary>Every delivery: its idempotency key and its body.</summary>
    public ConcurrentQueue<(string Key, string Body)> Deliveries { get; } = new();

    /// <summary>Whether the first delivery of each key is answered with an error.</summary>
    public bool RefusesFirst { get; init; }

    /// <summary>From now on deliveries are answered; before, they are only read.</summary>
    public void BeginAnswering() => answering.TrySetResult();

    public async ValueTask DisposeAsync()
    {
        await stop.CancelAsync();
        listener.Stop();
        await accepting;
        stop.Dispose();
    }

    private async Task AcceptAsync()
    {
        List<Task> open = [];
        try
        {
            while (true)
            {
                open.Add(ServeAsync(await listener.AcceptTcpClientAsync(stop.Token)));
            }
        }
        catch (OperationCanceledException)
        {
            // The end.
        }

        await Task.WhenAll(open);
    }

    private async Task ServeAsync(TcpClient client)
    {
        try
        {
            using (client)
            {
                await using NetworkStream stream = client.GetStream();
                using StreamReader reader = new(stream, Encoding.UTF8);
                while (await ReadAsync(reader) is { } delivery)
                {
                    bool refused = RefusesFirst && Deliveries.All(d => d.Key != delivery.Key);
                    Deliveries.Enqueue(delivery);
                    await answering.Task.WaitAsync(stop.Token);
                    string status = refused ? "503 Service Unavailable" : "200 OK";
                    await stream.WriteAsync(
                        Encoding.ASCII.GetBytes($"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n"), stop.Token);
                }
            }
        }
        catch (Exception error) when (error is IOException or OperationCanceledException)
        {
            // The server was killed, or the test is over.
        }
    }

    private async Task<(string Key, string Body)?> ReadAsync(StreamReader reader)
    {
        string key = "";
        int length = 0;
        string? line = await reader.ReadLineAsync(stop.Token);
        if (line is null)
        {
            return null;
        }

        while ((line = await reader.ReadLineAsync(stop.Token)) is { Length: > 0 })
        {
            string value = line[(line.IndexOf(':', StringComparison.Ordinal) + 1)..].Trim();
            key = line.StartsWith("Idempotency-Key:", StringComparison.OrdinalIgnoreCase) ? value : key;
            length = line.StartsWith("Content-Length:", StringComparison.OrdinalIgnoreCase) ? int.Parse(value) : length;
        }

        char[] body = new char[length];
        await reader.ReadBlockAsync(body, stop.Token);
        return (key, new string(body));
    }
}
