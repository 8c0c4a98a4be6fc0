using System.Buffers;
using System.Globalization;
using System.IO.Pipelines;
using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;

namespace Berth.Server.Loops;

/// <summary>A caller's or a node's connection as Kestrel sees it: two pipes, filled from and emptied into a socket of
/// an event loop.</summary>
internal sealed class LoopConnection : DefaultConnectionContext, IConnectionSocketFeature, IMemoryPoolFeature
{
    /// <summary>Of what came and was not read, and of what was written and not taken, before the other side waits.
    /// </summary>
    private const int ReadAhead = 1024 * 1024;

    private const int WriteAhead = 64 * 1024;

    private static long lastId = TimeProvider.System.GetTimestamp();

    private readonly LoopSocket socket;
    private readonly Ends application;
    private readonly CancellationTokenSource closed = new();
    private readonly TaskCompletionSource toldClosed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Lock gate = new();
    private Exception? shutdown;
    private Task receiving = Task.CompletedTask;
    private Task sending = Task.CompletedTask;
    private int isTelling;

    public LoopConnection(Socket socket, EventLoop loop, MemoryPool<byte> memory, bool usesPool)
        : base(Interlocked.Increment(ref lastId).ToString("X13", CultureInfo.InvariantCulture))
    {
        LocalEndPoint = socket.LocalEndPoint;
        RemoteEndPoint = socket.RemoteEndPoint;
        // Nothing that can fail comes after it.
        this.socket = new LoopSocket(socket, loop);
        MemoryPool = memory;
        LoopScheduler scheduler = new() { UsesPool = usesPool };
        Pipe input = new(new PipeOptions(
            memory, readerScheduler: scheduler, writerScheduler: PipeScheduler.Inline, ReadAhead, ReadAhead / 2,
            useSynchronizationContext: false));
        // Where the pool is used at first, all kinds of things write later.
        Pipe output = new(new PipeOptions(
            memory, readerScheduler: PipeScheduler.Inline,
            writerScheduler: usesPool ? PipeScheduler.ThreadPool : scheduler, WriteAhead, WriteAhead / 2,
            useSynchronizationContext: false));
        Transport = new Ends(input.Reader, output.Writer);
        application = new Ends(output.Reader, input.Writer);
        ConnectionClosed = closed.Token;
        Features.Set<IConnectionSocketFeature>(this);
        Features.Set<IMemoryPoolFeature>(this);
        Features.Set(scheduler);
    }

    public Socket Socket => socket.Inner;

    public MemoryPool<byte> MemoryPool { get; }

    public void Start()
    {
        receiving = ReceiveAsync();
        sending = SendAsync();
    }

    public override void Abort(ConnectionAbortedException abortReason)
    {
        End(abortReason);
        // Kestrel aborts while it holds its locks: what waits for this pipe must not go on beneath them.
        ThreadPool.UnsafeQueueUserWorkItem(
            static connection => connection.application.Input.CancelPendingRead(), this, preferLocal: false);
    }

    public override async ValueTask DisposeAsync()
    {
        await Transport.Input.CompleteAsync();
        await Transport.Output.CompleteAsync();
        // They end with their pipes and never fault.
        await receiving;
        await sending;
        closed.Dispose();
        await base.DisposeAsync();
    }

    private async Task ReceiveAsync()
    {
        Exception? fault = null;
        try
        {
            await FillAsync();
        }
        catch (ObjectDisposedException)
        {
            // Ended from this side.
            fault = shutdown ?? new ConnectionAbortedException();
        }
        catch (Exception error)
        {
            fault = shutdown ?? error;
        }

        await application.Output.CompleteAsync(fault ?? shutdown);
        TellClosed();
        await toldClosed.Task;
    }

    private async Task FillAsync()
    {
        PipeWriter input = application.Output;
        while (true)
        {
            // A connection that waits holds no memory.
            await socket.ReadableAsync();
            int count = await socket.ReceiveAsync(input.GetMemory());
            if (count == 0)
            {
                return;
            }

            input.Advance(count);
            FlushResult flushed = await input.FlushAsync();
            if (flushed.IsCompleted || flushed.IsCanceled)
            {
                return;
            }
        }
    }

    private async Task SendAsync()
    {
        Exception? reason = null;
        Exception? fault = null;
        try
        {
            await EmptyAsync();
        }
        catch (ConnectionResetException reset)
        {
            reason = reset;
        }
        catch (ObjectDisposedException disposed)
        {
            reason = disposed;
        }
        catch (Exception error)
        {
            reason = error;
            fault = error;
        }

        End(reason);
        // This may be the end of a flush, which Kestrel does while it holds its locks; what goes on now is Kestrel's.
        await new PoolTurn();
        await application.Input.CompleteAsync(fault);
        // The other direction may wait for its reader.
        application.Output.CancelPendingFlush();
    }

    private async Task EmptyAsync()
    {
        PipeReader output = application.Input;
        while (true)
        {
            ReadResult read = await output.ReadAsync();
            if (read.IsCanceled)
            {
                return;
            }

            if (read.Buffer.IsSingleSegment)
            {
                await socket.SendAsync(read.Buffer.First);
            }
            else
            {
                await socket.SendAsync(read.Buffer);
            }

            output.AdvanceTo(read.Buffer.End);
            if (read.IsCompleted)
            {
                return;
            }
        }
    }

    /// <param name="reason">Null where all was sent that was to be.</param>
    private void End(Exception? reason)
    {
        lock (gate)
        {
            if (shutdown is not null)
            {
                return;
            }

            shutdown = reason ?? new ConnectionAbortedException("The connection was closed.");
        }

        if (reason is null)
        {
            socket.Dispose();
        }
        else
        {
            socket.Abort();
        }
    }

    /// <summary>From the thread pool: whoever listens may do what it likes.</summary>
    private void TellClosed()
    {
        if (Interlocked.Exchange(ref isTelling, 1) == 0)
        {
            ThreadPool.UnsafeQueueUserWorkItem(
                static connection =>
                {
                    try
                    {
                        connection.closed.Cancel();
                    }
                    catch (AggregateException)
                    {
                        // A listener's own fault; the others were told.
                    }
                    finally
                    {
                        connection.toldClosed.TrySetResult();
                    }
                },
                this, preferLocal: false);
        }
    }

    private sealed record Ends(PipeReader Input, PipeWriter Output) : IDuplexPipe;
}
