using System.Buffers;

namespace Berth.Server.Calls;

/// <summary>
/// Carries a stream past a taker that does not take it now: fills a file from the source and sends from it, both at
/// once, until the taker has caught up, the room is used up or the source has ended. Bytes never change their order.
/// </summary>
/// <param name="read">Reads from the source; 0 at its end.</param>
/// <param name="drain">Sends all that is in the file now.</param>
/// <param name="send">Sends bytes that found no room in the file.</param>
/// <param name="isPointless">Whether the taker may now as well be waited for.</param>
internal sealed class Detour(
    OverflowFile file, Func<Memory<byte>, CancellationToken, ValueTask<int>> read, Func<OverflowFile, Task> drain,
    Func<ReadOnlyMemory<byte>, Task> send, Func<bool> isPointless)
{
    private const int Block = 256 * 1024;

    private volatile bool caughtUp;
    private ReadOnlyMemory<byte> unplaced;

    /// <summary>Whether the source has nothing more.</summary>
    public bool SourceEnded { get; private set; }

    /// <param name="sending">What the taker has not yet taken of what came before.</param>
    public async Task RunAsync(Task sending, CancellationToken gone)
    {
        byte[] block = ArrayPool<byte>.Shared.Rent(Block);
        using CancellationTokenSource stop = CancellationTokenSource.CreateLinkedTokenSource(gone);
        Task filling = FillAsync(block, stop.Token);
        try
        {
            await sending;
            await drain(file);
            caughtUp = true;
            await filling;
            await drain(file);
            await send(unplaced);
        }
        finally
        {
            await stop.CancelAsync();
            await filling.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            ArrayPool<byte>.Shared.Return(block);
        }
    }

    private async Task FillAsync(byte[] block, CancellationToken stop)
    {
        while (!caughtUp && !isPointless())
        {
            int count = await read(block, stop);
            if (count == 0)
            {
                SourceEnded = true;
                return;
            }

            if (!await file.TryWriteAsync(block.AsMemory(0, count), stop))
            {
                unplaced = block.AsMemory(0, count);
                return;
            }
        }
    }
}
