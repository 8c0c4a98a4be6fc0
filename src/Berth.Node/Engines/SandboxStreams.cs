using Berth.Node.Linux;

namespace Berth.Node.Engines;

/// <summary>This process's ends of the pipes into one sandbox.</summary>
/// <param name="Progress">What the program writes to the descriptor named by BERTH_PROGRESS_FD.</param>
public sealed record SandboxStreams(
    PipeWriteStream Input, PipeReadStream Output, PipeReadStream Error, PipeReadStream Progress) : IDisposable
{
    public void Dispose()
    {
        Input.Dispose();
        Output.Dispose();
        Error.Dispose();
        Progress.Dispose();
    }
}
