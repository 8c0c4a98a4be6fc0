using System.Text.Json;
using Berth.Api.Links;
using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Runs;
using Microsoft.Extensions.Logging;

namespace Berth.Node.Links;

/// <summary>
/// One attempt that the server ordered over its link, from the order to the report. It lives no longer than its stream:
/// when the link breaks the program is ended, because by then the server takes it for lost.
/// </summary>
/// <param name="attempts">Where it is found while its program runs.</param>
/// <param name="end">Ends what is answered.</param>
internal sealed class OrderedAttempt(
    LinkRoom room, ServerLink link, LinkedAttempts attempts, FrameReader orders, FrameWriter answers,
    Func<ValueTask> end)
{
    /// <summary>So long what a program says may wait for what it says next.</summary>
    private static readonly TimeSpan Together = TimeSpan.FromMilliseconds(5);

    private readonly ILogger logger = room.Logger;
    private readonly CreditGate outputCredit = new();
    private readonly CreditGate errorCredit = new();
    private readonly IncomingStream input = new(n => answers.PostCredit(FrameKind.InputCredit, n));
    private Frame? early;
    private bool isReported;

    /// <param name="gone">Cancelled when the stream is.</param>
    public async Task RunAsync(CancellationToken gone)
    {
        Frame first = await orders.ReadAsync(gone) ?? throw new LinkException("A stream ended before its order.");
        if (first.Kind != FrameKind.Order)
        {
            throw new LinkException($"A stream began with a frame {first.Kind}.");
        }

        AttemptSpec spec = Read(first) with { Ahead = input };
        TakeAhead();
        IDisposable? place = null;
        IDisposable having;
        try
        {
            place = await link.TakeAsync(spec, gone);
            room.Kept.Note(link.Server, spec);
            having = room.Volumes.Take(
                (spec.Extras?.Mounts ?? []).OfType<SandboxMount.Volume>().Select(v => v.Name));
        }
        catch (BerthException going)
        {
            place?.Dispose();
            await RefuseAsync(going, gone);
            return;
        }

        using (place)
        using (having)
        {
            await RunAsync(spec, place, gone);
        }
    }

    /// <summary>What came of the input together with the order, so that the program has it from its start.</summary>
    private void TakeAhead()
    {
        while (early is null && orders.TryRead(out Frame frame))
        {
            early = ProgramFrames.TryPass(frame, input, outputCredit.Add, errorCredit.Add) ? null : frame;
        }
    }

    /// <param name="place">Given back before the server hears of the end, after which it may order the next.</param>
    private async Task RunAsync(AttemptSpec spec, IDisposable place, CancellationToken gone)
    {
        IAttempt attempt;
        try
        {
            attempt = await room.Node.StartAsync(spec, gone);
        }
        catch (Exception fault) when (fault is not OperationCanceledException)
        {
            await RefuseAsync(fault, gone);
            return;
        }

        await using (attempt)
        {
            // Before the server knows that there is something to connect to.
            using IDisposable known = attempts.Add(attempt);
            if (input.HasEnded && !spec.IsInstance)
            {
                // It may be over in a moment.
                answers.Hold();
            }

            await BeginAsync(attempt, gone);
            await FollowAsync(attempt, place, gone);
        }
    }

    /// <summary>Says that it runs; of a program that there is none of, in the same breath, that it has ended: who
    /// ordered it is promised to know that then.</summary>
    private async Task BeginAsync(IAttempt attempt, CancellationToken gone)
    {
        List<(FrameKind Kind, ReadOnlyMemory<byte> Payload)> frames =
        [
            (FrameKind.Started,
                JsonSerializer.SerializeToUtf8Bytes(
                    LinkWords.Write(attempt.Preparation), LinkJson.Default.StartedReport)),
        ];
        if (attempt.Completion is { IsCompletedSuccessfully: true } ended
            && await ended is { Reason: EndReason.EntryPointMissing } report)
        {
            isReported = true;
            frames.Add((
                FrameKind.Report,
                JsonSerializer.SerializeToUtf8Bytes(LinkWords.Write(report), LinkJson.Default.EndReport)));
        }

        await answers.SendAsync(frames, gone);
    }

    /// <exception cref="LinkException">It is none.</exception>
    public static AttemptSpec Read(Frame order)
    {
        try
        {
            return order.Read(LinkJson.Default.AttemptOrder).Read();
        }
        catch (Exception error) when (
            error is BerthException or ArgumentException or OverflowException or NullReferenceException)
        {
            throw new LinkException($"An order can't be read: {error.Message}", error);
        }
    }

    private Task RefuseAsync(Exception fault, CancellationToken gone) =>
        ProgramFrames.RefuseAsync(fault, answers, logger, gone);

    private async Task FollowAsync(IAttempt attempt, IDisposable place, CancellationToken gone)
    {
        using CancellationTokenSource over = CancellationTokenSource.CreateLinkedTokenSource(gone);
        Task obeying = ObeyAsync(attempt, over.Token);
        Task feeding = ProgramFrames.FeedAsync(
            input, attempt.Input, () => answers.Post(FrameKind.InputClosed, default), over.Token);
        try
        {
            Task output = ProgramFrames.CopyAsync(
                attempt.Output, FrameKind.Output, FrameKind.OutputEnd, outputCredit, answers, over.Token);
            Task error = ProgramFrames.CopyAsync(
                attempt.Error, FrameKind.Error, FrameKind.ErrorEnd, errorCredit, answers, over.Token);
            Task progress = attempt.Spec.IsInstance
                ? ProgramFrames.ReportFiguresAsync(attempt, answers, room.Time, over.Token)
                : ReportProgressAsync(attempt, over.Token);
            Task all = Task.WhenAll(output, error, progress, ReportAsync(attempt, over.Token));
            await SendTogetherAsync(all, over.Token);
            await Task.WhenAny(all, obeying);
            if (obeying.IsFaulted)
            {
                await over.CancelAsync();
                await obeying;
            }

            await all;
            place.Dispose();
            // The caller has waited long enough: it gets its answer before what was needed for it is cleared away.
            await answers.CloseAsync();
            await end();
        }
        catch (Exception broken) when (broken is OperationCanceledException or IOException)
        {
            LinkLog.Orphaned(logger, attempt.Spec.Id);
        }
        finally
        {
            await over.CancelAsync();
            input.End();
            await feeding;
            await obeying.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            await input.DisposeAsync();
        }
    }

    /// <summary>Does what the server says until it says no more, which is its right once all is reported.</summary>
    private async Task ObeyAsync(IAttempt attempt, CancellationToken over)
    {
        while ((early ?? await orders.ReadAsync(over)) is { } frame)
        {
            early = null;
            if (!ProgramFrames.TryPass(frame, input, outputCredit.Add, errorCredit.Add)
                && !ProgramFrames.TrySteer(frame, attempt))
            {
                throw new LinkException($"A frame {frame.Kind} steers no attempt.");
            }
        }
    }

    /// <summary>What a program that is soon over has to say goes in one piece with the stream's end, since each piece
    /// wakes somebody.</summary>
    private async Task SendTogetherAsync(Task all, CancellationToken over)
    {
        // Not of the node's clock: it is how long the kernel takes, and nothing that anybody configures.
        if (await Task.WhenAny(all, Task.Delay(Together, TimeProvider.System, over)) != all)
        {
            await answers.ReleaseAsync(over);
        }
    }

    private async Task ReportProgressAsync(IAttempt attempt, CancellationToken over)
    {
        await foreach (ProgressReport report in attempt.Progress.ReadAllAsync(over))
        {
            await answers.SendAsync(
                FrameKind.Progress, new ProgressLine(report.Percent, report.Message), LinkJson.Default.ProgressLine,
                over);
        }
    }

    private async Task ReportAsync(IAttempt attempt, CancellationToken over)
    {
        AttemptReport report = await attempt.Completion.WaitAsync(over);
        if (isReported)
        {
            return;
        }

        await answers.SendAsync(
            FrameKind.Report, LinkWords.Write(report), LinkJson.Default.EndReport, over);
    }
}
