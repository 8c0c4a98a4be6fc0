using System.Buffers;
using Berth.Api.Links;
using Berth.Api.Nodes;
using Berth.Core.Runs;

namespace Berth.Node.Links;

/// <summary>
/// A container's program on this node. It goes on whether or not its server is linked: what it writes meanwhile is
/// kept, the newest of it, and its end until the server has taken it. One stream of the link at a time serves it, the
/// newest.
/// </summary>
internal sealed class KeptContainer : IAsyncDisposable
{
    private readonly RetainedBytes output = new(LinkProtocol.Backlog);
    private readonly RetainedBytes error = new(LinkProtocol.Backlog);
    private readonly IncomingStream input;
    private readonly TimeProvider time;
    private readonly CancellationTokenSource over = new();
    private readonly SemaphoreSlim turn = new(1, 1);
    private readonly Lock gate = new();
    private readonly Task work;
    private FrameWriter? server;
    private CancellationTokenSource? serving;
    private long inputSaid;
    private bool isInputClosed;
    private int disposed;

    public KeptContainer(IAttempt attempt, string owner, TimeProvider time)
    {
        Attempt = attempt;
        Owner = owner;
        this.time = time;
        input = new IncomingStream(SayInput);
        work = Task.WhenAll(
            KeepAsync(attempt.Output, output), KeepAsync(attempt.Error, error),
            ProgramFrames.FeedAsync(input, attempt.Input, CloseInput, over.Token));
    }

    public IAttempt Attempt { get; }

    /// <summary>Name of the server that ordered it: nobody else's is it.</summary>
    public string Owner { get; }

    /// <summary>Serves it over a stream until that ends, or a newer one comes.</summary>
    /// <param name="rejoin">Null for the stream that ordered it.</param>
    /// <returns>Whether the server has taken its end.</returns>
    public async Task<bool> ServeAsync(
        RejoinOrder? rejoin, FrameReader orders, FrameWriter answers, CancellationToken gone)
    {
        using CancellationTokenSource stop = CancellationTokenSource.CreateLinkedTokenSource(gone, over.Token);
        lock (gate)
        {
            serving?.Cancel();
            serving = stop;
        }

        await turn.WaitAsync(stop.Token);
        try
        {
            await BeginAsync(rejoin, answers, stop.Token);
            return await FollowAsync(orders, answers, stop);
        }
        finally
        {
            lock (gate)
            {
                server = null;
                serving = serving == stop ? null : serving;
            }

            // From here on nobody's reading holds the program up.
            output.Loosen();
            error.Loosen();
            turn.Release();
        }
    }

    /// <summary>Ends the program if it still runs, and frees its sandbox.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref disposed, 1) != 0)
        {
            return;
        }

        output.Loosen();
        error.Loosen();
        await over.CancelAsync();
        await Attempt.DisposeAsync();
        await work;
        await turn.WaitAsync(CancellationToken.None);
        input.End();
        await input.DisposeAsync();
        turn.Dispose();
        over.Dispose();
    }

    private async Task BeginAsync(RejoinOrder? rejoin, FrameWriter answers, CancellationToken over)
    {
        Task said;
        lock (gate)
        {
            if (rejoin is null)
            {
                said = answers.SendAsync(
                    FrameKind.Started, LinkWords.Write(Attempt.Preparation), LinkJson.Default.StartedReport, over);
            }
            else
            {
                // In one breath with the place of the input: what is read from now on is said after it.
                StreamPlace place = new(input.Arrived, (int)(input.Arrived - inputSaid));
                said = answers.SendAsync(
                    FrameKind.Rejoined,
                    new RejoinedReport(place, output.Resume(rejoin.Output), error.Resume(rejoin.Error)),
                    ContainerLinkJson.Default.RejoinedReport, over);
            }

            server = answers;
            if (isInputClosed)
            {
                answers.Post(FrameKind.InputClosed, default);
            }
        }

        await said;
    }

    private async Task<bool> FollowAsync(FrameReader orders, FrameWriter answers, CancellationTokenSource stop)
    {
        Task obeying = ObeyAsync(orders, stop.Token);
        Task telling = Task.WhenAll(
            SendAsync(output, FrameKind.Output, FrameKind.OutputEnd, answers, stop.Token),
            SendAsync(error, FrameKind.Error, FrameKind.ErrorEnd, answers, stop.Token),
            ReportAsync(answers, stop.Token));
        try
        {
            await await Task.WhenAny(telling, obeying);
            if (!telling.IsCompletedSuccessfully)
            {
                // The server wants to hear no more of it for now.
                return false;
            }

            // It says no more once it has all; a stream that breaks throws.
            await obeying;
            return true;
        }
        finally
        {
            await stop.CancelAsync();
            await obeying.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            await telling.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            // Nobody touches what may be another stream's by now.
            await answers.CloseAsync();
        }
    }

    private async Task ObeyAsync(FrameReader orders, CancellationToken over)
    {
        while (await orders.ReadAsync(over) is { } frame)
        {
            if (ProgramFrames.TryPass(frame, input, output.Confirm, error.Confirm)
                || ProgramFrames.TrySteer(frame, Attempt))
            {
                continue;
            }

            if (frame.Kind != FrameKind.Resize)
            {
                throw new LinkException($"A frame {frame.Kind} steers no container.");
            }

            if (ProgramFrames.SizeOf(frame) is { } terminal)
            {
                Attempt.Resize(terminal);
            }
        }
    }

    private static async Task SendAsync(
        RetainedBytes source, FrameKind kind, FrameKind end, FrameWriter answers, CancellationToken over)
    {
        byte[] buffer = ArrayPool<byte>.Shared.Rent(LinkProtocol.MaxData);
        try
        {
            while (await source.TakeAsync(buffer.AsMemory(0, LinkProtocol.MaxData), over) is > 0 and int count)
            {
                await answers.SendAsync(kind, buffer.AsMemory(0, count), over);
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }

        await answers.SendAsync(end, over);
    }

    /// <summary>What it uses now and then, and how it ended.</summary>
    private async Task ReportAsync(FrameWriter answers, CancellationToken over)
    {
        await ProgramFrames.ReportFiguresAsync(Attempt, answers, time, over);
        await answers.SendAsync(
            FrameKind.Report, LinkWords.Write(await Attempt.Completion), LinkJson.Default.EndReport, over);
    }

    private async Task KeepAsync(Stream source, RetainedBytes kept)
    {
        byte[] buffer = ArrayPool<byte>.Shared.Rent(LinkProtocol.MaxData);
        try
        {
            while (await ProgramFrames.ReadAsync(source, buffer.AsMemory(0, LinkProtocol.MaxData), over.Token)
                is > 0 and int count)
            {
                await kept.WriteAsync(buffer.AsMemory(0, count), over.Token);
            }
        }
        catch (OperationCanceledException)
        {
            // It is not kept any more.
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
            kept.Complete();
        }
    }

    private void SayInput(int bytes)
    {
        lock (gate)
        {
            inputSaid += bytes;
            server?.PostCredit(FrameKind.InputCredit, bytes);
        }
    }

    private void CloseInput()
    {
        lock (gate)
        {
            isInputClosed = true;
            server?.Post(FrameKind.InputClosed, default);
        }
    }
}
