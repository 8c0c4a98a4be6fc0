using System.Buffers;
using System.IO.Pipelines;
using Berth.Core.Runs;
using Berth.Server.Runs;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.Calls;

/// <summary>
/// Copies a request's body into a program's standard input, block by block as it arrives, then closes it. A program
/// that closes its input early has read all it wanted, which is no failure: the rest of the body is then read and
/// dropped, because many clients read no answer before they have sent all of it. For a program that leaves its input
/// unread the body goes on into a file of <see cref="OverflowRoom"/>: the news that the caller has gone stands behind
/// the bytes that it sent, and is seen only by who reads them.
/// </summary>
internal sealed class InputCopy
{
    private const int Block = 128 * 1024;

    /// <summary>How long a program may leave its input unread before disk is used, and how often the connection is
    /// looked at where there is no room on it.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(1);

    private readonly HttpContext context;
    private readonly LiveCall call;
    private readonly OverflowRoom room;
    private readonly TimeProvider time;
    private readonly PipeReader body;
    private volatile bool ended;
    private volatile bool wanted = true;

    /// <summary>Begins to copy. Ends the program when the caller goes away or sends a broken body.</summary>
    public InputCopy(HttpContext context, LiveCall call, OverflowRoom room, TimeProvider time)
    {
        this.context = context;
        this.call = call;
        this.room = room;
        this.time = time;
        body = context.Request.BodyReader;
        Completion = RunAsync();
    }

    /// <summary>
    /// Completes when the body has come, or is not waited for any more. Never faults; see <see cref="Fault"/>.
    /// </summary>
    public Task Completion { get; }

    /// <summary>What was wrong with the body as far as the program took it; null when nothing was.</summary>
    public Exception? Fault { get; private set; }

    /// <summary>Stops waiting for more of the body.</summary>
    public void End()
    {
        ended = true;
        try
        {
            body.CancelPendingRead();
        }
        catch (Exception e) when (e is OperationCanceledException or ConnectionAbortedException)
        {
            // The connection is gone, and with it the read.
        }
    }

    private async Task RunAsync()
    {
        try
        {
            await CopyAsync();
        }
        catch (Exception e)
        {
            Break(e);
        }
        finally
        {
            await CloseAsync();
        }
    }

    private void Break(Exception fault)
    {
        if (wanted)
        {
            Fault ??= fault;
            call.Stop(EndReason.ClientGone);
        }
    }

    private async Task CopyAsync()
    {
        while (!ended)
        {
            ReadResult read = await body.ReadAsync();
            if (read.IsCanceled)
            {
                body.AdvanceTo(read.Buffer.Start);
                return;
            }

            // A copy, so that what follows can be read while this waits for the program.
            byte[] block = ArrayPool<byte>.Shared.Rent(Block);
            bool last = read.IsCompleted && read.Buffer.Length <= block.Length;
            try
            {
                await GiveAsync(block.AsMemory(0, Take(read, block)));
            }
            finally
            {
                ArrayPool<byte>.Shared.Return(block);
            }

            if (last)
            {
                return;
            }
        }
    }

    private int Take(ReadResult read, Span<byte> target)
    {
        ReadOnlySequence<byte> taken = read.Buffer.Slice(0, Math.Min(read.Buffer.Length, target.Length));
        int count = (int)taken.Length;
        taken.CopyTo(target);
        body.AdvanceTo(taken.End);
        return count;
    }

    /// <summary>The next bytes of the body; 0 at its end, also where it broke off.</summary>
    private async ValueTask<int> ReadAsync(Memory<byte> target, CancellationToken stop)
    {
        try
        {
            while (!ended)
            {
                ReadResult read = await body.ReadAsync(stop);
                int count = Take(read, target.Span);
                if (count > 0 || read.IsCompleted)
                {
                    return count;
                }
            }

            return 0;
        }
        catch (Exception e) when (!stop.IsCancellationRequested)
        {
            // Told at once, not when the program has taken what came before: it may never do that.
            Break(e);
            return 0;
        }
    }

    /// <summary>Completes when the program has taken the bytes, and all that came meanwhile.</summary>
    private async ValueTask GiveAsync(ReadOnlyMemory<byte> bytes)
    {
        ValueTask write = WriteAsync(bytes);
        if (write.IsCompleted)
        {
            await write;
            return;
        }

        Task writing = write.AsTask();
        while (!await IsDoneAsync(writing))
        {
            if (room.TryOpen(call.Id, OverflowUse.Input) is { } file)
            {
                using (file)
                {
                    Detour detour = new(file, ReadAsync, DrainAsync, WaitAsync, static () => false);
                    await detour.RunAsync(writing, CancellationToken.None);
                    ended |= detour.SourceEnded;
                    return;
                }
            }
        }
    }

    /// <summary>Waits a while; meanwhile nothing is read, so the connection itself is asked for its caller.</summary>
    private async Task<bool> IsDoneAsync(Task writing)
    {
        await writing.WaitAsync(Patience, time, CancellationToken.None)
            .ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (!writing.IsCompleted && CallerPresence.IsGone(context))
        {
            Break(new ConnectionResetException("The caller went away."));
        }

        return writing.IsCompleted;
    }

    private async Task DrainAsync(OverflowFile file)
    {
        byte[] block = ArrayPool<byte>.Shared.Rent(Block);
        try
        {
            int count;
            while ((count = await file.ReadAsync(block, CancellationToken.None)) > 0)
            {
                await WaitAsync(block.AsMemory(0, count));
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(block);
        }
    }

    private async Task WaitAsync(ReadOnlyMemory<byte> bytes)
    {
        Task writing = WriteAsync(bytes).AsTask();
        while (!await IsDoneAsync(writing))
        {
            // Its caller is still there.
        }
    }

    /// <summary>Drops what the program does not want any more.</summary>
    private async ValueTask WriteAsync(ReadOnlyMemory<byte> bytes)
    {
        if (!wanted)
        {
            return;
        }

        try
        {
            await call.Input.WriteAsync(bytes);
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            wanted = false;
        }
    }

    private async ValueTask CloseAsync()
    {
        try
        {
            await call.Input.DisposeAsync();
        }
        catch (IOException)
        {
            // The program had closed its end before.
        }
    }
}
