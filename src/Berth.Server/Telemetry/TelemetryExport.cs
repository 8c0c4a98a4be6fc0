using System.Net.Http.Headers;
using System.Threading.Channels;
using Berth.Core.Runs;
using Berth.Server.Configuration;
using Berth.Server.Metrics;
using Berth.Server.Runs;
using Microsoft.Extensions.Logging;

namespace Berth.Server.Telemetry;

/// <summary>
/// Sends ended runs as spans, and the metrics, to a collector over OTLP/HTTP in JSON. Runs wait in a bounded queue that
/// no call waits for: what does not fit, and what the collector does not take at the second try, is counted and
/// forgotten.
/// </summary>
internal sealed class TelemetryExport : IRunObserver, IDisposable
{
    private const int QueueLimit = 8192;
    private const int BatchLimit = 512;

    /// <summary>Between the first span of a batch and its sending.</summary>
    private static readonly TimeSpan Gather = TimeSpan.FromSeconds(1);

    private static readonly TimeSpan RetryPause = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan AnswerLimit = TimeSpan.FromSeconds(10);

    private readonly ServerOptions options;
    private readonly TimeProvider time;
    private readonly ILogger logger;
    private readonly DateTimeOffset started;
    private readonly HttpClient? http;
    private readonly Channel<Run> queue = Channel.CreateBounded<Run>(
        new BoundedChannelOptions(QueueLimit) { SingleReader = true, FullMode = BoundedChannelFullMode.Wait });

    private long sent;
    private long dropped;
    private bool failing;

    public TelemetryExport(ServerOptions options, TimeProvider time, ILogger<TelemetryExport> logger)
    {
        this.options = options;
        this.time = time;
        this.logger = logger;
        started = time.GetUtcNow();
        if (options.OtlpEndpoint is not null)
        {
            http = new HttpClient(new SocketsHttpHandler { UseProxy = false, AllowAutoRedirect = false })
            {
                Timeout = Timeout.InfiniteTimeSpan,
            };
        }
    }

    /// <summary>Runs that the collector took.</summary>
    public long Sent => Interlocked.Read(ref sent);

    /// <summary>Runs that it will never be told of.</summary>
    public long Dropped => Interlocked.Read(ref dropped);

    public void Ended(Run run)
    {
        if (http is not null && !queue.Writer.TryWrite(run))
        {
            Interlocked.Increment(ref dropped);
        }
    }

    /// <summary>Sends until it is told to stop, and then what is left, once.</summary>
    public Task RunAsync(Func<CancellationToken, Task<MetricText>> metrics, CancellationToken stop) =>
        http is null ? Task.CompletedTask : Task.WhenAll(SendRunsAsync(stop), SendMetricsAsync(metrics, stop));

    public void Dispose() => http?.Dispose();

    private async Task SendRunsAsync(CancellationToken stop)
    {
        List<Run> batch = new(BatchLimit);
        while (!stop.IsCancellationRequested)
        {
            try
            {
                await queue.Reader.WaitToReadAsync(stop);
                await Task.Delay(Gather, time, stop);
            }
            catch (OperationCanceledException)
            {
                // The last ones go out below.
            }

            do
            {
                batch.Clear();
                while (batch.Count < BatchLimit && queue.Reader.TryRead(out Run? run))
                {
                    batch.Add(run);
                }

                if (batch.Count > 0)
                {
                    bool taken = await SendAsync(
                        "v1/traces", SpanDocument.Write(batch, options.NodeName), again: !stop.IsCancellationRequested);
                    Interlocked.Add(ref taken ? ref sent : ref dropped, batch.Count);
                }
            }
            while (batch.Count == BatchLimit);
        }
    }

    private async Task SendMetricsAsync(Func<CancellationToken, Task<MetricText>> metrics, CancellationToken stop)
    {
        using PeriodicTimer timer = new(options.OtlpInterval, time);
        try
        {
            while (await timer.WaitForNextTickAsync(stop))
            {
                await SendMetricsOnceAsync(metrics, stop);
            }
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            // The server stops.
        }
    }

    private async Task SendMetricsOnceAsync(
        Func<CancellationToken, Task<MetricText>> metrics, CancellationToken stop)
    {
        try
        {
            MetricText figures = await metrics(stop);
            byte[] message = MetricDocument.Write(figures, options.NodeName, started, time.GetUtcNow());
            await SendAsync("v1/metrics", message, again: false);
        }
        catch (Exception error) when (error is not OperationCanceledException)
        {
            Log.ExportFailed(logger, options.OtlpEndpoint!, error.Message);
        }
    }

    /// <summary>Whether the collector took it.</summary>
    private async Task<bool> SendAsync(string path, byte[] message, bool again)
    {
        string? failure = await TrySendAsync(path, message);
        if (failure is not null && again)
        {
            await Task.Delay(RetryPause, time, CancellationToken.None);
            failure = await TrySendAsync(path, message);
        }

        if (failure is not null && !failing)
        {
            // Once, and again when it has worked in between.
            Log.ExportFailed(logger, options.OtlpEndpoint!, failure);
        }

        failing = failure is not null;
        return failure is null;
    }

    private async Task<string?> TrySendAsync(string path, byte[] message)
    {
        using CancellationTokenSource limit = new(AnswerLimit, time);
        using HttpRequestMessage request = new(
            HttpMethod.Post, new Uri($"{options.OtlpEndpoint!.AbsoluteUri.TrimEnd('/')}/{path}"));
        request.Content = new ByteArrayContent(message);
        request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        foreach ((string name, string value) in options.OtlpHeaders)
        {
            request.Headers.TryAddWithoutValidation(name, value);
        }

        try
        {
            using HttpResponseMessage answer = await http!.SendAsync(
                request, HttpCompletionOption.ResponseHeadersRead, limit.Token);
            return answer.IsSuccessStatusCode ? null : $"it answered {(int)answer.StatusCode}";
        }
        catch (HttpRequestException error)
        {
            return error.Message;
        }
        catch (OperationCanceledException)
        {
            return $"it did not answer within {AnswerLimit.TotalSeconds:0} s";
        }
    }
}

/// <summary>Tells several of every ended run.</summary>
internal sealed class RunObservers(params IReadOnlyList<IRunObserver> all) : IRunObserver
{
    public void Ended(Run run)
    {
        foreach (IRunObserver observer in all)
        {
            observer.Ended(run);
        }
    }
}
