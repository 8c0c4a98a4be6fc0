using System.IO.Pipelines;
using System.Net;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Http.Features;

namespace Berth.Server.Lambda;

/// <summary>A program's connection to the Runtime API, as Kestrel takes it. It ends with its instance.</summary>
internal sealed class RuntimeConnection : ConnectionContext
{
    private readonly Stream stream;
    private readonly Pipe input = new(new PipeOptions(
        pauseWriterThreshold: 256 * 1024, resumeWriterThreshold: 128 * 1024, useSynchronizationContext: false));
    private readonly CancellationTokenSource closed = new();
    private readonly TaskCompletionSource ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly CancellationTokenRegistration over;
    private readonly Task reading;

    public RuntimeConnection(Stream stream, RuntimeSession session, string id)
    {
        this.stream = stream;
        ConnectionId = id;
        ConnectionClosed = closed.Token;
        Transport = new Ends(input.Reader, PipeWriter.Create(stream));
        Features.Set(session);
        over = session.Over.UnsafeRegister(static state => ((Stream)state!).Dispose(), stream);
        reading = ReadAsync();
    }

    /// <summary>Completes when it was closed.</summary>
    public Task Ended => ended.Task;

    public override string ConnectionId { get; set; }

    public override IFeatureCollection Features { get; } = new FeatureCollection();

    public override IDictionary<object, object?> Items { get; set; } = new Dictionary<object, object?>();

    public override IDuplexPipe Transport { get; set; }

    public override CancellationToken ConnectionClosed { get; set; }

    public override EndPoint? RemoteEndPoint { get; set; }

    public override void Abort(ConnectionAbortedException abortReason) => stream.Dispose();

    public override async ValueTask DisposeAsync()
    {
        await stream.DisposeAsync();
        await input.Reader.CompleteAsync();
        await reading;
        await over.DisposeAsync();
        closed.Dispose();
        await base.DisposeAsync();
        ended.TrySetResult();
    }

    /// <summary>Ahead of what is asked for, so that a program that goes away is noticed while it waits for an
    /// invocation.</summary>
    private async Task ReadAsync()
    {
        Exception? fault = null;
        try
        {
            FlushResult flushed;
            do
            {
                int count = await stream.ReadAsync(input.Writer.GetMemory(), CancellationToken.None);
                if (count == 0)
                {
                    break;
                }

                input.Writer.Advance(count);
                flushed = await input.Writer.FlushAsync(CancellationToken.None);
            }
            while (!flushed.IsCompleted);
        }
        catch (Exception error) when (error is IOException or ObjectDisposedException)
        {
            fault = new ConnectionResetException("The program closed the connection.", error);
        }

        await input.Writer.CompleteAsync(fault);
        await closed.CancelAsync();
    }

    private sealed record Ends(PipeReader Input, PipeWriter Output) : IDuplexPipe;
}
