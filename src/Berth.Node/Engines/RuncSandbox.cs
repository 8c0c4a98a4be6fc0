using System.Collections.Concurrent;
using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Resources;
using Berth.Core.Runs;
using Berth.Init.Protocol;
using Berth.Node.Init;
using Berth.Node.Linux;

namespace Berth.Node.Engines;

/// <summary>A container made by runc, and removed without it.</summary>
internal sealed class RuncSandbox : ISandbox
{
    private readonly HostObjects objects;
    private readonly ReadinessPoller poller;
    private readonly Lazy<Task> removal;
    private readonly ConcurrentBag<ILane> lanes = [];

    public RuncSandbox(
        HostObjects objects, SandboxSpec spec, string hostName, DateTimeOffset created, SandboxStreams streams,
        ReadinessPoller poller, Func<HostObjects, Task> remove)
    {
        this.objects = objects;
        this.poller = poller;
        removal = new Lazy<Task>(() => RemoveOnceAsync(remove));
        Spec = spec;
        HostName = hostName;
        Created = created;
        Streams = streams;
    }

    public string Id => objects.Id;

    public SandboxSpec Spec { get; }

    public string HostName { get; }

    public DateTimeOffset Created { get; }

    public bool IsAlive => !objects.Init!.Exited.IsCompleted && !Exited.IsCompleted;

    public SandboxStreams Streams { get; }

    public Task<ProgramExit?> Exited => objects.Channel!.Exited;

    public async Task<ProgramBeginning> StartAsync(
        ProgramStart program, TerminalSize? terminal, CancellationToken cancellationToken)
    {
        if (terminal is not { } size)
        {
            return new ProgramBeginning(await objects.Channel!.StartAsync(program, null, cancellationToken));
        }

        (StartOutcome outcome, Pseudoterminal opened) = await AtTerminalAsync(
            size, end => objects.Channel!.StartAsync(program, end, cancellationToken));
        return new ProgramBeginning(outcome, opened);
    }

    public async Task<FurtherBeginning> ExecuteAsync(
        ProgramStart program, IReadOnlyList<FileDescriptor> descriptors, CancellationToken cancellationToken)
    {
        (IFurtherProgram further, StartOutcome outcome) =
            await objects.Channel!.ExecuteAsync(program, descriptors, cancellationToken);
        return new FurtherBeginning(further, outcome);
    }

    public async Task<FurtherBeginning> ExecuteAtTerminalAsync(
        ProgramStart program, TerminalSize size, CancellationToken cancellationToken)
    {
        ((IFurtherProgram further, StartOutcome outcome), Pseudoterminal opened) = await AtTerminalAsync(
            size, end => objects.Channel!.ExecuteAsync(program, [end], cancellationToken));
        return new FurtherBeginning(further, outcome, opened);
    }

    public async Task<ILane> OpenLaneAsync(CancellationToken cancellationToken)
    {
        using var ends = SocketPair.Create();
        LaneChannel lane = new(ends.Ours.Duplicate(), poller);
        try
        {
            await objects.Channel!.OrderAsync(PlainFrames.Lane, [ends.Theirs], cancellationToken);
            // Else the lane's end would never seem closed.
            ends.Theirs.Dispose();
            await lane.WaitReadyAsync(cancellationToken);
            lanes.Add(lane);
            return lane;
        }
        catch
        {
            await lane.DisposeAsync();
            throw;
        }
    }

    public Task<Stream> ConnectAsync(int port, CancellationToken cancellationToken) =>
        LoopbackConnection.OpenAsync(objects.Init!, Spec.Network, port, cancellationToken);

    public LoopbackListener Listen(int port) => LoopbackListener.Open(objects.Init!, Spec.Network, port);

    public IDisposable Announce(AttemptNetwork found) =>
        objects.Endpoint?.Announce(found)
        ?? throw new BerthException(
            ErrorCode.InvalidRequest, "Only in a network others find a program: give it one with --network.");

    public void Pause() => objects.Pause();

    public void Resume() => objects.Resume();

    public IReadOnlyList<ProcessView> ReadProcesses() => objects.Owner is { } owner && !objects.IsOver
        ? SandboxProcesses.Read(objects.ReadProcesses(), owner.First)
        : [];

    public void Signal(int signal) => objects.Channel!.Signal(signal);

    public void Kill() => objects.Channel!.Kill();

    public void KillInit() => objects.Init!.Signal(PidHandle.SigKill);

    public SandboxUsage ReadUsage(bool withSplit = true) => objects.ReadUsage(withSplit);

    public ByteSize ReadMemory() => objects.ReadMemory();

    public ByteSize ReadFilesInMemory() => objects.ReadFilesInMemory();

    public Task RemoveAsync() => removal.Value;

    public async ValueTask DisposeAsync()
    {
        await RemoveAsync();
        Streams.Dispose();
    }

    private async Task RemoveOnceAsync(Func<HostObjects, Task> remove)
    {
        await remove(objects);
        foreach (ILane lane in lanes)
        {
            await lane.DisposeAsync();
        }
    }

    /// <param name="start">Is given the program's end.</param>
    private async Task<(T Outcome, Pseudoterminal Terminal)> AtTerminalAsync<T>(
        TerminalSize size, Func<FileDescriptor, Task<T>> start)
    {
        Pseudoterminal terminal = OpenTerminal(size);
        try
        {
            T outcome = await start(terminal.Program!);
            terminal.Program!.Dispose();
            return (outcome, terminal);
        }
        catch
        {
            terminal.Dispose();
            throw;
        }
    }

    private Pseudoterminal OpenTerminal(TerminalSize size)
    {
        try
        {
            return Pseudoterminal.Open(objects.Init!.Pid, objects.Owner!.First, size, poller);
        }
        catch (LinuxException error)
        {
            throw new BerthException(ErrorCode.NodeFault, $"A terminal could not be made: {error.Message}", error);
        }
    }
}
