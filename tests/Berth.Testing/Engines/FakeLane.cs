using Berth.Node.Engines;
using Berth.Node.Init;
using Berth.Node.Linux;

namespace Berth.Testing.Engines;

/// <summary>A lane of <see cref="FakeSandbox"/>: its programs are plain processes of this machine.</summary>
internal sealed class FakeLane(ReadinessPoller poller) : ILane
{
    private PidHandle? program;
    private bool closed;

    public bool IsAlive => !closed;

    public Task<ProgramExit?> Exited { get; private set; } = Task.FromResult<ProgramExit?>(null);

    public Task<StartOutcome> StartAsync(
        ProgramStart program, IReadOnlyList<FileDescriptor> descriptors, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        if (FakeSandbox.SpecOf(program, [.. descriptors]) is not { } spec)
        {
            return Task.FromResult<StartOutcome>(FakeSandbox.Missing(program));
        }

        this.program = Spawner.Start(spec, poller);
        Exited = ReportAsync(this.program);
        return Task.FromResult<StartOutcome>(new StartOutcome.Started(this.program.Pid));
    }

    public void Signal(int signal) => program?.Signal(signal);

    public void Kill() => Signal(PidHandle.SigKill);

    public async ValueTask DisposeAsync()
    {
        closed = true;
        Kill();
        await Exited;
    }

    private static async Task<ProgramExit?> ReportAsync(PidHandle running) => await running.Exited is { } end
        ? new ProgramExit(end.ExitCode, end.Signal, end.UserTime, end.SystemTime, 0)
        : null;
}
