using Berth.Node.Engines;
using Berth.Node.Linux;

namespace Berth.Node.Runtimes;

/// <summary>The pipes of one sandbox: our ends, and the program's, which are the runtime's own standard streams when it
/// creates the container.</summary>
internal sealed class RuntimeStreams
{
    private readonly Pipe input = Pipe.Create(openToAll: true);
    private readonly Pipe output = Pipe.Create(openToAll: true);
    private readonly Pipe error = Pipe.Create(openToAll: true);

    /// <summary>Nobody writes to it: descriptors beyond the standard ones don't reach every runtime's
    /// program.</summary>
    private readonly Pipe progress = Pipe.Create();

    public RuntimeStreams(ReadinessPoller poller) => Ours = new SandboxStreams(
        new PipeWriteStream(input.WriteEnd.Duplicate(), poller, Pipe.LargestBuffer),
        new PipeReadStream(output.ReadEnd.Duplicate(), poller, growsTo: Pipe.LargestBuffer),
        new PipeReadStream(error.ReadEnd.Duplicate(), poller),
        new PipeReadStream(progress.ReadEnd.Duplicate(), poller));

    public SandboxStreams Ours { get; }

    /// <summary>Standard input, output and error.</summary>
    public IReadOnlyList<FileDescriptor> Theirs => [input.ReadEnd, output.WriteEnd, error.WriteEnd];

    /// <summary>So that end of file travels: from now on only the sandbox holds the program's ends.
    /// Idempotent.</summary>
    public void LetGo()
    {
        input.Dispose();
        output.Dispose();
        error.Dispose();
        progress.Dispose();
    }
}
