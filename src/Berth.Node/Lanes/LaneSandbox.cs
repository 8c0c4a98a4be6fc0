using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Resources;
using Berth.Core.Runs;
using Berth.Node.Cgroups;
using Berth.Node.Engines;
using Berth.Node.Init;
using Berth.Node.Linux;

namespace Berth.Node.Lanes;

/// <summary>One call's view of a sandbox that serves many: its own program, streams and usage, in shared files and
/// under shared limits. Once, like any sandbox; what it leaves is the lane's to be used again.</summary>
internal sealed class LaneSandbox : ISandbox
{
    private readonly ILane lane;
    private readonly LaneEnds ends;
    private readonly long killsBefore;
    private ProgramExit? exit;

    /// <param name="home">Counts this call as running.</param>
    /// <param name="lane">That nothing runs in.</param>
    public LaneSandbox(WarmSandbox home, ILane lane, ReadinessPoller poller)
    {
        Home = home;
        this.lane = lane;
        ends = new LaneEnds(poller);
        killsBefore = home.KnownKills;
        Exited = Task.FromResult<ProgramExit?>(null);
    }

    public WarmSandbox Home { get; }

    public ILane Lane => lane;

    /// <summary>Whether the sandbox is as good as before: the program ended by itself, and all that it started has
    /// gone.</summary>
    public bool EndedWell { get; private set; } = true;

    public string Id => Home.Sandbox.Id;

    public SandboxSpec Spec => Home.Sandbox.Spec;

    public string HostName => Home.Sandbox.HostName;

    public DateTimeOffset Created => Home.Sandbox.Created;

    public bool IsAlive => lane.IsAlive && Home.Sandbox.IsAlive;

    public SandboxStreams Streams => ends.Ours;

    public Task<ProgramExit?> Exited { get; private set; }

    public async Task<ProgramBeginning> StartAsync(
        ProgramStart program, TerminalSize? terminal, CancellationToken cancellationToken)
    {
        if (terminal is not null)
        {
            throw Refuse("runs no program at a terminal");
        }

        EndedWell = false;
        StartOutcome outcome;
        try
        {
            outcome = await lane.StartAsync(program, ends.Theirs, cancellationToken);
        }
        finally
        {
            ends.Dispose();
        }

        EndedWell = outcome is StartOutcome.EntryPointMissing;
        Exited = WatchAsync();
        return new ProgramBeginning(outcome);
    }

    public Task<FurtherBeginning> ExecuteAsync(
        ProgramStart program, IReadOnlyList<FileDescriptor> descriptors, CancellationToken cancellationToken) =>
        throw Refuse("runs no programs beside those of its calls");

    public Task<FurtherBeginning> ExecuteAtTerminalAsync(
        ProgramStart program, TerminalSize size, CancellationToken cancellationToken) =>
        throw Refuse("runs no programs beside those of its calls");

    public Task<ILane> OpenLaneAsync(CancellationToken cancellationToken) =>
        Home.Sandbox.OpenLaneAsync(cancellationToken);

    public Task<Stream> ConnectAsync(int port, CancellationToken cancellationToken) =>
        Home.Sandbox.ConnectAsync(port, cancellationToken);

    public LoopbackListener Listen(int port) => throw Refuse("listens for none of its calls");

    public void Pause() => throw Refuse("can't be paused for one of its calls");

    public void Resume()
    {
    }

    /// <summary>Those of all calls.</summary>
    public IReadOnlyList<ProcessView> ReadProcesses() => Home.Sandbox.ReadProcesses();

    public void Signal(int signal) => lane.Signal(signal);

    public void Kill() => lane.Kill();

    /// <summary>A lane that doesn't answer: the whole sandbox goes, and with it what other calls run in it.</summary>
    public void KillInit() => Home.Sandbox.KillInit();

    /// <summary>Of the program and what it started, as the lane counted it; while it runs, of the whole sandbox. Peak
    /// memory is that of the largest process.</summary>
    public SandboxUsage ReadUsage(bool withSplit = true)
    {
        if (exit is not { } end)
        {
            return Home.Sandbox.ReadUsage(withSplit);
        }

        // Only who failed asks for the reason: a call costs a fraction of a millisecond, and a file's reading shows.
        long kills = end is { ExitCode: 0, Signal: 0 } ? 0 : Home.ReadKills() - killsBefore;
        return new SandboxUsage(
            new CgroupUsage(
                end.UserTime + end.SystemTime, end.UserTime, end.SystemTime, ByteSize.FromBytes(end.PeakResident)),
            kills);
    }

    /// <summary>Of all calls.</summary>
    public ByteSize ReadMemory() => Home.Sandbox.ReadMemory();

    public ByteSize ReadFilesInMemory() => Home.Sandbox.ReadFilesInMemory();

    /// <summary>Nothing: the sandbox is not this call's.</summary>
    public Task RemoveAsync()
    {
        ends.Dispose();
        return Task.CompletedTask;
    }

    public ValueTask DisposeAsync()
    {
        ends.Dispose();
        Streams.Dispose();
        return ValueTask.CompletedTask;
    }

    private async Task<ProgramExit?> WatchAsync()
    {
        exit = await lane.Exited;
        EndedWell |= exit is { Signal: 0 };
        return exit;
    }

    private BerthException Refuse(string what) =>
        new(ErrorCode.InvalidRequest, $"Sandbox {Id} is reused from call to call: it {what}.");
}
