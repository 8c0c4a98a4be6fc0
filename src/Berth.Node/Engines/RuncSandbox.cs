using Berth.Api.Nodes;
using Berth.Core.Resources;
using Berth.Node.Cgroups;
using Berth.Node.Init;
using Berth.Node.Linux;

namespace Berth.Node.Engines;

/// <summary>A container made by runc, and removed without it.</summary>
internal sealed class RuncSandbox : ISandbox
{
    private readonly HostObjects objects;
    private readonly Func<HostObjects, Task> remove;
    private readonly Lazy<Task> removal;
    private readonly CgroupUsage baseline;

    public RuncSandbox(
        HostObjects objects, SandboxSpec spec, string hostName, DateTimeOffset created, SandboxStreams streams,
        CgroupUsage baseline, Func<HostObjects, Task> remove)
    {
        this.objects = objects;
        this.remove = remove;
        this.baseline = baseline;
        removal = new Lazy<Task>(() => this.remove(this.objects));
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

    public Task<StartOutcome> StartAsync(ProgramStart program, CancellationToken cancellationToken) =>
        objects.Channel!.StartAsync(program, terminal: null, cancellationToken);

    public void Signal(int signal) => objects.Channel!.Signal(signal);

    public void Kill() => objects.Channel!.Kill();

    public void KillInit() => objects.Init!.Signal(PidHandle.SigKill);

    public SandboxUsage ReadUsage()
    {
        CgroupUsage now = objects.Cgroup.ReadUsage();
        return new SandboxUsage(
            new CgroupUsage(
                now.Cpu - baseline.Cpu, now.CpuUser - baseline.CpuUser, now.CpuSystem - baseline.CpuSystem,
                now.PeakMemory),
            objects.Cgroup.ReadOutOfMemoryKills());
    }

    public Task RemoveAsync() => removal.Value;

    public async ValueTask DisposeAsync()
    {
        await RemoveAsync();
        Streams.Dispose();
    }
}
