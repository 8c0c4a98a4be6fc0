using System.Globalization;
using System.IO.Pipelines;
using Berth.Api.Links;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Core.Runs;
using Berth.Oci.Content;
using Berth.Server.Functions;
using Berth.Server.Hosting;
using Berth.Server.Logs;
using Berth.Server.Networks;
using Berth.Server.Runs;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.Cluster;

/// <summary>What another server is told on the address for nodes: only what is on this one's own disk, so that servers
/// never ask in circles.</summary>
internal sealed class PeerAnswers(RunManager runs, IContentStore content, ServerLifetime lifetime)
{
    public const string Blobs = LinkProtocol.BlobPath;
    public const string Results = "/servers/results/";
    public const string Inputs = "/servers/inputs/";
    public const string Logs = "/servers/logs/";
    public const string FunctionLogs = "/servers/function-logs/";
    public const string Presence = "/servers/presence";
    public const string Drains = "/servers/drains/";

    private const int Block = 128 * 1024;

    /// <summary>Does this server's part of a node's drain, or ends all that it has there; set before anybody asks.
    /// </summary>
    public Func<string, bool, CancellationToken, Task<DrainReport>>? Drain { get; set; }

    /// <summary>The address of a log's lines, as <see cref="QueryOf"/> reads it.</summary>
    public static string LogPath(RunId id, LogQuery query) => Logs + id + Text(query);

    /// <summary>The address of this server's part of a function's log.</summary>
    public static string FunctionLogPath(string name, int? revision, LogQuery query) => string.Create(
        CultureInfo.InvariantCulture,
        $"{FunctionLogs}{Uri.EscapeDataString(name)}{Text(query)}&revision={revision ?? 0}");

    public async Task AnswerAsync(HttpContext context)
    {
        string path = context.Request.Path.Value ?? "";
        string[] words = path.Split('/');
        switch (words)
        {
            case ["", "blobs", var digest]:
                await SendAsync(context, content.OpenRead(Digest.Parse(digest)));
                return;
            case ["", "servers", "results", var id, var generation] when int.TryParse(
                generation, NumberStyles.None, CultureInfo.InvariantCulture, out int number):
                await SendAsync(context, Open(() => runs.Rooms.Spool.OpenResult(RunId.Parse(id), number)));
                return;
            case ["", "servers", "inputs", var id]:
                await SendAsync(context, Open(() => runs.Rooms.Spool.OpenInput(RunId.Parse(id))));
                return;
            case ["", "servers", "logs", var id]:
                await SendLogAsync(context, RunId.Parse(id));
                return;
            case ["", "servers", "function-logs", var name]:
                await SendFunctionLogAsync(context, name);
                return;
            case ["", "servers", "presence"]:
                await SendPresenceAsync(context);
                return;
            case ["", "servers", "drains", var node] when Drain is not null && context.Request.Method == "POST":
                await JsonBody.WriteAsync(
                    context, await Drain(node, Number(context, "evict") == 1, context.RequestAborted),
                    LinkJson.Default.DrainReport);
                return;
            default:
                throw new BerthException(ErrorCode.NotFound, "There is no such address here.");
        }
    }

    private static FileStream Open(Func<FileStream> open)
    {
        try
        {
            return open();
        }
        catch (Exception gone) when (gone is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new BerthException(ErrorCode.NotFound, "It is not on this server's disk.", gone);
        }
    }

    private static async Task SendAsync(HttpContext context, Stream body)
    {
        await using (body)
        {
            long from = Number(context, "from");
            if (from > body.Length)
            {
                throw new BerthException(ErrorCode.NotFound, "It is shorter than that.");
            }

            if (from > 0)
            {
                body.Seek(from, SeekOrigin.Begin);
            }

            context.Response.ContentType = "application/octet-stream";
            context.Response.ContentLength = body.Length - from;
            await body.CopyToAsync(context.Response.Body, Block, context.RequestAborted);
        }
    }

    private Task SendLogAsync(HttpContext context, RunId id)
    {
        LogQuery query = QueryOf(context);
        return SendLinesAsync(
            context, token => runs.LocalLogsAsync(id, query, token), PeerLogText.Write, _ => query.Follow);
    }

    private Task SendFunctionLogAsync(HttpContext context, string name)
    {
        LogQuery query = QueryOf(context);
        int? revision = (int)Math.Clamp(Number(context, "revision"), 0, int.MaxValue) is > 0 and var number
            ? number
            : null;
        return SendLinesAsync(
            context, token => runs.Rooms.FunctionLog!.ReadAsync(name, revision, query, token),
            new PeerFunctionLog().Write, news => query.Follow || news.Mark != FunctionLogMark.Line);
    }

    /// <param name="isUrgent">Whether it goes at once, and not when there is a block of it.</param>
    private async Task SendLinesAsync<T>(
        HttpContext context, Func<CancellationToken, IAsyncEnumerable<T>> lines, Action<PipeWriter, T> write,
        Func<T, bool> isUrgent)
    {
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(
            context.RequestAborted, lifetime.Stopping);
        // The head goes now: who asks waits for it with a limit.
        await context.Response.StartAsync(either.Token);
        PipeWriter writer = context.Response.BodyWriter;
        await writer.FlushAsync(either.Token);
        try
        {
            await foreach (T line in lines(either.Token))
            {
                write(writer, line);
                if (isUrgent(line) || writer.UnflushedBytes >= Block)
                {
                    await writer.FlushAsync(either.Token);
                }
            }
        }
        catch (OperationCanceledException) when (!context.RequestAborted.IsCancellationRequested)
        {
            // This server stops. Who follows looks where the run goes on.
        }
    }

    private async Task SendPresenceAsync(HttpContext context)
    {
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(
            context.RequestAborted, lifetime.Stopping);
        using FrameWriter frames = new(context.Response.BodyWriter);
        PresenceFeed presence = runs.Rooms.Peers!.Presence;
        try
        {
            while (true)
            {
                (byte[] report, Task changed) = presence.Now;
                await frames.SendAsync(FrameKind.Presence, report, either.Token);
                await changed.WaitAsync(either.Token);
            }
        }
        catch (Exception over) when (over is OperationCanceledException or LinkException)
        {
            // This server stops, or who asked has gone.
        }
    }

    private static LogQuery QueryOf(HttpContext context)
    {
        long tail = Number(context, "tail");
        long since = Number(context, "since");
        return new LogQuery(
            Number(context, "follow") == 1, tail < 0 ? null : (int)Math.Min(tail, int.MaxValue),
            since <= 0 || since > DateTimeOffset.MaxValue.UtcTicks ? null : new DateTimeOffset(since, TimeSpan.Zero));
    }

    private static string Text(LogQuery query) => string.Create(
        CultureInfo.InvariantCulture,
        $"?follow={(query.Follow ? 1 : 0)}&tail={query.Tail ?? -1}&since={query.Since?.UtcTicks ?? 0}");

    private static long Number(HttpContext context, string name) => long.TryParse(
        context.Request.Query[name], NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long number)
        ? number
        : 0;
}
