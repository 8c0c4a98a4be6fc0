using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Threading.Channels;
using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Resources;
using Berth.Core.Runs;

namespace Berth.Testing.Nodes;

/// <summary>An attempt of <see cref="FakeNode"/>: one program of <see cref="FakeShell"/> between three pipes.</summary>
internal sealed class FakeAttempt : IAttempt
{
    private const int Kill = 9;
    private const int Terminate = 15;

    private readonly MemoryPipe input = new();
    private readonly MemoryPipe output = new();
    private readonly MemoryPipe error = new();
    private readonly Channel<ProgressReport> progress = Channel.CreateBounded<ProgressReport>(
        new BoundedChannelOptions(16) { FullMode = BoundedChannelFullMode.DropOldest });

    private readonly TaskCompletionSource<AttemptReport> completion =
        new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly CancellationTokenSource terminated = new();
    private readonly CancellationTokenSource killed = new();
    private readonly TimeProvider time;
    private readonly string? machineFault;
    private readonly Action<FakeAttempt> ended;
    private readonly long startedAt;
    private readonly Socket? listener;
    private readonly Lock gate = new();
    private readonly ConcurrentQueue<(int Number, string Command, FakeExecution Execution)> further = [];
    private EndReason? stopReason;
    private int asked;
    private ITimer? deadline;
    private ITimer? graceTimer;

    public FakeAttempt(AttemptSpec spec, TimeProvider time, string? machineFault, Action<FakeAttempt> ended)
    {
        Spec = spec;
        this.time = time;
        this.machineFault = machineFault;
        this.ended = ended;
        startedAt = time.GetTimestamp();
        StartedAt = time.GetUtcNow();
        if (spec.Listen is not null)
        {
            listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
            listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
            listener.Listen();
        }
    }

    public AttemptSpec Spec { get; }

    public DateTimeOffset StartedAt { get; }

    public bool IsPaused { get; private set; }

    /// <summary>As <see cref="FakeNode.EndNextUnheard"/>.</summary>
    public int Connections { get; init; } = int.MaxValue;

    /// <summary>The last size its terminal was given.</summary>
    public TerminalSize? Size { get; private set; }

    public AttemptPreparation Preparation { get; } = new(TimeSpan.Zero, TimeSpan.Zero, false);

    public Stream Input => input.Writer;

    public Stream Output => output.Reader;

    public Stream Error => error.Reader;

    public ChannelReader<ProgressReport> Progress => progress.Reader;

    public Task<AttemptReport> Completion => completion.Task;

    public void Begin()
    {
        if (Spec.Timeout is { } left)
        {
            deadline = time.CreateTimer(
                _ => Stop(EndReason.TimedOut, Spec.Grace), null, left > TimeSpan.Zero ? left : TimeSpan.Zero,
                Timeout.InfiniteTimeSpan);
        }

        // That there is nothing to run is known when the start returns.
        _ = FakeShell.Knows(Command[0]) ? Task.Run(RunAsync) : RunAsync();
    }

    public void Stop(EndReason reason, TimeSpan grace)
    {
        lock (gate)
        {
            stopReason ??= reason;
            if (grace > TimeSpan.Zero && !completion.Task.IsCompleted)
            {
                graceTimer ??= time.CreateTimer(_ => killed.Cancel(), null, grace, Timeout.InfiniteTimeSpan);
            }
        }

        terminated.Cancel();
        if (grace <= TimeSpan.Zero)
        {
            killed.Cancel();
        }
    }

    /// <summary>Programs here know SIGTERM, which ends them unless they ignore it, and SIGKILL.</summary>
    public void Signal(int number)
    {
        if (number is Terminate or Kill)
        {
            terminated.Cancel();
        }

        if (number == Kill)
        {
            killed.Cancel();
        }
    }

    public void Pause() => IsPaused = true;

    public void Resume() => IsPaused = false;

    public void Resize(TerminalSize size) => Size = size;

    public Task<Stream> ConnectAsync(int port, CancellationToken cancellationToken)
    {
        bool endsNow = Interlocked.Increment(ref asked) > Connections;
        if (endsNow)
        {
            Stop(EndReason.PlatformFault, TimeSpan.Zero);
        }

        return endsNow || completion.Task.IsCompleted
            ? throw new IOException("The program has ended.")
            : ConnectHereAsync(port, cancellationToken);
    }

    /// <summary>Programs here have this machine's network.</summary>
    public static async Task<Stream> ConnectHereAsync(int port, CancellationToken cancellationToken)
    {
        Socket socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(IPAddress.Loopback, port, cancellationToken);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch (SocketException error)
        {
            socket.Dispose();
            throw new IOException($"Nothing listens on port {port}: {error.Message}", error);
        }
    }

    public async Task<Stream> AcceptAsync(CancellationToken cancellationToken)
    {
        try
        {
            return new NetworkStream(await listener!.AcceptAsync(cancellationToken), ownsSocket: true);
        }
        catch (Exception error) when (error is SocketException or ObjectDisposedException)
        {
            throw new IOException("The program has ended.", error);
        }
    }

    public long Written => output.Writer.Written + error.Writer.Written;

    public AttemptFigures? Measure() => completion.Task.IsCompleted
        ? null
        : new AttemptFigures(TimeSpan.FromMilliseconds(2), ByteSize.MiB(1), ByteSize.MiB(1), 1);

    public Task<IReadOnlyList<ProcessView>> ProcessesAsync(CancellationToken cancellationToken) =>
        Task.FromResult<IReadOnlyList<ProcessView>>(completion.Task.IsCompleted
            ? []
            :
            [
                new ProcessView(
                    2, 0, TimeSpan.FromMilliseconds(2), ByteSize.MiB(1), string.Join(' ', Spec.Command ?? ["cat"])),
                .. further.Where(f => !f.Execution.Completion.IsCompleted).Select(f => new ProcessView(
                    f.Number, 0, TimeSpan.FromMilliseconds(1), ByteSize.MiB(1), f.Command)),
            ]);

    public Task<IExecution> ExecuteAsync(ExecutionSpec spec, CancellationToken cancellationToken) =>
        completion.Task.IsCompleted
            ? throw new BerthException(ErrorCode.NodeFault, "The attempt has ended.")
            : Task.FromResult<IExecution>(StartFurther(spec));

    public async ValueTask DisposeAsync()
    {
        Stop(EndReason.Canceled, TimeSpan.Zero);
        await completion.Task;
        await input.Writer.DisposeAsync();
    }

    private FakeExecution StartFurther(ExecutionSpec spec)
    {
        FakeExecution execution = FakeExecution.Start(spec, Spec.Environment, time, completion.Task);
        further.Enqueue((further.Count + 3, string.Join(' ', spec.Command), execution));
        return execution;
    }

    private IReadOnlyList<string> Command =>
        Spec.Command is { Count: > 0 } given ? given : ["cat", .. Spec.Arguments ?? []];

    private async Task RunAsync()
    {
        FakeEnd end = await EndOfProgramAsync();
        await output.Writer.DisposeAsync();
        await error.Writer.DisposeAsync();
        input.CloseReader();
        progress.Writer.TryComplete();
        lock (gate)
        {
            deadline?.Dispose();
            graceTimer?.Dispose();
        }

        listener?.Dispose();
        ended(this);
        var usage = new RunUsage(
            TimeSpan.FromMilliseconds(1), TimeSpan.FromMilliseconds(1), ByteSize.MiB(1),
            input.Writer.Written, output.Writer.Written);
        completion.SetResult(new AttemptReport(
            end.Reason, end.ExitCode, end.Signal, end.Detail, usage, time.GetElapsedTime(startedAt)));
    }

    private async Task<FakeEnd> EndOfProgramAsync()
    {
        if (machineFault is not null)
        {
            return new FakeEnd(EndReason.PlatformFault, Detail: machineFault);
        }

        try
        {
            var shell = new FakeShell(
                input.Reader, output.Writer, error.Writer, progress.Writer, time, Spec.Environment,
                terminated.Token, killed.Token, token => ConnectHereAsync(
                    ((IPEndPoint)listener!.LocalEndPoint!).Port, token));
            return await shell.RunAsync(Command);
        }
        catch (OperationCanceledException)
        {
            EndReason reason = stopReason ?? EndReason.Signal;
            int signal = killed.IsCancellationRequested ? Kill : Terminate;
            return new FakeEnd(reason, null, signal, reason == EndReason.TimedOut ? "The deadline passed." : null);
        }
        catch (IOException)
        {
            return new FakeEnd(EndReason.Signal, null, 13, "The program was ended by signal 13.");
        }
    }
}
