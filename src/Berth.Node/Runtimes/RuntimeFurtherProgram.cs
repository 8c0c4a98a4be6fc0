using Berth.Node.Init;
using Berth.Node.Linux;

namespace Berth.Node.Runtimes;

/// <summary>A program that a runtime's exec left running, or the runtime's own stand-in for it, which ends as that does
/// and hands signals on.</summary>
internal sealed class RuntimeFurtherProgram : IFurtherProgram
{
    private readonly PidHandle? process;

    public RuntimeFurtherProgram(PidHandle process)
    {
        this.process = process;
        Exited = WaitAsync(process);
    }

    private RuntimeFurtherProgram() => Exited = Task.FromResult<FurtherExit?>(null);

    /// <summary>One that never ran.</summary>
    public static RuntimeFurtherProgram None { get; } = new();

    public Task<FurtherExit?> Exited { get; }

    public void Signal(int number)
    {
        if (!Exited.IsCompleted)
        {
            process?.Signal(number);
        }
    }

    private static async Task<FurtherExit?> WaitAsync(PidHandle process)
    {
        ProgramEnd? end = await process.Exited;
        process.Dispose();
        return end is null ? null : new FurtherExit(end.ExitCode, end.Signal);
    }
}
