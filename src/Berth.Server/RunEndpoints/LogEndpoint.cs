using System.Buffers;
using System.Globalization;
using System.IO.Pipelines;
using System.Text;
using Berth.Core.Runs;
using Berth.Server.Hosting;
using Berth.Server.Logs;
using Berth.Server.Runs;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.RunEndpoints;

/// <summary>Sends a run's standard error as text, line by line, on request until the run has ended.</summary>
internal sealed class LogEndpoint(IRunManager runs, ServerLifetime lifetime, TimeProvider time)
{
    private const int FlushAt = 32 * 1024;
    private static readonly TimeSpan LongAgo = TimeSpan.FromDays(3650);

    public async Task HandleAsync(HttpContext context)
    {
        RunId id = RunEndpoints.IdOf(context);
        QueryText query = new(context.Request, "follow", "tail", "since", "timestamps");
        int tail = query.Number("tail", 0, 1_000_000, -1);
        LogQuery wanted = new(query.Switch("follow"), tail < 0 ? null : tail, Since(query));
        bool timestamps = query.Switch("timestamps");

        // A run that isn't there must be told before the answer begins.
        await runs.GetAsync(id, context.RequestAborted);
        context.Response.ContentType = "text/plain; charset=utf-8";
        await context.Response.StartAsync(context.RequestAborted);
        using CancellationTokenSource either =
            CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, lifetime.Stopping);
        PipeWriter writer = context.Response.BodyWriter;
        if (wanted.Follow)
        {
            // So that the caller sees the answer begin before the first line.
            await writer.FlushAsync(context.RequestAborted);
        }

        try
        {
            bool within = false;
            await foreach (LogLine line in runs.LogsAsync(id, wanted, either.Token))
            {
                Write(writer, line, within, timestamps);
                within = line.Partial;
                if (wanted.Follow || writer.UnflushedBytes >= FlushAt)
                {
                    await writer.FlushAsync(either.Token);
                }
            }
        }
        catch (OperationCanceledException) when (!context.RequestAborted.IsCancellationRequested)
        {
            // The server stops; the text so far is whole lines.
        }

        await writer.FlushAsync(context.RequestAborted);
    }

    private DateTimeOffset? Since(QueryText query)
    {
        if (query.Find("since") is not { } text)
        {
            return null;
        }

        if (DateTimeOffset.TryParse(
            text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out DateTimeOffset at))
        {
            return at;
        }

        return Core.Resources.Duration.TryParse(text, out TimeSpan ago) && ago <= LongAgo
            ? time.GetUtcNow() - ago
            : throw QueryText.Refuse(
                "since", text, "expected a time such as 2026-01-31T12:00:00Z or a length of time such as 10m");
    }

    /// <param name="within">Whether what was written last goes on here.</param>
    private static void Write(PipeWriter writer, LogLine line, bool within, bool timestamps)
    {
        if (line.Gap > 0)
        {
            writer.Write(Encoding.ASCII.GetBytes(
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"{(within ? "\n" : "")}[{line.Gap} bytes left out: the log had reached its limit]\n")));
            within = false;
        }

        if (timestamps && !within)
        {
            writer.Write(Encoding.ASCII.GetBytes(
                line.At.UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ss.fffZ ", CultureInfo.InvariantCulture)));
        }

        writer.Write(line.Text.Span);
        if (!line.Partial)
        {
            writer.Write("\n"u8);
        }
    }
}
