using System.IO.Pipelines;
using Berth.Server.Hosting;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.RunEndpoints;

/// <summary>An answer made of lines of a log: begun before the first of them, sent line by line while the log is
/// followed, and ended with whole lines when the server stops.</summary>
internal sealed class LogAnswer(HttpContext context, ServerLifetime lifetime)
{
    private const int FlushAt = 32 * 1024;

    /// <param name="lines">What is to be told; asked for with a token that ends with the caller and the server.</param>
    /// <param name="write">Puts one line into the answer, or leaves it out.</param>
    public async Task SendAsync<T>(
        string contentType, bool follow, Func<CancellationToken, IAsyncEnumerable<T>> lines,
        Action<PipeWriter, T> write)
    {
        context.Response.ContentType = contentType;
        context.Response.Headers.XContentTypeOptions = "nosniff";
        using CancellationTokenSource either =
            CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, lifetime.Stopping);
        PipeWriter writer = context.Response.BodyWriter;
        if (follow)
        {
            // So that the caller sees the answer begin before the first line. Else what keeps the first from coming is
            // the answer.
            await context.Response.StartAsync(context.RequestAborted);
            await writer.FlushAsync(context.RequestAborted);
        }

        try
        {
            await foreach (T line in lines(either.Token))
            {
                write(writer, line);
                if (follow || writer.UnflushedBytes >= FlushAt)
                {
                    await writer.FlushAsync(either.Token);
                }
            }
        }
        catch (OperationCanceledException) when (!context.RequestAborted.IsCancellationRequested)
        {
            // The server stops; what was sent is whole lines.
        }

        await writer.FlushAsync(context.RequestAborted);
    }
}
