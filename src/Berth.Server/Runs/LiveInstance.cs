using Berth.Api.Nodes;
using Berth.Core.Runs;
using Berth.Server.Logs;

namespace Berth.Server.Runs;

/// <summary>A running program that serves many calls. All it writes goes to its log.</summary>
internal sealed class LiveInstance
{
    private readonly IAttempt attempt;
    private readonly ErrorStreamCopy output;
    private readonly ErrorStreamCopy errors;
    private string? retired;
    private long calls;
    private long bytesIn;
    private long bytesOut;

    /// <param name="log">Where to; becomes this object's own.</param>
    /// <param name="finish">Closes the books: called once with the end and the time the program ran.</param>
    public LiveInstance(
        IAttempt attempt, (RunLogWriter Output, RunLogWriter Error, IDisposable File) log,
        Action<RunEnd, TimeSpan> finish)
    {
        this.attempt = attempt;
        attempt.Input.Dispose();
        output = new ErrorStreamCopy(attempt.Output, log.Output);
        errors = new ErrorStreamCopy(attempt.Error, log.Error);
        Completion = FinishAsync(log.File, finish);
    }

    public RunId Id => attempt.Spec.Run;

    /// <summary>Name of the node that it is on; null where that is the server's own.</summary>
    public string? Node => attempt.Preparation.Node;

    /// <summary>Its program has ended; its record may not be closed yet.</summary>
    public bool HasEnded => attempt.Completion.IsCompleted;

    /// <summary>How it ended, told once its record is closed. Never faults.</summary>
    public Task<RunEnd> Completion { get; }

    /// <summary>The last of what it wrote, to standard error or else to standard output.</summary>
    public string Tail => errors.Tail is { Length: > 0 } said ? said : output.Tail;

    /// <summary>What it uses now; null once it has ended.</summary>
    public AttemptFigures? Measure() => attempt.Measure();

    /// <summary>As <see cref="IAttempt.ConnectAsync"/>.</summary>
    public Task<Stream> ConnectAsync(int port, CancellationToken cancellationToken) =>
        attempt.ConnectAsync(port, cancellationToken);

    /// <summary>As <see cref="IAttempt.AcceptAsync"/>.</summary>
    public Task<Stream> AcceptAsync(CancellationToken cancellationToken) => attempt.AcceptAsync(cancellationToken);

    /// <summary>Bytes that it has written so far, as a mark for <see cref="SaidSinceAsync"/>.</summary>
    public (long Output, long Errors) Mark => (output.Total, errors.Total);

    /// <summary>The last of what it wrote since then, at most 4 KiB, output before errors.</summary>
    /// <param name="patience">For what it has written already to come through.</param>
    public async Task<string> SaidSinceAsync((long Output, long Errors) mark, TimeSpan patience, TimeProvider time)
    {
        long written = attempt.Written;
        long begun = time.GetTimestamp();
        while (output.Total + errors.Total < written && time.GetElapsedTime(begun) < patience)
        {
            await Task.Delay(TimeSpan.FromMilliseconds(1), time);
        }

        string said = output.TailSince(mark.Output) + errors.TailSince(mark.Errors);
        return said.Length > ErrorStreamCopy.TailLimit ? said[^ErrorStreamCopy.TailLimit..] : said;
    }

    /// <summary>For its record: one call, and the bytes of its bodies.</summary>
    public void Count(long received, long sent)
    {
        Interlocked.Increment(ref calls);
        Interlocked.Add(ref bytesIn, received);
        Interlocked.Add(ref bytesOut, sent);
    }

    /// <summary>As <see cref="IAttempt.Pause"/>.</summary>
    public void Pause() => attempt.Pause();

    public void Resume() => attempt.Resume();

    /// <summary>With its grace, unless the server can't wait.</summary>
    public void Stop(EndReason reason) =>
        attempt.Stop(reason, reason == EndReason.PlatformFault ? TimeSpan.Zero : attempt.Spec.Grace);

    /// <summary>It is not needed any more.</summary>
    /// <param name="why">A sentence for its record; the first one stays.</param>
    public void Retire(string why, EndReason reason = EndReason.Canceled)
    {
        retired ??= why;
        Stop(reason);
    }

    private async Task<RunEnd> FinishAsync(IDisposable file, Action<RunEnd, TimeSpan> finish)
    {
        AttemptReport report = await attempt.Completion;
        await Task.WhenAll(output.Completion, errors.Completion);
        file.Dispose();
        await attempt.DisposeAsync();
        RunUsage usage = report.Usage with
        {
            BytesIn = Interlocked.Read(ref bytesIn),
            BytesOut = Interlocked.Read(ref bytesOut),
        };
        string served = $"It answered {Interlocked.Read(ref calls):N0} calls.";
        string detail = string.Join(' ', ((string?[])[report.Detail, retired, served]).OfType<string>());
        RunEnd end = new(report.Reason, report.ExitCode, report.Signal, detail, usage);
        finish(end, report.RunTime);
        return end with { Detail = report.Detail };
    }
}
