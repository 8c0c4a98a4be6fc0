using Berth.Api.Nodes;
using Berth.Core.Resources;
using Berth.Node.Cgroups;
using Berth.Node.Engines;
using Berth.Node.Init;
using Berth.Node.Linux;

namespace Berth.Testing.Engines;

/// <summary>A sandbox of <see cref="FakeEngine"/>: four pipes, and once started one process of this machine.</summary>
public sealed class FakeSandbox : ISandbox
{
    private static readonly string[] Folders = ["/bin", "/usr/bin", "/usr/local/bin"];

    private readonly Pipe[] pipes = [Pipe.Create(), Pipe.Create(), Pipe.Create(), Pipe.Create()];
    private readonly TaskCompletionSource<ProgramExit?> exited =
        new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly ReadinessPoller poller;
    private readonly Action<FakeSandbox> gone;
    private readonly Lock gate = new();
    private PidHandle? program;
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

    public SandboxStreams Streams { get; }

    public Task<ProgramExit?> Exited => exited.Task;

    public Task<StartOutcome> StartAsync(ProgramStart program, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        string name = program.Arguments[0];
        string? path = name.Contains('/') ? name : Folders.Select(f => $"{f}/{name}").FirstOrDefault(File.Exists);
        if (path is null || !File.Exists(path))
        {
            exited.TrySetResult(null);
            ClosePipes();
            return Task.FromResult<StartOutcome>(new StartOutcome.EntryPointMissing($"There is no program '{name}'."));
        }

        string[] environment = [.. program.Environment.Select(e => $"{e.Key}={e.Value}")];
        var spec = new SpawnSpec(
            path, [.. program.Arguments.Skip(1)], environment, null,
            [pipes[0].ReadEnd, pipes[1].WriteEnd, pipes[2].WriteEnd, pipes[3].WriteEnd]);
        lock (gate)
        {
            this.program = Spawner.Start(spec, poller);
        }

        ClosePipes();
        _ = ReportAsync(this.program);
        return Task.FromResult<StartOutcome>(new StartOutcome.Started(this.program.Pid));
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

    public SandboxUsage ReadUsage() => removed
        ? throw new DirectoryNotFoundException($"Sandbox {Id} is gone.")
        : new SandboxUsage(new CgroupUsage(TimeSpan.Zero, TimeSpan.Zero, TimeSpan.Zero, ByteSize.Zero), 0);

    public async Task RemoveAsync()
    {
        Kill();
        if (program is { } running)
        {
            await running.Exited;
        }

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

    private async Task ReportAsync(PidHandle running)
    {
        ProgramEnd? end = await running.Exited;
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
