using System.Buffers;
using System.Buffers.Binary;
using System.IO.Pipelines;
using Berth.Api.Containers;
using Berth.Server.Containers;
using Berth.Server.Hosting;
using Berth.Server.Logs;
using Berth.Server.RunEndpoints;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.ContainerEndpoints;

/// <summary>Sends what a container wrote: as text, or framed so that its two streams can be told apart.</summary>
internal sealed class ContainerLogEndpoint(ContainerManager containers, ServerLifetime lifetime, TimeProvider time)
{
    private const int FlushAt = 32 * 1024;

    public async Task HandleAsync(HttpContext context)
    {
        ContainerEntry entry = containers.Find(ContainerEndpoints.ReferenceOf(context));
        QueryText query = new(context.Request, "follow", "tail", "since", "timestamps", "stream");
        LogQuery wanted = LogText.QueryOf(query, time);
        bool timestamps = query.Switch("timestamps");
        LogStream? only = StreamOf(query);
        bool framed = context.Request.Headers.Accept.ToString().Contains(
            StreamProtocol.FramedLog, StringComparison.OrdinalIgnoreCase);
        context.Response.ContentType = framed ? StreamProtocol.FramedLog : "text/plain; charset=utf-8";
        context.Response.Headers.XContentTypeOptions = "nosniff";
        await context.Response.StartAsync(context.RequestAborted);
        using CancellationTokenSource either =
            CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, lifetime.Stopping);
        PipeWriter writer = context.Response.BodyWriter;
        if (wanted.Follow)
        {
            await writer.FlushAsync(context.RequestAborted);
        }

        try
        {
            await CopyAsync(entry, wanted, only, framed, timestamps, writer, either.Token);
        }
        catch (OperationCanceledException) when (!context.RequestAborted.IsCancellationRequested)
        {
            // The server stops; what was sent is whole lines.
        }

        await writer.FlushAsync(context.RequestAborted);
    }

    private async Task CopyAsync(
        ContainerEntry entry, LogQuery wanted, LogStream? only, bool framed, bool timestamps, PipeWriter writer,
        CancellationToken cancellationToken)
    {
        ArrayBufferWriter<byte> text = new();
        // A long line's parts follow each other within its stream, not within the log.
        Dictionary<LogStream, bool> within = new() { [LogStream.Error] = false, [LogStream.Output] = false };
        await foreach (LogLine line in containers.LogsAsync(entry, wanted, cancellationToken))
        {
            if (only is null || line.Stream == only)
            {
                text.ResetWrittenCount();
                LogText.Write(text, line, within[line.Stream], timestamps);
                within[line.Stream] = line.Partial;
                if (framed)
                {
                    Frame(writer, line.Stream, text.WrittenCount);
                }

                writer.Write(text.WrittenSpan);
            }

            if (wanted.Follow || writer.UnflushedBytes >= FlushAt)
            {
                await writer.FlushAsync(cancellationToken);
            }
        }
    }

    private static void Frame(PipeWriter writer, LogStream stream, int length)
    {
        const int Head = 5;
        Span<byte> head = writer.GetSpan(Head);
        head[0] = stream == LogStream.Output ? StreamProtocol.Output : StreamProtocol.Error;
        BinaryPrimitives.WriteInt32BigEndian(head[1..], length);
        writer.Advance(Head);
    }

    private static LogStream? StreamOf(QueryText query) => query.Find("stream") switch
    {
        null => null,
        "stdout" => LogStream.Output,
        "stderr" => LogStream.Error,
        { } other => throw QueryText.Refuse("stream", other, "expected stdout or stderr"),
    };
}
