using System.Buffers;
using System.IO.Pipelines;
using Microsoft.AspNetCore.Connections;

namespace Berth.Server.Calls;

/// <summary>
/// Copies a request's body into a program's standard input, block by block as it arrives, then closes it. A program
/// that closes its input early has read all it wanted, which is no failure: the rest of the body is then read and
/// dropped, because many clients read no answer before they have sent all of it.
/// </summary>
internal sealed class InputCopy
{
    private readonly PipeReader body;
    private readonly Stream input;
    private readonly Action failed;
    private volatile bool ended;
    private bool wanted = true;

    /// <param name="failed">Called when the caller went away or sent a broken body, so that
    /// the program is ended.</param>
    public InputCopy(PipeReader body, Stream input, Action failed)
    {
        this.body = body;
        this.input = input;
        this.failed = failed;
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
            if (wanted)
            {
                Fault = e;
                failed();
            }
        }
        finally
        {
            await CloseAsync();
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

            wanted = wanted && await WriteAsync(read.Buffer);
            body.AdvanceTo(read.Buffer.End);
            if (read.IsCompleted)
            {
                return;
            }
        }
    }

    /// <summary>Returns whether the program still takes input.</summary>
    private async ValueTask<bool> WriteAsync(ReadOnlySequence<byte> bytes)
    {
        try
        {
            foreach (ReadOnlyMemory<byte> block in bytes)
            {
                await input.WriteAsync(block);
            }

            return true;
        }
        catch (IOException)
        {
            return false;
        }
        catch (ObjectDisposedException)
        {
            return false;
        }
    }

    private async ValueTask CloseAsync()
    {
        try
        {
            await input.DisposeAsync();
        }
        catch (IOException)
        {
            // The program had closed its end before.
        }
    }
}
