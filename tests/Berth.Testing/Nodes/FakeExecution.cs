using System.Threading.Channels;
using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Runs;

namespace Berth.Testing.Nodes;

/// <summary>A further program of <see cref="FakeAttempt"/>: one of <see cref="FakeShell"/> between three pipes. At a
/// terminal both outputs are one.</summary>
internal sealed class FakeExecution : IExecution
{
    private readonly MemoryPipe input = new();
    private readonly MemoryPipe output = new();
    private readonly MemoryPipe error = new();
    private readonly CancellationTokenSource ended = new();
    private readonly bool atTerminal;

    private FakeExecution(bool atTerminal)
    {
        this.atTerminal = atTerminal;
    }

    public Stream Input => input.Writer;

    public Stream Output => output.Reader;

    public Stream Error => atTerminal ? Stream.Null : error.Reader;

    public Task<ExecutionEnd> Completion { get; private set; } = null!;

    /// <summary>The last size its terminal was given.</summary>
    public TerminalSize? Size { get; private set; }

    public static FakeExecution Start(
        ExecutionSpec spec, IReadOnlyDictionary<string, string> environment, TimeProvider time, Task attempt)
    {
        FakeExecution execution = new(spec.Terminal is not null) { Size = spec.Terminal };
        Dictionary<string, string> all = new(environment);
        foreach ((string name, string value) in spec.Environment)
        {
            all[name] = value;
        }

        if (!FakeShell.Knows(spec.Command[0]))
        {
            throw new BerthException(ErrorCode.RunEntryPointMissing, $"The image has no program '{spec.Command[0]}'.");
        }

        execution.Completion = execution.RunAsync(spec.Command, all, time);
        _ = attempt.ContinueWith(_ => execution.ended.Cancel(), TaskScheduler.Default);
        return execution;
    }

    public void Signal(int number) => ended.Cancel();

    public void Resize(TerminalSize size) => Size = size;

    public async ValueTask DisposeAsync()
    {
        await ended.CancelAsync();
        await Completion;
        await input.Writer.DisposeAsync();
    }

    private async Task<ExecutionEnd> RunAsync(
        IReadOnlyList<string> command, Dictionary<string, string> environment, TimeProvider time)
    {
        await Task.Yield();
        FakeShell shell = new(
            input.Reader, output.Writer, atTerminal ? output.Writer : error.Writer,
            Channel.CreateUnbounded<ProgressReport>().Writer, time, environment, ended.Token, ended.Token);
        try
        {
            FakeEnd end = await shell.RunAsync(command);
            return new ExecutionEnd(end.ExitCode, end.Signal);
        }
        catch (Exception e) when (e is OperationCanceledException or IOException)
        {
            return new ExecutionEnd(null, 9);
        }
        finally
        {
            await output.Writer.DisposeAsync();
            await error.Writer.DisposeAsync();
            input.CloseReader();
        }
    }
}
