using System.Buffers;
using Berth.Api.Errors;
using Berth.Api.Links;
using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Node.Linux;

namespace Berth.Node.Links;

/// <summary>
/// A connection to a program, or from one, that the server asked for over its link: bytes pass both ways until both
/// have ended, or one side is gone. It lives no longer than its attempt.
/// </summary>
internal sealed class OrderedConnection(
    LinkedAttempts attempts, FrameReader frames, FrameWriter writer, ReadinessPoller poller, TimeProvider time)
{
    /// <summary>Most connections wait, and most bodies are short: those that aren't get a larger one.</summary>
    private const int FirstBuffer = 4096;

    /// <param name="gone">Cancelled when the stream is.</param>
    public async Task RunAsync(CancellationToken gone)
    {
        Frame first = await frames.ReadAsync(gone) ?? throw new LinkException("A stream ended before its order.");
        ConnectOrder order = first.Kind == FrameKind.Connect
            ? first.Read(LinkJson.Default.ConnectOrder)
            : throw new LinkException($"A connection began with a frame {first.Kind}.");
        if (attempts.Find(order.Attempt ?? "") is not var (attempt, ended))
        {
            await RefuseAsync(new IOException("The program has ended."), gone);
            return;
        }

        using CancellationTokenSource over = CancellationTokenSource.CreateLinkedTokenSource(gone, ended);
        Stream program;
        try
        {
            program = PolledSocket.Over(
                order.Port is { } port
                    ? await attempt.ConnectAsync(port, over.Token)
                    : await AcceptAsync(attempt, over.Token),
                poller);
        }
        catch (Exception fault) when (!gone.IsCancellationRequested)
        {
            await RefuseAsync(fault, gone);
            return;
        }

        await using (program)
        {
            await writer.SendAsync(FrameKind.Connected, gone);
            await PassAsync(program, over.Token);
        }
    }

    private static Task<Stream> AcceptAsync(IAttempt attempt, CancellationToken over) => attempt.Spec.Listen is null
        ? throw new IOException("Nothing is listened on for the program.")
        : attempt.AcceptAsync(over);

    private Task RefuseAsync(Exception fault, CancellationToken gone) => writer.SendAsync(
        FrameKind.Refused,
        fault is BerthException refusal
            ? new RefusalReport(ErrorCatalog.Find(refusal.Code).Code, refusal.Message, null)
            : new RefusalReport("", fault is IOException ? fault.Message : "The program has ended.", null),
        LinkJson.Default.RefusalReport, gone);

    private async Task PassAsync(Stream program, CancellationToken over)
    {
        // Whatever ends it ends what waits for the program.
        await using CancellationTokenRegistration end = over.UnsafeRegister(
            static state => ((Stream)state!).Dispose(), program);
        using CancellationTokenSource stop = new();
        await using LinkedStream far = new(frames, writer, static _ => { }, stop.Token);
        Task there = ThereAsync(far, program);
        Task back = BackAsync(program, far);
        Task both = Task.WhenAll(there, back);
        await Task.WhenAny(both, far.OtherEnd);
        if (!both.IsCompleted)
        {
            // The server has closed it: what it wrote before goes on to the program, to which nobody listens now.
            await Task.WhenAny(there, Task.Delay(LinkProtocol.ClosingLimit, time, over));
            await program.DisposeAsync();
            await far.DisposeAsync();
            await both;
        }

        // What is left of the request and its answer may be another's as soon as this returns: nobody touches them
        // then.
        await stop.CancelAsync();
        await far.OtherEnd;
        await writer.CloseAsync();
    }

    /// <summary>To the program; then it is told that no more comes.</summary>
    private static async Task ThereAsync(LinkedStream far, Stream program)
    {
        if (await CopyAsync(far, program))
        {
            (program as PolledSocket)?.EndWriting();
        }
    }

    private static async Task BackAsync(Stream program, LinkedStream far)
    {
        try
        {
            if (await CopyAsync(program, far))
            {
                await far.EndAsync();
            }
            else
            {
                // It was reset, or the server is gone: neither has anything more to say.
                await far.DisposeAsync();
                await program.DisposeAsync();
            }
        }
        catch (IOException)
        {
            // The server is gone.
            await program.DisposeAsync();
        }
    }

    /// <returns>Whether it came to the source's end.</returns>
    private static async Task<bool> CopyAsync(Stream source, Stream target)
    {
        byte[] buffer = ArrayPool<byte>.Shared.Rent(FirstBuffer);
        try
        {
            while (await source.ReadAsync(buffer, CancellationToken.None) is > 0 and int count)
            {
                await target.WriteAsync(buffer.AsMemory(0, count), CancellationToken.None);
                if (count == buffer.Length && count < LinkProtocol.MaxData)
                {
                    ArrayPool<byte>.Shared.Return(buffer);
                    buffer = ArrayPool<byte>.Shared.Rent(LinkProtocol.MaxData);
                }
            }

            return true;
        }
        catch (Exception gone) when (gone is IOException or ObjectDisposedException)
        {
            return false;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }
}
