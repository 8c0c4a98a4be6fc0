using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Networks;
using Berth.Core.Resources;
using Berth.Core.Runs;
using Berth.Node.Cgroups;
using Berth.Node.Init;
using Berth.Node.Linux;
using Berth.Oci.Layers;

namespace Berth.Node.Engines;

// Vocabulary: an engine makes containers. A sandbox is one of its containers with berth-init as process 1, ready to run
// one program, once.

/// <summary>Makes sandboxes. Every call may be interrupted at any point, by the death of this process too: what is
/// half-made is found by the next <see cref="SweepAsync"/>.</summary>
public interface IEngine : IAsyncDisposable
{
    /// <summary>Name and version, for people.</summary>
    string Name { get; }

    int CgroupVersion { get; }

    /// <summary>
    /// Takes the machine over: removes everything that an earlier process left and checks that containers can be made.
    /// Throws BerthException (MissingTool, NodeFault).
    /// </summary>
    Task StartAsync(CancellationToken cancellationToken);

    /// <summary>
    /// Makes a sandbox whose init waits for its program. The image must be held until the sandbox is
    /// removed. Throws BerthException (NodeFault, or what the image is to blame for) or
    /// OperationCanceledException and leaves nothing behind.
    /// </summary>
    /// <param name="extras">Null for a sandbox of the common kind.</param>
    Task<ISandbox> PrepareAsync(
        SandboxSpec spec, ImageHandle image, SandboxExtras? extras, CancellationToken cancellationToken);

    /// <summary>As <see cref="INode.MakeNetworkAsync"/>.</summary>
    Task MakeNetworkAsync(NetworkDefinition network, CancellationToken cancellationToken) => Task.CompletedTask;

    /// <summary>As <see cref="INode.KeepNetworksAsync"/>.</summary>
    Task KeepNetworksAsync(IReadOnlySet<string> ids, CancellationToken cancellationToken) => Task.CompletedTask;

    /// <summary>As <see cref="INode.SharedNetworks"/>.</summary>
    ISharedNetworks? SharedNetworks => null;

    /// <summary>Removes what belongs to no living sandbox. Returns how many objects that were.</summary>
    Task<int> SweepAsync(CancellationToken cancellationToken);
}

/// <summary>One container. Disposing removes it whatever its state and closes the streams: idempotent, and complete
/// when it returns.</summary>
public interface ISandbox : IAsyncDisposable
{
    string Id { get; }

    SandboxSpec Spec { get; }

    /// <summary>The name the program sees as its machine's.</summary>
    string HostName { get; }

    DateTimeOffset Created { get; }

    /// <summary>False once its init is gone; such a sandbox can't run anything.</summary>
    bool IsAlive { get; }

    SandboxStreams Streams { get; }

    /// <summary>The program and all it started are gone; null when they went without their init's report.</summary>
    Task<ProgramExit?> Exited { get; }

    /// <summary>Runs the program, at a new terminal where a size is given; once per sandbox. See
    /// <see cref="InitChannel.StartAsync"/>.</summary>
    Task<ProgramBeginning> StartAsync(
        ProgramStart program, TerminalSize? terminal, CancellationToken cancellationToken);

    /// <summary>Runs a program beside the main one. See <see cref="InitChannel.ExecuteAsync"/>.</summary>
    /// <param name="descriptors">Its standard input, output and error; they stay the caller's.</param>
    Task<FurtherBeginning> ExecuteAsync(
        ProgramStart program, IReadOnlyList<FileDescriptor> descriptors, CancellationToken cancellationToken);

    /// <summary>The same at a new terminal.</summary>
    Task<FurtherBeginning> ExecuteAtTerminalAsync(
        ProgramStart program, TerminalSize size, CancellationToken cancellationToken);

    /// <summary>A place for programs one after the other, instead of a main program. Any number of them; they go with
    /// the sandbox. Throws BerthException (NodeFault), or InvalidRequest where the runtime is a further one.</summary>
    Task<ILane> OpenLaneAsync(CancellationToken cancellationToken);

    /// <summary>A connection to what listens on a port of the sandbox's own loopback (127.0.0.1). Throws IOException
    /// when nothing does, BerthException (InvalidRequest) where the runtime keeps its network to itself.</summary>
    Task<Stream> ConnectAsync(int port, CancellationToken cancellationToken);

    /// <summary>Listens on a port of the sandbox's own loopback. Throws BerthException: NodeFault, or InvalidRequest
    /// where the runtime keeps its network to itself.</summary>
    LoopbackListener Listen(int port);

    /// <summary>Makes its program findable in its network, until that is disposed. Throws BerthException: Conflict
    /// where a port of the machine is taken, InvalidRequest where the sandbox is in no network.</summary>
    IDisposable Announce(AttemptNetwork found) => throw new BerthException(
        ErrorCode.InvalidRequest, "Only in a network others find a program: give it one with --network.");

    /// <summary>Stops every process where it stands, the init too: nothing is obeyed until <see cref="Resume"/>, but
    /// removing is.</summary>
    void Pause();

    void Resume();

    /// <summary>What runs now, without the init. Empty once it was removed.</summary>
    IReadOnlyList<ProcessView> ReadProcesses();

    /// <summary>To the program's main process.</summary>
    void Signal(int signal);

    /// <summary>SIGKILL to everything the program started.</summary>
    void Kill();

    /// <summary>SIGKILL to the init too, for when it doesn't answer.</summary>
    void KillInit();

    /// <summary>What was used since the sandbox stood ready. Throws IOException once it was removed.</summary>
    /// <param name="withSplit">As <see cref="ICgroup.ReadUsage"/>.</param>
    SandboxUsage ReadUsage(bool withSplit = true);

    /// <summary>Charged to the sandbox now. Throws as <see cref="ReadUsage"/>.</summary>
    ByteSize ReadMemory();

    /// <summary>Files that live in memory: what was written and is there still. Throws as
    /// <see cref="ReadUsage"/>.</summary>
    ByteSize ReadFilesInMemory();

    /// <summary>
    /// Removes the container but leaves the streams open, so that what the program wrote can still be read.
    /// </summary>
    Task RemoveAsync();
}

/// <summary>A place of a sandbox for one program after the other. Whatever a program started is gone when it has
/// exited. Disposing ends what runs; the sandbox goes on.</summary>
public interface ILane : IAsyncDisposable
{
    /// <summary>False once it can run nothing more: what it ran could not be ended, or the sandbox is gone.</summary>
    bool IsAlive { get; }

    /// <summary>The end of the program started last and of everything it started; null when they went without a report.
    /// Never faults.</summary>
    Task<ProgramExit?> Exited { get; }

    /// <summary>Runs a program, after the one before has exited. Throws as <see cref="InitChannel.StartAsync"/>;
    /// canceled, it may run nevertheless.</summary>
    /// <param name="descriptors">Standard input, output and error, and the progress pipe's write end; they stay the
    /// caller's.</param>
    Task<StartOutcome> StartAsync(
        ProgramStart program, IReadOnlyList<FileDescriptor> descriptors, CancellationToken cancellationToken);

    /// <summary>To the program's main process.</summary>
    void Signal(int signal);

    /// <summary>SIGKILL to everything the program started.</summary>
    void Kill();
}

/// <param name="Terminal">Where one was asked for and the program runs; it is the caller's.</param>
public sealed record ProgramBeginning(StartOutcome Outcome, Pseudoterminal? Terminal = null);

/// <param name="Terminal">As with <see cref="ProgramBeginning"/>.</param>
public sealed record FurtherBeginning(
    IFurtherProgram Program, StartOutcome Outcome, Pseudoterminal? Terminal = null);

/// <param name="Resources">Since the sandbox stood ready.</param>
/// <param name="OutOfMemoryKills">Processes the kernel ended at the memory limit.</param>
public sealed record SandboxUsage(CgroupUsage Resources, long OutOfMemoryKills);
