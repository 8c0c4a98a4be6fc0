using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Resources;
using Berth.Core.Runs;
using Berth.Node.Cgroups;
using Berth.Node.Engines;
using Berth.Node.Init;
using Berth.Node.Linux;

namespace Berth.Testing.Engines;

/// <summary>A sandbox of <see cref="FakeEngine"/>: four pipes, and once started one process of this machine.</summary>
public sealed class FakeSandbox : ISandbox
{
    private const int Stop = 19;
    private const int Continue = 18;

    private static readonly string[] Folders = ["/bin", "/usr/bin", "/usr/local/bin"];

    private readonly Pipe[] pipes = [Pipe.Create(), Pipe.Create(), Pipe.Create(), Pipe.Create()];
    private readonly TaskCompletionSource<ProgramExit?> exited =
        new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly ReadinessPoller poller;
    private readonly Action<FakeSandbox> gone;
    private readonly Lock gate = new();
    private PidHandle? program;
    private readonly List<FakeFurtherProgram> furthers = [];
    private bool dead;
    private bool removed;

    internal FakeSandbox(
        string id, SandboxSpec spec, DateTimeOffset created, ReadinessPoller poller, Action<FakeSandbox> gone)
    {
        Id = id;
        Spec = spec;
        Created = created;
        this.poller = poller;
        this.gone = gone;
        Streams = new SandboxStreams(
            new PipeWriteStream(pipes[0].WriteEnd.Duplicate(), poller),
            new PipeReadStream(pipes[1].ReadEnd.Duplicate(), poller),
            new PipeReadStream(pipes[2].ReadEnd.Duplicate(), poller),
            new PipeReadStream(pipes[3].ReadEnd.Duplicate(), poller));
    }

    public string Id { get; }

    public SandboxSpec Spec { get; }

    public string HostName => Id[^12..];

    public DateTimeOffset Created { get; }

    public bool IsAlive => !dead && !removed && !exited.Task.IsCompleted;

    public bool IsRemoved => removed;

    /// <summary>What its programs are to have left.</summary>
    public ByteSize FilesInMemory { get; set; }

    public SandboxStreams Streams { get; }

    public Task<ProgramExit?> Exited => exited.Task;

    public Task<ProgramBeginning> StartAsync(
        ProgramStart program, TerminalSize? terminal, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        Pseudoterminal? opened = OpenTerminal(terminal);
        FileDescriptor[] streams = opened?.Program is { } end
            ? [end, end, end, pipes[3].WriteEnd]
            : [pipes[0].ReadEnd, pipes[1].WriteEnd, pipes[2].WriteEnd, pipes[3].WriteEnd];
        if (SpecOf(program, streams) is not { } spec)
        {
            opened?.Dispose();
            exited.TrySetResult(null);
            ClosePipes();
            return Task.FromResult(new ProgramBeginning(Missing(program)));
        }

        lock (gate)
        {
            this.program = Spawner.Start(spec, poller);
        }

        opened?.Program!.Dispose();
        ClosePipes();
        _ = ReportAsync(this.program);
        return Task.FromResult(new ProgramBeginning(new StartOutcome.Started(this.program.Pid), opened));
    }

    public Task<FurtherBeginning> ExecuteAsync(
        ProgramStart program, IReadOnlyList<FileDescriptor> descriptors, CancellationToken cancellationToken)
    {
        if (!IsAlive)
        {
            throw FakeEngine.MachineFault("The sandbox is gone.");
        }

        FakeFurtherProgram further = new(
            SpecOf(program, [.. descriptors]) is { } spec ? Spawner.Start(spec, poller) : null);
        lock (gate)
        {
            furthers.Add(further);
        }

        return Task.FromResult(new FurtherBeginning(
            further, further.Process is { } process ? new StartOutcome.Started(process.Pid) : Missing(program)));
    }

    public async Task<FurtherBeginning> ExecuteAtTerminalAsync(
        ProgramStart program, TerminalSize size, CancellationToken cancellationToken)
    {
        Pseudoterminal terminal = OpenTerminal(size)!;
        FileDescriptor end = terminal.Program!;
        FurtherBeginning beginning = await ExecuteAsync(program, [end, end, end], cancellationToken);
        end.Dispose();
        return beginning with { Terminal = terminal };
    }

    public Task<ILane> OpenLaneAsync(CancellationToken cancellationToken) => IsAlive
        ? Task.FromResult<ILane>(new FakeLane(poller))
        : throw FakeEngine.MachineFault("The sandbox is gone.");

    public ByteSize ReadFilesInMemory() => FilesInMemory;

    public async Task<Stream> ConnectAsync(int port, CancellationToken cancellationToken) =>
        await Nodes.FakeAttempt.ConnectHereAsync(port, cancellationToken);

    public LoopbackListener Listen(int port) => throw new BerthException(
        ErrorCode.InvalidRequest, "Programs here have this machine's network, where nobody listens for them alone.");

    public void Pause() => Signal(Stop);

    public void Resume() => Signal(Continue);

    public IReadOnlyList<ProcessView> ReadProcesses()
    {
        lock (gate)
        {
            return program is { Exited.IsCompleted: false }
                ? [new ProcessView(program.Pid, 0, TimeSpan.Zero, ByteSize.Zero, "program")]
                : [];
        }
    }

    public void Signal(int signal)
    {
        lock (gate)
        {
            program?.Signal(signal);
        }
    }

    public void Kill() => Signal(PidHandle.SigKill);

    public void KillInit()
    {
        dead = true;
        Kill();
        exited.TrySetResult(null);
    }

    public SandboxUsage ReadUsage(bool withSplit = true) => removed
        ? throw new DirectoryNotFoundException($"Sandbox {Id} is gone.")
        : new SandboxUsage(new CgroupUsage(TimeSpan.Zero, TimeSpan.Zero, TimeSpan.Zero, ByteSize.Zero), 0);

    public ByteSize ReadMemory() => ByteSize.Zero;

    public async Task RemoveAsync()
    {
        Kill();
        if (program is { } running)
        {
            await running.Exited;
        }

        await EndFurthersAsync();

        exited.TrySetResult(null);
        ClosePipes();
        removed = true;
        gone(this);
    }

    public async ValueTask DisposeAsync()
    {
        await RemoveAsync();
        Streams.Dispose();
    }

    private Pseudoterminal? OpenTerminal(TerminalSize? terminal) => terminal is { } size
        ? Pseudoterminal.Open(Environment.ProcessId, owner: null, size, poller)
        : null;

    internal static StartOutcome.EntryPointMissing Missing(ProgramStart program) =>
        new($"There is no program '{program.Arguments[0]}'.");

    internal static SpawnSpec? SpecOf(ProgramStart program, FileDescriptor[] streams)
    {
        string name = program.Arguments[0];
        string? path = name.Contains('/') ? name : Folders.Select(f => $"{f}/{name}").FirstOrDefault(File.Exists);
        string[] environment = [.. program.Environment.Select(e => $"{e.Key}={e.Value}")];
        return path is null || !File.Exists(path)
            ? null
            : new SpawnSpec(path, [.. program.Arguments.Skip(1)], environment, null, streams);
    }

    private async Task EndFurthersAsync()
    {
        FakeFurtherProgram[] all;
        lock (gate)
        {
            all = [.. furthers];
        }

        foreach (FakeFurtherProgram one in all)
        {
            one.Signal(PidHandle.SigKill);
            await one.Exited;
        }
    }

    private async Task ReportAsync(PidHandle running)
    {
        ProgramEnd? end = await running.Exited;
        await EndFurthersAsync();
        exited.TrySetResult(
            end is null ? null : new ProgramExit(end.ExitCode, end.Signal, end.UserTime, end.SystemTime, 0));
    }

    private void ClosePipes()
    {
        foreach (Pipe pipe in pipes)
        {
            pipe.Dispose();
        }
    }
}

/// <summary>A process of this machine beside a sandbox's; none where there was no such program.</summary>
internal sealed class FakeFurtherProgram(PidHandle? process) : IFurtherProgram
{
    public PidHandle? Process => process;

    public Task<FurtherExit?> Exited { get; } = ReportAsync(process);

    public void Signal(int number) => process?.Signal(number);

    private static async Task<FurtherExit?> ReportAsync(PidHandle? process) =>
        process is not null && await process.Exited is { } end ? new FurtherExit(end.ExitCode, end.Signal) : null;
}
