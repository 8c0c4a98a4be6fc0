using System.IO.Pipelines;
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

    public async Task HandleAsync(HttpContext context)
    {
        RunId id = RunEndpoints.IdOf(context);
        QueryText query = new(context.Request, "follow", "tail", "since", "timestamps");
        LogQuery wanted = LogText.QueryOf(query, time);
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
                LogText.Write(writer, line, within, timestamps);
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
}
