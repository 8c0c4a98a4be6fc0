using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Runs;
using Berth.Node.Engines;
using Berth.Node.Init;
using Berth.Node.Linux;

namespace Berth.Node.Attempts;

/// <summary>One program beside an attempt's main one, with its pipes or its terminal.</summary>
internal sealed class LocalExecution : IExecution
{
    private readonly IFurtherProgram program;
    private readonly Pseudoterminal? terminal;

    private LocalExecution(
        IFurtherProgram program, Pseudoterminal? terminal, Stream input, Stream output, Stream error)
    {
        this.program = program;
        this.terminal = terminal;
        Input = input;
        Output = output;
        Error = error;
        Completion = CompleteAsync(program);
    }

    public Stream Input { get; }

    public Stream Output { get; }

    public Stream Error { get; }

    public Task<ExecutionEnd> Completion { get; }

    /// <summary>Throws as <see cref="IAttempt.ExecuteAsync"/> says.</summary>
    /// <param name="main">Whose user, folder and variables it has unless it says otherwise.</param>
    public static async Task<LocalExecution> StartAsync(
        ISandbox sandbox, ProgramStart main, ExecutionSpec spec, ReadinessPoller poller,
        CancellationToken cancellationToken)
    {
        Dictionary<string, string> environment = new(main.Environment, StringComparer.Ordinal);
        environment.Remove("BERTH_PROGRESS_FD");
        if (spec.Terminal is not null)
        {
            environment.TryAdd("TERM", "xterm");
        }

        foreach ((string name, string value) in spec.Environment)
        {
            environment[name] = value;
        }

        ProgramStart start = new(
            spec.Command, environment, spec.User ?? main.User, spec.WorkingDirectory ?? main.WorkingDirectory);
        return spec.Terminal is { } size
            ? await StartAtTerminalAsync(sandbox, start, size, cancellationToken)
            : await StartWithPipesAsync(sandbox, start, poller, cancellationToken);
    }

    public void Signal(int number) => program.Signal(number);

    public void Resize(TerminalSize size)
    {
        if (!Completion.IsCompleted)
        {
            terminal?.Resize(size);
        }
    }

    public async ValueTask DisposeAsync()
    {
        program.Signal(PidHandle.SigKill);
        await Completion;
        await Input.DisposeAsync();
        await Output.DisposeAsync();
        await Error.DisposeAsync();
        terminal?.Dispose();
    }

    private static async Task<LocalExecution> StartAtTerminalAsync(
        ISandbox sandbox, ProgramStart start, TerminalSize size, CancellationToken cancellationToken)
    {
        FurtherBeginning beginning = await sandbox.ExecuteAtTerminalAsync(start, size, cancellationToken);
        Pseudoterminal? terminal = beginning.Terminal;
        try
        {
            IFurtherProgram program = Started(beginning);
            return new LocalExecution(program, terminal, terminal!.Input, terminal.Output, Stream.Null);
        }
        catch
        {
            terminal?.Dispose();
            throw;
        }
    }

    private static async Task<LocalExecution> StartWithPipesAsync(
        ISandbox sandbox, ProgramStart start, ReadinessPoller poller, CancellationToken cancellationToken)
    {
        using Pipe input = Pipe.Create(openToAll: true);
        using Pipe output = Pipe.Create(openToAll: true);
        using Pipe error = Pipe.Create(openToAll: true);
        FurtherBeginning beginning = await sandbox.ExecuteAsync(
            start, [input.ReadEnd, output.WriteEnd, error.WriteEnd], cancellationToken);
        return new LocalExecution(
            Started(beginning),
            terminal: null,
            new PipeWriteStream(input.WriteEnd.Duplicate(), poller),
            new PipeReadStream(output.ReadEnd.Duplicate(), poller),
            new PipeReadStream(error.ReadEnd.Duplicate(), poller));
    }

    private static IFurtherProgram Started(FurtherBeginning beginning) =>
        beginning.Outcome is StartOutcome.EntryPointMissing missing
            ? throw new BerthException(ErrorCode.RunEntryPointMissing, missing.Detail)
            : beginning.Program;

    private static async Task<ExecutionEnd> CompleteAsync(IFurtherProgram program)
    {
        FurtherExit? exit = await program.Exited;
        return exit is null
            ? new ExecutionEnd(null, null)
            : new ExecutionEnd(exit.Signal == 0 ? exit.ExitCode : null, exit.Signal == 0 ? null : exit.Signal);
    }
}
