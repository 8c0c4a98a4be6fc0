using System.Text;
using Berth.Api.Nodes;
using Berth.Core.Containers;
using Berth.Core.Errors;
using Berth.Server.Nodes;

namespace Berth.Server.Containers;

/// <summary>Runs a container's health check from time to time for as long as its program runs.</summary>
internal sealed class HealthWatch(ContainerEntry entry, LiveContainer live, HealthCheck check, TimeProvider time)
{
    private const int Kept = 5;
    private const int MostOutput = 4096;

    private readonly Queue<HealthResult> results = new();
    private readonly long begun = time.GetTimestamp();

    /// <summary>Completes with the program. Never faults.</summary>
    public async Task RunAsync()
    {
        entry.Health = new HealthReport(HealthStatus.Starting, 0, []);
        HealthStatus status = HealthStatus.Starting;
        int failures = 0;
        while (await StillRunsAfterAsync(check.Interval))
        {
            if (entry.Record.State != ContainerState.Running || live.Attempt is RemoteContainer { LostAt: not null })
            {
                // What stands still, or can't be reached, answers nothing, and that says nothing about it.
                continue;
            }

            HealthResult result = await CheckAsync();
            if (live.Attempt.Completion.IsCompleted)
            {
                return;
            }

            bool grace = status == HealthStatus.Starting && time.GetElapsedTime(begun) < check.StartPeriod;
            failures = result.ExitCode == 0 ? 0 : grace ? failures : failures + 1;
            status = result.ExitCode == 0 ? HealthStatus.Healthy
                : failures >= check.Retries ? HealthStatus.Unhealthy
                : status;
            results.Enqueue(result);
            if (results.Count > Kept)
            {
                results.Dequeue();
            }

            entry.Health = new HealthReport(status, failures, [.. results]);
            entry.Become(entry.Record);
        }
    }

    private async Task<bool> StillRunsAfterAsync(TimeSpan interval)
    {
        using CancellationTokenSource over = new();
        Task ended = live.Attempt.Completion;
        bool runs = await Task.WhenAny(ended, Task.Delay(interval, time, over.Token)) != ended;
        await over.CancelAsync();
        return runs;
    }

    private async Task<HealthResult> CheckAsync()
    {
        DateTimeOffset at = time.GetUtcNow();
        long from = time.GetTimestamp();
        using CancellationTokenSource limit = new(check.Timeout, time);
        using MemoryStream output = new();
        try
        {
            ExecutionSpec spec = new(check.Command, new Dictionary<string, string>(), null, null, null);
            await using IExecution execution = await live.Attempt.ExecuteAsync(spec, limit.Token);
            await execution.Input.DisposeAsync();
            await Task.WhenAll(
                KeepAsync(execution.Output, output, limit.Token), KeepAsync(execution.Error, output, limit.Token));
            ExecutionEnd end = await execution.Completion.WaitAsync(limit.Token);
            return Result(end.ExitCode ?? 128 + (end.Signal ?? 0), Text(output));
        }
        catch (OperationCanceledException)
        {
            return Result(
                null, $"It did not end within {Core.Runs.RunSentences.Span(check.Timeout)}. {Text(output)}".TrimEnd());
        }
        catch (Exception error) when (error is BerthException or IOException)
        {
            return Result(null, error.Message);
        }

        HealthResult Result(int? exitCode, string text) => new(at, time.GetElapsedTime(from), exitCode, text);
    }

    private static async Task KeepAsync(Stream source, MemoryStream target, CancellationToken cancellationToken)
    {
        byte[] buffer = new byte[1024];
        int count;
        while ((count = await source.ReadAsync(buffer, cancellationToken)) > 0)
        {
            lock (target)
            {
                target.Write(buffer.AsSpan(0, (int)Math.Min(count, MostOutput - target.Length)));
            }
        }
    }

    private static string Text(MemoryStream output)
    {
        lock (output)
        {
            return Encoding.UTF8.GetString(output.GetBuffer().AsSpan(0, (int)output.Length));
        }
    }
}
