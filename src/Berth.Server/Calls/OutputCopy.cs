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
    /// <summary>How long a caller that still sends may leave the answer unread before disk is used. It decides only how
    /// early that is; too short costs a detour, too long a pause.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(50);

    private bool ended;

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
        if (!sending.IsCompleted && !bodyReceived.IsCompleted && room.TryOpen(id, OverflowUse.Output) is { } file)
        {
            using (file)
            {
                Detour detour = new(file, output.ReadAsync, DrainAsync, WriteAsync, () => bodyReceived.IsCompleted);
                await detour.RunAsync(sending, gone);
                ended = detour.SourceEnded;
            }
        }
        else
        {
            await sending;
        }
    }

    private async Task WriteAsync(ReadOnlyMemory<byte> bytes)
    {
        client.Write(bytes.Span);
        await client.FlushAsync();
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
