using Berth.Node.Init;
using Berth.Node.Linux;

namespace Berth.Node.Engines;

/// <summary>Both ends of all that connects a sandbox with this process. The sandbox's are to be let go of (by disposing
/// this) once it has them, so that end of file travels.</summary>
internal sealed class SandboxEnds : IDisposable
{
    private readonly Pipe input = Pipe.Create(openToAll: true);
    private readonly Pipe output = Pipe.Create(openToAll: true);
    private readonly Pipe error = Pipe.Create(openToAll: true);
    private readonly Pipe progress = Pipe.Create(openToAll: true);
    private readonly SocketPair control = SocketPair.Create();

    /// <summary>What an init inherits as 0 to 4.</summary>
    public IReadOnlyList<FileDescriptor> Theirs =>
        [input.ReadEnd, output.WriteEnd, error.WriteEnd, control.Theirs, progress.WriteEnd];

    /// <summary>Of this process's own; they stay open when this is disposed.</summary>
    public SandboxStreams TakeStreams(ReadinessPoller poller) => new(
        new PipeWriteStream(input.WriteEnd.Duplicate(), poller, Pipe.LargestBuffer),
        new PipeReadStream(output.ReadEnd.Duplicate(), poller, growsTo: Pipe.LargestBuffer),
        new PipeReadStream(error.ReadEnd.Duplicate(), poller, isSeldom: true),
        new PipeReadStream(progress.ReadEnd.Duplicate(), poller, isSeldom: true));

    public InitChannel TakeChannel(ReadinessPoller poller) => new(control.Ours.Duplicate(), poller);

    public void Dispose()
    {
        input.Dispose();
        output.Dispose();
        error.Dispose();
        progress.Dispose();
        control.Dispose();
    }
}
