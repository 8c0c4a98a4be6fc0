using System.IO.Pipelines;
using System.Threading.Channels;
using Berth.Api.Nodes;
using Berth.Core.Resources;
using Berth.Core.Runs;

namespace Berth.Server.Results;

/// <summary>A task's attempt in which no program runs: its output is a result that is held.</summary>
internal sealed class KeptAttempt : IAttempt
{
    private const int Block = 64 * 1024;

    private readonly KeptResult result;
    private readonly Pipe output = new();
    private readonly Channel<ProgressReport> progress = Channel.CreateUnbounded<ProgressReport>();
    private readonly CancellationTokenSource stopped = new();
    private readonly Task copying;
    private EndReason? stopReason;

    /// <param name="result">With a hold that becomes this attempt's own.</param>
    /// <param name="waited">Until it was there.</param>
    public KeptAttempt(AttemptSpec spec, KeptResult result, TimeSpan waited)
    {
        Spec = spec;
        this.result = result;
        Preparation = new AttemptPreparation(waited, TimeSpan.Zero, Prepared: true, Equal: result.Run);
        progress.Writer.Complete();
        Output = output.Reader.AsStream();
        copying = CopyAsync();
        Completion = EndAsync();
    }

    public AttemptSpec Spec { get; }

    public AttemptPreparation Preparation { get; }

    /// <summary>Nobody reads it: an equal program has had an equal one.</summary>
    public Stream Input => Stream.Null;

    public Stream Output { get; }

    public Stream Error => Stream.Null;

    public ChannelReader<ProgressReport> Progress => progress.Reader;

    public Task<AttemptReport> Completion { get; }

    public long Written => result.Output.Length;

    public void Stop(EndReason reason, TimeSpan grace)
    {
        stopReason ??= reason;
        try
        {
            stopped.Cancel();
        }
        catch (ObjectDisposedException)
        {
            // It is over.
            return;
        }
    }

    public void Signal(int number)
    {
    }

    public void Pause()
    {
    }

    public void Resume()
    {
    }

    public void Resize(TerminalSize size)
    {
    }

    public Task<Stream> ConnectAsync(int port, CancellationToken cancellationToken) => throw NoProgram();

    public Task<Stream> AcceptAsync(CancellationToken cancellationToken) => throw NoProgram();

    public AttemptFigures? Measure() => null;

    public Task<IReadOnlyList<ProcessView>> ProcessesAsync(CancellationToken cancellationToken) =>
        Task.FromResult<IReadOnlyList<ProcessView>>([]);

    public Task<IExecution> ExecuteAsync(ExecutionSpec spec, CancellationToken cancellationToken) => throw NoProgram();

    public async ValueTask DisposeAsync()
    {
        await stopped.CancelAsync();
        await copying;
        stopped.Dispose();
        result.Output.Dispose();
    }

    private async Task CopyAsync()
    {
        PipeWriter to = output.Writer;
        Exception? fault = null;
        try
        {
            int count;
            for (long offset = 0;
                (count = await result.Output.ReadAsync(to.GetMemory(Block), offset, stopped.Token)) > 0;
                offset += count)
            {
                to.Advance(count);
                await to.FlushAsync(stopped.Token);
            }
        }
        catch (Exception error) when (error is IOException or OperationCanceledException)
        {
            stopReason ??= EndReason.PlatformFault;
            fault = error as IOException;
        }

        await to.CompleteAsync(fault);
    }

    private async Task<AttemptReport> EndAsync()
    {
        await copying;
        return new AttemptReport(
            stopReason ?? EndReason.Completed, stopReason is null ? 0 : null, null, null,
            RunUsage.None with { BytesOut = result.Output.Length }, TimeSpan.Zero);
    }

    private static IOException NoProgram() => new("No program runs: the result is that of an equal run.");
}
