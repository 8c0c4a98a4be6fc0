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
    public async Task HandleAsync(HttpContext context)
    {
        ContainerEntry entry = containers.Find(ContainerEndpoints.ReferenceOf(context));
        QueryText query = new(context.Request, "follow", "tail", "since", "timestamps", "stream");
        LogQuery wanted = LogText.QueryOf(query, time);
        bool framed = context.Request.Headers.Accept.ToString().Contains(
            StreamProtocol.FramedLog, StringComparison.OrdinalIgnoreCase);
        LineWriter lines = new(StreamOf(query), framed, query.Switch("timestamps"));
        await new LogAnswer(context, lifetime).SendAsync(
            framed ? StreamProtocol.FramedLog : "text/plain; charset=utf-8", wanted.Follow,
            token => containers.LogsAsync(entry, wanted, token), lines.Write);
    }

    private static LogStream? StreamOf(QueryText query) => query.Find("stream") switch
    {
        null => null,
        "stdout" => LogStream.Output,
        "stderr" => LogStream.Error,
        { } other => throw QueryText.Refuse("stream", other, "expected stdout or stderr"),
    };

    /// <param name="only">Null for both streams.</param>
    private sealed class LineWriter(LogStream? only, bool framed, bool timestamps)
    {
        private readonly ArrayBufferWriter<byte> text = new();

        // A long line's parts follow each other within its stream, not within the log.
        private readonly Dictionary<LogStream, bool> within =
            new() { [LogStream.Error] = false, [LogStream.Output] = false };

        public void Write(PipeWriter writer, LogLine line)
        {
            if (only is not null && line.Stream != only)
            {
                return;
            }

            text.ResetWrittenCount();
            LogText.Write(text, line, within[line.Stream], timestamps);
            within[line.Stream] = line.Partial;
            if (framed)
            {
                Frame(writer, line.Stream, text.WrittenCount);
            }

            writer.Write(text.WrittenSpan);
        }

        private static void Frame(PipeWriter writer, LogStream stream, int length)
        {
            const int Head = 5;
            Span<byte> head = writer.GetSpan(Head);
            head[0] = stream == LogStream.Output ? StreamProtocol.Output : StreamProtocol.Error;
            BinaryPrimitives.WriteInt32BigEndian(head[1..], length);
            writer.Advance(Head);
        }
    }
}
