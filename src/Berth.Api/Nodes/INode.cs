using System.Threading.Channels;
using System.Net;
using Berth.Api.Links;
using Berth.Core.Containers;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Core.Networks;
using Berth.Core.Resources;
using Berth.Core.Runs;

namespace Berth.Api.Nodes;

// The seam between the control server and the machines that run sandboxes. The server decides, a node acts.
// Vocabulary: an attempt is one try of a run in one sandbox of one node. Its id is "<run id>-<number>", and every host
// object (container, cgroup, mount) that a node makes for it carries a name that leads back to it.

/// <summary>A machine that runs sandboxes. In one process it is called directly; between machines by a link.</summary>
public interface INode : IAsyncDisposable
{
    NodeInfo Info { get; }

    /// <summary>
    /// Finds and removes what an earlier process left behind, then begins to accept attempts. Throws BerthException
    /// (<c>MissingTool</c>, <c>NodeFault</c>) when this machine can't run sandboxes, with what to do about it.
    /// </summary>
    Task StartAsync(CancellationToken cancellationToken);

    /// <summary>
    /// Says that calls for this sandbox shape are to be expected, so that some may be prepared ahead. A hint: never
    /// fails, returns at once.
    /// </summary>
    void Expect(SandboxSpec spec);

    /// <summary>
    /// Takes a prepared sandbox (or prepares one) and starts the program in it. Returns when the program runs, so that
    /// the times in <see cref="IAttempt.Preparation"/> are known. What the image is to blame for (a missing entry
    /// point) is not thrown but reported by <see cref="IAttempt.Completion"/>, which is complete then. Throws
    /// BerthException with
    /// <c>NodeFault</c> when the machine is to blame, with a code such as <c>ImageNotFound</c> when the image or the
    /// order is (see <see cref="StartFault"/>), or OperationCanceledException; then nothing is left behind.
    /// </summary>
    Task<IAttempt> StartAsync(AttemptSpec spec, CancellationToken cancellationToken);

    /// <summary>Counts of sandboxes for metrics and <c>berth ps</c>.</summary>
    NodeStatus Status();

    /// <summary>What outlasts sandboxes on this node.</summary>
    INodeStorage Storage { get; }

    /// <summary>Makes a network on this machine, which its first sandbox would do otherwise. Throws BerthException
    /// (<c>NodeFault</c>) where its rules can't be installed.</summary>
    Task MakeNetworkAsync(NetworkDefinition network, CancellationToken cancellationToken) => throw new BerthException(
        ErrorCode.InvalidRequest, $"Networks of the node '{Info.Name}' are not reached from here.");

    /// <summary>Takes away every network but these, with all that serves it. No attempt may be in one of the others.
    /// </summary>
    Task KeepNetworksAsync(IReadOnlySet<string> ids, CancellationToken cancellationToken) => Task.CompletedTask;

    /// <summary>Its networks that are on other machines too; null where it has none.</summary>
    ISharedNetworks? SharedNetworks => null;

    /// <summary>
    /// Stops accepting, ends every attempt still running and removes every sandbox, prepared ones too.
    /// </summary>
    Task StopAsync(CancellationToken cancellationToken);
}

/// <summary>
/// The writable layers of containers and the named volumes of a node. Throws BerthException (<c>InvalidRequest</c>)
/// where the node keeps none, <c>NodeFault</c> where its disk fails.
/// </summary>
public interface INodeStorage
{
    /// <summary>Layers there are, with the bytes each takes on disk.</summary>
    Task<IReadOnlyDictionary<string, ByteSize>> LayersAsync(CancellationToken cancellationToken);

    /// <summary>Nothing happens where there is none.</summary>
    Task RemoveLayerAsync(string layer, CancellationToken cancellationToken);

    /// <summary>
    /// Copies a layer as it is at one moment to a file of this machine; a program that writes to it waits meanwhile.
    /// False where there is none. Throws <c>StorageFull</c>, and <c>Conflict</c> where the program would have to wait
    /// for too long.
    /// </summary>
    Task<bool> CopyLayerAsync(string layer, string target, CancellationToken cancellationToken);

    /// <summary>By name.</summary>
    Task<IReadOnlyList<VolumeInfo>> VolumesAsync(CancellationToken cancellationToken);

    /// <summary>False where there was one already.</summary>
    Task<bool> MakeVolumeAsync(string name, CancellationToken cancellationToken);

    /// <summary>With all that is in it; nothing happens where there is none. No attempt may have it.</summary>
    Task RemoveVolumeAsync(string name, CancellationToken cancellationToken);

    /// <summary>Files of a volume whose paths begin with <paramref name="prefix"/>, in no order; none where there is no
    /// such volume. Links are passed over.</summary>
    /// <param name="most">More than so many are left out.</param>
    Task<VolumeListing> FilesAsync(string name, string prefix, int most, CancellationToken cancellationToken);

    /// <summary>Bytes that a volume takes on disk, found by a walk; null where there is none.</summary>
    Task<ByteSize?> MeasureVolumeAsync(string name, CancellationToken cancellationToken);
}

/// <param name="IsWhole">False where some were left out.</param>
public sealed record VolumeListing(IReadOnlyList<VolumeFile> Files, bool IsWhole);

/// <param name="Path">Within the volume, with '/' between its parts and none before.</param>
public sealed record VolumeFile(string Path, long Size, DateTimeOffset ModifiedAt);

public sealed record VolumeInfo(string Name, DateTimeOffset CreatedAt);

/// <summary>
/// An attempt whose program was started. Disposing ends the program if it still runs and frees its sandbox.
/// </summary>
public interface IAttempt : IAsyncDisposable
{
    AttemptSpec Spec { get; }

    AttemptPreparation Preparation { get; }

    /// <summary>
    /// The program's standard input; disposing it is end of file. Writing after the program closed its end throws
    /// IOException, which says nothing about success: programs may ignore their input.
    /// </summary>
    Stream Input { get; }

    /// <summary>The program's standard output. Ends (reads 0) when every process that held it is gone.</summary>
    Stream Output { get; }

    /// <summary>The program's standard error. Must be read to its end, or the program may block.</summary>
    Stream Error { get; }

    /// <summary>Progress the program reported; bounded, oldest dropped, completed at the program's end.</summary>
    ChannelReader<ProgressReport> Progress { get; }

    /// <summary>
    /// How it ended. Completes once the program and all it started are gone, whether or not the streams were read.
    /// Never faults: a fault of the machine is an <see cref="EndReason.PlatformFault"/>.
    /// </summary>
    Task<AttemptReport> Completion { get; }

    /// <summary>
    /// Ends the program: SIGTERM, then SIGKILL to everything in the sandbox once <paramref name="grace"/> has passed
    /// (zero: SIGKILL at once). <paramref name="reason"/> becomes the report's reason unless the program ended first.
    /// Idempotent; returns at once.
    /// </summary>
    void Stop(EndReason reason, TimeSpan grace);

    /// <summary>A signal (1 to 64) for the program's main process. What comes of it is in the report as if the program
    /// had got it from elsewhere.</summary>
    void Signal(int number);

    /// <summary>Stops every process where it stands. <see cref="Stop"/> wakes them. Idempotent.</summary>
    void Pause();

    void Resume();

    /// <summary>How much the program's terminal shows; nothing happens where it has none.</summary>
    void Resize(TerminalSize size);

    /// <summary>
    /// A connection to what listens on a TCP port of the sandbox's own loopback. Throws IOException when nothing does
    /// or the attempt has ended, BerthException (<c>InvalidRequest</c>) where its runtime can't.
    /// </summary>
    Task<Stream> ConnectAsync(int port, CancellationToken cancellationToken);

    /// <summary>
    /// The next connection that a program of the sandbox makes to <see cref="AttemptSpec.Listen"/>. Throws IOException
    /// once the attempt has ended. What comes over it is as hostile as the program.
    /// </summary>
    Task<Stream> AcceptAsync(CancellationToken cancellationToken);

    /// <summary>Bytes that the program has written to its output and its error, read already or not.</summary>
    long Written { get; }

    /// <summary>What it uses now; null once it has ended.</summary>
    AttemptFigures? Measure();

    /// <summary>What runs now; empty once it has ended. Throws BerthException (<c>NodeFault</c>) where its machine does
    /// not tell.</summary>
    Task<IReadOnlyList<ProcessView>> ProcessesAsync(CancellationToken cancellationToken);

    /// <summary>
    /// Runs a program beside the main one, in the same sandbox and under the same limits. Throws BerthException:
    /// <c>RunEntryPointMissing</c> when the image has no such program, user or folder, <c>NodeFault</c> when the
    /// machine is to blame or the attempt has ended.
    /// </summary>
    Task<IExecution> ExecuteAsync(ExecutionSpec spec, CancellationToken cancellationToken);
}

/// <summary>A program beside an attempt's main one. Disposing ends it if it still runs.</summary>
public interface IExecution : IAsyncDisposable
{
    /// <summary>Its standard input, or what is typed at its terminal.</summary>
    Stream Input { get; }

    /// <summary>Its standard output, or what its terminal shows.</summary>
    Stream Output { get; }

    /// <summary>Its standard error; empty with a terminal.</summary>
    Stream Error { get; }

    /// <summary>How its main process ended. Never faults.</summary>
    Task<ExecutionEnd> Completion { get; }

    void Signal(int number);

    /// <summary>Nothing happens where it has no terminal.</summary>
    void Resize(TerminalSize size);
}

/// <summary>A program to run beside an attempt's main one.</summary>
/// <param name="Command">At least the program.</param>
/// <param name="Environment">Added to that of the main program, winning over it.</param>
/// <param name="User">As <see cref="AttemptSpec.User"/>; null for the main program's.</param>
/// <param name="WorkingDirectory">Absolute and there already; null for the main program's.</param>
/// <param name="Terminal">The size of the terminal to run it at; null for pipes.</param>
public sealed record ExecutionSpec(
    IReadOnlyList<string> Command,
    IReadOnlyDictionary<string, string> Environment,
    string? User,
    string? WorkingDirectory,
    TerminalSize? Terminal);

/// <param name="ExitCode">Null when a signal ended it, or when it ended with the attempt.</param>
/// <param name="Signal">Number of the signal that ended it, where one did.</param>
public sealed record ExecutionEnd(int? ExitCode, int? Signal);

/// <param name="Processor">Time used since the attempt began.</param>
/// <param name="Memory">Charged now, files written and cached included.</param>
/// <param name="Processes">Processes and threads' leaders now, the init left out.</param>
public sealed record AttemptFigures(TimeSpan Processor, ByteSize Memory, ByteSize PeakMemory, int Processes);

/// <summary>The shape of a sandbox: all that must be known to prepare one ahead. Attempts of equal shape share a
/// pool.</summary>
/// <param name="Runtime">Name of the <see cref="RegisteredRuntime"/> to make it with, never ahead of need; null for the
/// node's own.</param>
/// <param name="Family">Sandboxes of one family, image, limits and network are made within one container, each with
/// namespaces, a writable layer and control groups of its own and for one attempt alone. Only programs that trust each
/// other may share a family. Null for a container each.</param>
/// <param name="Reuse">How many attempts at once a sandbox may have, one after the other in each place: they share its
/// files and limits, but no process and no stream. Null for sandboxes that have one attempt and go with it.</param>
/// <param name="Bridge">The network it is in; null unless <paramref name="Network"/> says it is in one.</param>
public sealed record SandboxSpec(
    Digest Image, SandboxLimits Limits, NetworkMode Network, string? Runtime = null, string? Family = null,
    int? Reuse = null, NetworkDefinition? Bridge = null);

/// <summary>What a container has beyond the shape that calls share. Such a sandbox is made for one attempt.</summary>
/// <param name="Layer">Id of the writable layer that outlasts the sandbox, 1 to 64 of a-z, 0-9 and -; null for one that
/// goes with it. One sandbox at a time has it.</param>
/// <param name="ReadOnlyRoot">Nothing but the mounts can be written.</param>
/// <param name="HostName">What the program sees as its machine's name; null for one of the sandbox's own.</param>
/// <param name="Address">In its network; null for any.</param>
public sealed record SandboxExtras(
    string? Layer, bool ReadOnlyRoot, IReadOnlyList<SandboxMount> Mounts, string? HostName,
    IPAddress? Address = null);

/// <summary>How a program is found while it runs.</summary>
/// <param name="Names">In its network.</param>
/// <param name="Ports">Of the node's machine, that lead to its own.</param>
public sealed record AttemptNetwork(IReadOnlyList<string> Names, IReadOnlyList<PublishedPort> Ports);

/// <summary>A folder put into a sandbox.</summary>
/// <param name="Target">Absolute path in the sandbox; made when missing.</param>
public abstract record SandboxMount(string Target, bool ReadOnly)
{
    public static SandboxMount Of(RunMount mount) => mount.Kind switch
    {
        MountKind.Volume => new Volume(mount.Source, mount.Target, mount.ReadOnly),
        MountKind.Host => new Host(mount.Source, mount.Target, mount.ReadOnly),
        _ => new Temporary(mount.Target, mount.Size, mount.ReadOnly),
    };

    /// <summary>One below another comes after it, or it would be hidden.</summary>
    public static IReadOnlyList<SandboxMount> InOrder(IEnumerable<SandboxMount> mounts) =>
        [.. mounts.OrderBy(m => m.Target.Count(c => c == '/'))];

    /// <summary>What a caller asks for to get it; null for files of the server's own.</summary>
    public RunMount? AsAsked() => this switch
    {
        Volume v => new RunMount(MountKind.Volume, v.Name, v.Target, v.ReadOnly),
        Host h => new RunMount(MountKind.Host, h.Path, h.Target, h.ReadOnly),
        Temporary t => new RunMount(MountKind.Temporary, "", t.Target, t.ReadOnly, t.Size),
        _ => null,
    };

    /// <summary>A named volume of the node, made at its first use.</summary>
    public sealed record Volume(string Name, string Target, bool ReadOnly) : SandboxMount(Target, ReadOnly);

    /// <summary>A folder or file of the node's own.</summary>
    public sealed record Host(string Path, string Target, bool ReadOnly) : SandboxMount(Target, ReadOnly);

    /// <summary>An empty folder in memory, gone with the sandbox and charged to it.</summary>
    public sealed record Temporary(string Target, ByteSize Size, bool ReadOnly = false)
        : SandboxMount(Target, ReadOnly);

    /// <summary>A folder in memory with these files, which only the program's user can read and nobody can write.
    /// </summary>
    /// <param name="User">As <see cref="AttemptSpec.User"/>.</param>
    public sealed record Files(string Target, IReadOnlyList<SandboxFile> Content, string? User)
        : SandboxMount(Target, true);
}

/// <param name="Name">One part of a path.</param>
public sealed record SandboxFile(string Name, ReadOnlyMemory<byte> Content);

/// <summary>One attempt as the server orders it.</summary>
/// <param name="Id">"run id-attempt number"; unique for all time.</param>
/// <param name="Command">Entry point and arguments replacing the image's; null or empty keeps the
/// image's ENTRYPOINT and CMD.</param>
/// <param name="Arguments">Replaces the image's CMD, keeping its ENTRYPOINT; null keeps CMD.</param>
/// <param name="Environment">Added to the image's environment, winning over it.</param>
/// <param name="User">Overrides the image's USER: <c>uid[:gid]</c> or names known to the image's own
/// files; null keeps it.</param>
/// <param name="WorkingDirectory">Absolute path overriding the image's; null keeps it.</param>
/// <param name="Timeout">How long from the order on until the program must have ended, by the node's monotonic clock:
/// clocks of machines differ and jump. Told to the program as a time of day, BERTH_DEADLINE. The node ends it then with
/// <see cref="EndReason.TimedOut"/> after SIGTERM and <paramref name="Grace"/>. Null: it may run for ever.</param>
/// <param name="Terminal">The size of the terminal to run it at: input and output are the terminal's, and standard
/// error goes there too. Null for pipes.</param>
/// <param name="Extras">Null for calls and tasks.</param>
/// <param name="Listen">A TCP port of the sandbox's own loopback that is listened on for the program from before it
/// starts, for <see cref="IAttempt.AcceptAsync"/>; null for none.</param>
/// <param name="Ahead">What is known of its input already; null where nothing is.</param>
/// <param name="Found">How others find it; null unless its sandbox is in a network.</param>
/// <param name="IsInstance">Whether its program stands ready for many calls, and so takes none of a node's places.
/// </param>
/// <param name="IsContainer">Whether its program goes on where the link to its node breaks.</param>
/// <param name="Yields">Whether a node of another machine that has no room refuses it with <c>NoNode</c>; otherwise it
/// waits there for a while and then runs all the same.</param>
/// <param name="Hold">How long such a node waits with that and gives nothing else what room comes free: something there
/// is being ended for it.</param>
/// <param name="KeepRoom">How long such a node keeps a container's room after its program's end: it may be started
/// again.</param>
public sealed record AttemptSpec(
    string Id,
    RunId Run,
    int Number,
    SandboxSpec Sandbox,
    IReadOnlyList<string>? Command,
    IReadOnlyList<string>? Arguments,
    IReadOnlyDictionary<string, string> Environment,
    string? User,
    string? WorkingDirectory,
    TimeSpan? Timeout,
    TimeSpan Grace,
    TerminalSize? Terminal = null,
    SandboxExtras? Extras = null,
    int? Listen = null,
    IInputAhead? Ahead = null,
    AttemptNetwork? Found = null,
    bool IsInstance = false,
    bool IsContainer = false,
    bool Yields = false,
    TimeSpan Hold = default,
    TimeSpan KeepRoom = default);

/// <param name="Prepare">Time until a sandbox was at hand.</param>
/// <param name="Start">Time from then until the program ran.</param>
/// <param name="Prepared">Whether the sandbox had been prepared ahead.</param>
/// <param name="Instance">Id of the instance that has the call; null where the program is the attempt's own.</param>
/// <param name="Equal">The run whose result this attempt is; null where a program runs.</param>
/// <param name="Node">Name of the node it is on; null where that is the server's own.</param>
public sealed record AttemptPreparation(
    TimeSpan Prepare, TimeSpan Start, bool Prepared, string? Instance = null, RunId? Equal = null,
    string? Node = null);

/// <summary>The truth about an ended attempt.</summary>
/// <param name="ExitCode">The program's exit code where it exited by itself.</param>
/// <param name="Signal">Number of the signal that ended it, where one did.</param>
/// <param name="Detail">A sentence for people, naming limits and knobs; null when there is nothing to add.</param>
/// <param name="Answer">Of a program that answered over HTTP.</param>
/// <param name="RetryAfter">How long it asked to wait before another attempt.</param>
public sealed record AttemptReport(
    EndReason Reason, int? ExitCode, int? Signal, string? Detail, RunUsage Usage, TimeSpan RunTime,
    ServiceAnswer? Answer = null, TimeSpan? RetryAfter = null);

/// <param name="Percent">0 to 100.</param>
/// <param name="Message">At most 200 characters of the program's own words, or null.</param>
public sealed record ProgressReport(double Percent, string? Message);

/// <summary>A process in a sandbox. Its words are its own: not made safe to show.</summary>
/// <param name="Id">Inside the sandbox.</param>
/// <param name="User">Inside the sandbox.</param>
/// <param name="Command">Name and arguments, at most 4 KiB; the kernel's name in brackets where it has none.</param>
public sealed record ProcessView(int Id, uint User, TimeSpan ProcessorTime, ByteSize Resident, string Command);

public sealed record NodeInfo(string Name, int Cores, ByteSize Memory, string Engine, int CgroupVersion)
{
    /// <summary>Instruction sets of the processor that programs may ask for, such as avx2.</summary>
    public IReadOnlyList<string> Features { get; init; } = [];

    /// <summary>Accelerators, in the order in which the machine counts them.</summary>
    public IReadOnlyList<DeviceFact> Devices { get; init; } = [];

    /// <summary>Of the machine, that may be put into sandboxes with all that is below them.</summary>
    public IReadOnlyList<string> HostFolders { get; init; } = [];
}

/// <summary>One line of <c>berth ps</c>: a sandbox on this node.</summary>
/// <param name="State">preparing, ready, running or removing.</param>
public sealed record SandboxView(string Id, string State, string? Attempt, Digest Image, DateTimeOffset Created);

public sealed record NodeStatus(
    IReadOnlyList<SandboxView> Sandboxes, long Prepared, long TakenReady, long TakenCold, long Removed, long Faults);
