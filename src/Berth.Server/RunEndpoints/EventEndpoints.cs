using System.Buffers;
using System.Globalization;
using System.IO.Pipelines;
using System.Text;
using Berth.Api.Runs;
using Berth.Core.Errors;
using Berth.Core.Runs;
using Berth.Server.Hosting;
using Berth.Server.Runs;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.RunEndpoints;

/// <summary>
/// Events as they happen, in the format of server-sent events (HTML standard, section 9.2). A comment every few seconds
/// keeps the connection; a reader that comes back with Last-Event-ID gets what it missed of a run.
/// </summary>
internal sealed class EventEndpoints(IRunManager runs, ServerLifetime lifetime, TimeProvider time)
{
    private static readonly TimeSpan Heartbeat = TimeSpan.FromSeconds(15);

    public async Task OfRunAsync(HttpContext context)
    {
        RunId id = RunEndpoints.IdOf(context);
        _ = new QueryText(context.Request);
        string? last = context.Request.Headers["Last-Event-ID"];
        if (!long.TryParse(last ?? "0", NumberStyles.None, CultureInfo.InvariantCulture, out long after))
        {
            throw new BerthException(
                ErrorCode.InvalidRequest,
                $"The header Last-Event-ID = '{last}' can't be used: send the id of an event of this run.");
        }

        await runs.GetAsync(id, context.RequestAborted);
        await SendAsync(
            context, stop => runs.EventsAsync(id, after, stop), e => e.Sequence.ToString(CultureInfo.InvariantCulture));
    }

    public Task OfAllAsync(HttpContext context)
    {
        _ = new QueryText(context.Request);
        return SendAsync(
            context, runs.AllEventsAsync, e => string.Create(CultureInfo.InvariantCulture, $"{e.Run}:{e.Sequence}"));
    }

    private async Task SendAsync(
        HttpContext context, Func<CancellationToken, IAsyncEnumerable<RunEventView>> events,
        Func<RunEventView, string> idOf)
    {
        context.Response.ContentType = "text/event-stream";
        context.Response.Headers.CacheControl = "no-store";
        await context.Response.StartAsync(context.RequestAborted);
        PipeWriter writer = context.Response.BodyWriter;
        using CancellationTokenSource stop =
            CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, lifetime.Stopping);
        await using IAsyncEnumerator<RunEventView> source = events(stop.Token).GetAsyncEnumerator(stop.Token);
        Task<bool> next = source.MoveNextAsync().AsTask();
        try
        {
            writer.Write(": open\n\n"u8);
            await writer.FlushAsync(stop.Token);
            while (await WaitAsync(next, writer, stop.Token))
            {
                Write(writer, source.Current, idOf(source.Current));
                await writer.FlushAsync(stop.Token);
                next = source.MoveNextAsync().AsTask();
            }
        }
        catch (OperationCanceledException) when (!context.RequestAborted.IsCancellationRequested)
        {
            // The server stops: the stream ends, and the reader comes back by itself.
        }
        finally
        {
            // An iterator must not be disposed in the middle of a step.
            await stop.CancelAsync();
            await ((Task)next).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    /// <summary>Waits for the next event, with a comment whenever nothing happened for a while.</summary>
    private async Task<bool> WaitAsync(Task<bool> next, PipeWriter writer, CancellationToken stop)
    {
        while (!next.IsCompleted)
        {
            using CancellationTokenSource done = CancellationTokenSource.CreateLinkedTokenSource(stop);
            Task beat = Task.Delay(Heartbeat, time, done.Token);
            if (await Task.WhenAny(next, beat) == beat && !stop.IsCancellationRequested)
            {
                writer.Write(": still here\n\n"u8);
                await writer.FlushAsync(stop);
            }
            else
            {
                await done.CancelAsync();
                break;
            }
        }

        return await next;
    }

    private static void Write(PipeWriter writer, RunEventView view, string id)
    {
        writer.Write(Encoding.ASCII.GetBytes($"id: {id}\nevent: {view.Type}\ndata: "));
        writer.Write(JsonText.Of(view, RunJson.Default.RunEventView).Span);
        writer.Write("\n\n"u8);
    }
}
