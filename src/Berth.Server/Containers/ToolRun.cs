using Berth.Api.Nodes;

namespace Berth.Server.Containers;

/// <summary>Berth's own tool at work in a container's files: beside the container's program, or alone where none runs.
/// Holds the container still until it is disposed.</summary>
internal sealed class ToolRun : IAsyncDisposable
{
    private readonly IAsyncDisposable program;
    private readonly IDisposable turn;

    public ToolRun(IExecution execution, IDisposable turn)
    {
        program = execution;
        this.turn = turn;
        Input = execution.Input;
        Output = execution.Output;
        Error = execution.Error;
        ExitCode = ExitCodeAsync(execution);
    }

    public ToolRun(IAttempt attempt, IDisposable turn)
    {
        program = attempt;
        this.turn = turn;
        Input = attempt.Input;
        Output = attempt.Output;
        Error = attempt.Error;
        ExitCode = ExitCodeAsync(attempt);
    }

    public Stream Input { get; }

    public Stream Output { get; }

    public Stream Error { get; }

    /// <summary>Null where it did not exit by itself. Never faults.</summary>
    public Task<int?> ExitCode { get; }

    public async ValueTask DisposeAsync()
    {
        await program.DisposeAsync();
        turn.Dispose();
    }

    private static async Task<int?> ExitCodeAsync(IExecution execution) => (await execution.Completion).ExitCode;

    private static async Task<int?> ExitCodeAsync(IAttempt attempt) => (await attempt.Completion).ExitCode;
}
