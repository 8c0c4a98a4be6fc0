using System.Buffers;
using Berth.Core.Runs;

namespace Berth.Server.Calls;

/// <summary>
/// Copies a program's output to the caller as it comes. Many HTTP/1.1 clients read no answer before they have sent
/// their whole body; a program that writes while it reads would wait for such a caller, and the caller for the program.
/// So where the caller does not read while it still sends, output goes to a file of <see cref="OverflowRoom"/> until it
/// does, or until the body has come. A caller that reads while it sends gets the output straight from memory.
/// </summary>
internal sealed class OutputCopy(
    RunId id, Stream output, AnswerWriter client, Task bodyReceived, OverflowRoom room, TimeProvider time,
    CancellationToken gone)
{
    private const int Block = 256 * 1024;

    /// <summary>How long a caller that still sends may leave the answer unread before disk is used. It decides only how
    /// early that is; too short costs a detour, too long a pause.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(50);

    private bool ended;
    private volatile bool directAgain;
    private ReadOnlyMemory<byte> unplaced;

    /// <summary>Copies until the output ends. Throws OperationCanceledException when the caller goes away.</summary>
    public async Task RunAsync(ReadOnlyMemory<byte> first)
    {
        client.Write(first.Span);
        await SendAsync();
        while (!ended)
        {
            int count = await output.ReadAsync(client.GetMemory(), gone);
            if (count == 0)
            {
                return;
            }

            client.Advance(count);
            await SendAsync();
        }
    }

    private async ValueTask SendAsync()
    {
        ValueTask flush = client.FlushAsync();
        if (flush.IsCompleted || bodyReceived.IsCompleted)
        {
            await flush;
            return;
        }

        Task sending = flush.AsTask();
        await sending.WaitAsync(Patience, time, CancellationToken.None)
            .ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (!sending.IsCompleted && !bodyReceived.IsCompleted && room.TryOpen(id) is { } file)
        {
            using (file)
            {
                await OverflowAsync(file, sending);
            }
        }
        else
        {
            await sending;
        }
    }

    /// <summary>Fills the file and sends from it, both at once, until the caller has caught up.</summary>
    private async Task OverflowAsync(OverflowFile file, Task sending)
    {
        directAgain = false;
        byte[] block = ArrayPool<byte>.Shared.Rent(Block);
        using CancellationTokenSource stop = CancellationTokenSource.CreateLinkedTokenSource(gone);
        Task filling = FillAsync(file, block, stop.Token);
        try
        {
            await sending;
            await DrainAsync(file);
            directAgain = true;
            await filling;
            await DrainAsync(file);
            client.Write(unplaced.Span);
            unplaced = default;
            await client.FlushAsync();
        }
        finally
        {
            await stop.CancelAsync();
            await filling.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            ArrayPool<byte>.Shared.Return(block);
        }
    }

    /// <summary>Fills until the caller reads again, the body has come, the output ends or the room does.</summary>
    private async Task FillAsync(OverflowFile file, byte[] block, CancellationToken stop)
    {
        while (!directAgain && !bodyReceived.IsCompleted)
        {
            int count = await output.ReadAsync(block, stop);
            if (count == 0)
            {
                ended = true;
                return;
            }

            if (!await file.TryWriteAsync(block.AsMemory(0, count), stop))
            {
                unplaced = block.AsMemory(0, count);
                return;
            }
        }
    }

    private async Task DrainAsync(OverflowFile file)
    {
        int count;
        while ((count = await file.ReadAsync(client.GetMemory(), gone)) > 0)
        {
            client.Advance(count);
            await client.FlushAsync();
        }
    }
}
