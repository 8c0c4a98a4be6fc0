using Berth.Node.Engines;
using Berth.Node.Linux;

namespace Berth.Node.Lanes;

/// <summary>The pipes of one program of a lane.</summary>
internal sealed class LaneEnds : IDisposable
{
    private readonly Pipe input = Pipe.Create(openToAll: true);
    private readonly Pipe output = Pipe.Create(openToAll: true);
    private readonly Pipe error = Pipe.Create(openToAll: true);
    private readonly Pipe progress = Pipe.Create(openToAll: true);

    public LaneEnds(ReadinessPoller poller)
    {
        Theirs = [input.ReadEnd, output.WriteEnd, error.WriteEnd, progress.WriteEnd];
        Ours = new SandboxStreams(
            new PipeWriteStream(input.WriteEnd, poller, Pipe.LargestBuffer),
            new PipeReadStream(output.ReadEnd, poller, growsTo: Pipe.LargestBuffer),
            new PipeReadStream(error.ReadEnd, poller, isSeldom: true),
            new PipeReadStream(progress.ReadEnd, poller, isSeldom: true));
    }

    /// <summary>What a lane gets with a program; let go of (by disposing this) once it has them, so that end of file
    /// travels.</summary>
    public IReadOnlyList<FileDescriptor> Theirs { get; }

    /// <summary>This process's ends, which stay open when this is disposed.</summary>
    public SandboxStreams Ours { get; }

    public void Dispose()
    {
        foreach (FileDescriptor end in Theirs)
        {
            end.Dispose();
        }
    }
}
