using System.Threading.Channels;
using Berth.Api.Nodes;
using Berth.Core.Faults;
using Berth.Core.Runs;
using Berth.Node.Cgroups;
using Berth.Node.Engines;
using Berth.Node.Init;
using Berth.Node.Linux;
using Berth.Node.Pools;

namespace Berth.Node.Attempts;

/// <summary>
/// One program in one sandbox: watches its deadline, passes on signals and progress, and when it ended tells how and
/// what it used. The sandbox is handed over for removal then; the pipes stay open until this is disposed.
/// </summary>
internal sealed class LocalAttempt : IAttempt
{
    /// <summary>An init answers a kill within microseconds; one that doesn't is killed itself.</summary>
    private static readonly TimeSpan InitPatience = TimeSpan.FromSeconds(2);

    private readonly ISandbox sandbox;
    private readonly ProgramStart? program;
    private readonly Pseudoterminal? terminal;
    private readonly ReadinessPoller poller;
    private readonly TimeProvider time;
    private readonly Action<LocalAttempt> ended;
    private readonly Channel<ProgressReport> progress = Channel.CreateBounded<ProgressReport>(
        new BoundedChannelOptions(64)
        {
            FullMode = BoundedChannelFullMode.DropOldest,
            AllowSynchronousContinuations = true,
        });

    private readonly TaskCompletionSource<AttemptReport> completion = new();
    private readonly Lock gate = new();
    private EndReason? stopReason;
    private Task progressReading = Task.CompletedTask;
    private bool over;
    private bool paused;
    private ITimer? deadline;
    private ITimer? grace;
    private ITimer? lastResort;

    /// <param name="program">What runs, or null when there is nothing to run.</param>
    /// <param name="terminal">Its terminal, which becomes this attempt's own.</param>
    public LocalAttempt(
        AttemptSpec spec, ISandbox sandbox, ProgramStart? program, Pseudoterminal? terminal,
        AttemptPreparation preparation, ReadinessPoller poller, TimeProvider time, Action<LocalAttempt> ended)
    {
        Spec = spec;
        Preparation = preparation;
        this.sandbox = sandbox;
        this.program = program;
        this.terminal = terminal;
        this.poller = poller;
        this.time = time;
        this.ended = ended;
    }

    /// <summary>Where its program reaches this process; becomes this attempt's own.</summary>
    public LoopbackListener? Listener { get; init; }

    /// <summary>Until it is disposed, others find the program; null where nobody does.</summary>
    public IDisposable? Found { get; init; }

    /// <summary>Of its sandbox's shape, to learn how long it took; null where nobody asks.</summary>
    public RunLengths? Lengths { get; init; }

    public AttemptSpec Spec { get; }

    public AttemptPreparation Preparation { get; }

    public ISandbox Sandbox => sandbox;

    public Stream Input => InputPipe;

    public Stream Output => OutputPipe;

    public Stream Error => sandbox.Streams.Error;

    public ChannelReader<ProgressReport> Progress => progress.Reader;

    public Task<AttemptReport> Completion => completion.Task;

    private bool HasEnded
    {
        get
        {
            lock (gate)
            {
                return over;
            }
        }
    }

    private PipeWriteStream InputPipe => terminal?.Input ?? sandbox.Streams.Input;

    private PipeReadStream OutputPipe => terminal?.Output ?? sandbox.Streams.Output;

    /// <summary>Called once, when the program runs.</summary>
    /// <param name="remaining">Until the deadline, by the monotonic clock; null for no deadline.</param>
    /// <param name="since">How long it has run.</param>
    public void Watch(TimeSpan? remaining, TimeSpan since)
    {
        if (remaining is { } left)
        {
            lock (gate)
            {
                deadline = time.CreateTimer(
                    _ => Stop(EndReason.TimedOut, Spec.Grace), null, left > TimeSpan.Zero ? left : TimeSpan.Zero,
                    Timeout.InfiniteTimeSpan);
            }
        }

        progressReading = ReadProgressAsync();
        _ = WatchAsync(time.GetTimestamp(), since);
    }

    /// <summary>Called instead of <see cref="Watch"/> when there is nothing to run.</summary>
    public void Refuse(string detail)
    {
        progress.Writer.TryComplete();
        Complete(new AttemptReport(EndReason.EntryPointMissing, null, null, detail, RunUsage.None, TimeSpan.Zero));
    }

    public void Stop(EndReason reason, TimeSpan grace)
    {
        lock (gate)
        {
            if (over)
            {
                return;
            }

            stopReason ??= reason;
            Wake();
            if (grace > TimeSpan.Zero)
            {
                sandbox.Signal(PidHandle.SigTerm);
                this.grace ??= time.CreateTimer(_ => Kill(), null, grace, Timeout.InfiniteTimeSpan);
                return;
            }
        }

        Kill();
    }

    public void Signal(int number)
    {
        lock (gate)
        {
            if (!over)
            {
                sandbox.Signal(number);
            }
        }
    }

    public void Pause()
    {
        lock (gate)
        {
            if (!over && stopReason is null)
            {
                sandbox.Pause();
                paused = true;
            }
        }
    }

    public void Resume()
    {
        lock (gate)
        {
            Wake();
        }
    }

    public void Resize(TerminalSize size)
    {
        lock (gate)
        {
            if (!over)
            {
                terminal?.Resize(size);
            }
        }
    }

    public Task<Stream> ConnectAsync(int port, CancellationToken cancellationToken) => HasEnded
        ? throw new IOException("The program has ended.")
        : sandbox.ConnectAsync(port, cancellationToken);

    public Task<Stream> AcceptAsync(CancellationToken cancellationToken) => Listener is { } listener
        ? listener.AcceptAsync(cancellationToken)
        : throw new InvalidOperationException($"Attempt {Spec.Id} was not ordered to listen.");

    public long Written => OutputPipe.BytesArrived + sandbox.Streams.Error.BytesArrived;

    public AttemptFigures? Measure()
    {
        if (HasEnded)
        {
            return null;
        }

        try
        {
            CgroupUsage used = sandbox.ReadUsage(withSplit: false).Resources;
            return new AttemptFigures(
                used.Cpu, sandbox.ReadMemory(), used.PeakMemory, sandbox.ReadProcesses().Count);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    public Task<IReadOnlyList<ProcessView>> ProcessesAsync(CancellationToken cancellationToken) =>
        Task.FromResult(HasEnded ? [] : sandbox.ReadProcesses());

    public async Task<IExecution> ExecuteAsync(ExecutionSpec spec, CancellationToken cancellationToken) =>
        await LocalExecution.StartAsync(sandbox, program!, spec, poller, cancellationToken);

    public async ValueTask DisposeAsync()
    {
        Stop(EndReason.Canceled, TimeSpan.Zero);
        await completion.Task;
        sandbox.Streams.Dispose();
        terminal?.Dispose();
        await progressReading;
    }

    /// <summary>Held by the gate: what is paused obeys nothing.</summary>
    private void Wake()
    {
        if (paused && !over)
        {
            sandbox.Resume();
            paused = false;
        }
    }

    private void Kill()
    {
        lock (gate)
        {
            if (!over)
            {
                sandbox.Kill();
                lastResort ??= time.CreateTimer(_ => KillInit(), null, InitPatience, Timeout.InfiniteTimeSpan);
            }
        }
    }

    private void KillInit()
    {
        lock (gate)
        {
            if (!over)
            {
                sandbox.KillInit();
            }
        }
    }

    private async Task WatchAsync(long watched, TimeSpan since)
    {
        ProgramExit? exit = await sandbox.Exited;
        // Nobody writes to them any more.
        sandbox.Streams.Error.Look();
        sandbox.Streams.Progress.Look();
        CrashPoints.Reach(CrashPoint.ProgramEnded);
        TimeSpan runTime = since + time.GetElapsedTime(watched);
        EndReason? stop;
        lock (gate)
        {
            stop = stopReason;
        }

        SandboxUsage? usage = ReadUsage(exit);
        (EndReason reason, string? detail) =
            AttemptVerdict.Decide(stop, exit, usage?.OutOfMemoryKills ?? 0, Spec.Sandbox.Limits);
        long written = OutputPipe.BytesArrived;
        Lengths?.Note(runTime, written);
        RunUsage used = AttemptVerdict.UsageOf(usage, exit, InputPipe.BytesWritten, written);
        var report = new AttemptReport(
            reason, exit is { Signal: 0 } ? exit.ExitCode : null, exit is { Signal: > 0 } ? exit.Signal
                : null, detail, used, runTime);

        Complete(report);
    }

    /// <summary>
    /// Ends a moment after the program, when the init has let go of the pipe; the report doesn't wait.
    /// </summary>
    private async Task ReadProgressAsync()
    {
        await ProgressReader.ReadAsync(sandbox.Streams.Progress, progress.Writer);
        progress.Writer.TryComplete();
    }

    /// <summary>Null where the sandbox is gone already.</summary>
    private SandboxUsage? ReadUsage(ProgramExit? exit)
    {
        try
        {
            // How it is split the init mostly knows: each reading of the kernel's files shows in a short call.
            return sandbox.ReadUsage(withSplit: exit is null || exit.UserTime + exit.SystemTime == TimeSpan.Zero);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    private void Complete(AttemptReport report)
    {
        lock (gate)
        {
            over = true;
            deadline?.Dispose();
            grace?.Dispose();
            lastResort?.Dispose();
        }

        Listener?.Dispose();
        Found?.Dispose();
        ended(this);
        completion.TrySetResult(report);
    }
}
