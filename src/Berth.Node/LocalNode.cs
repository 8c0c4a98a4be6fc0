using System.Collections.Concurrent;
using Berth.Api.Links;
using Berth.Api.Nodes;
using Berth.Core.Containers;
using Berth.Core.Errors;
using Berth.Core.Faults;
using Berth.Core.Networks;
using Berth.Core.Resources;
using Berth.Core.Runs;
using Berth.Node.Attempts;
using Berth.Node.Engines;
using Berth.Node.Init;
using Berth.Node.Lanes;
using Berth.Node.Links;
using Berth.Node.Linux;
using Berth.Node.Pools;
using Berth.Node.RootFilesystems;
using Berth.Oci.Layers;
using Microsoft.Extensions.Logging;

namespace Berth.Node;

/// <summary>
/// This machine as a node: takes sandboxes from its pools, runs attempts in them, removes them, and looks for leftovers
/// at the start and every minute. The first type to read in this project.
/// </summary>
public sealed class LocalNode : INode
{
    private static readonly TimeSpan StopPause = TimeSpan.FromMilliseconds(5);

    private static readonly StartOutcome NothingToRun =
        new StartOutcome.EntryPointMissing("The image has neither ENTRYPOINT nor CMD. Give a command.");

    /// <summary>Of a call or task with a further runtime, whose sandbox is made for it alone.</summary>
    private static readonly SandboxExtras NoExtras = new(null, ReadOnlyRoot: false, [], null);

    private readonly NodeOptions options;
    private readonly IEngine engine;
    private readonly TimeProvider time;
    private readonly ILogger logger;
    private readonly Remover remover = new();
    private readonly ReadinessPoller poller = new();
    private readonly SandboxPools pools;
    private readonly LanePools lanes;
    private readonly NodeStorage storage;
    private readonly HostFolders folders;
    private readonly IReadOnlyList<string> features = MachineReading.Features();
    private readonly IReadOnlyList<DeviceFact> devices = MachineReading.Devices();
    private readonly ConcurrentDictionary<string, LocalAttempt> running = new(StringComparer.Ordinal);
    private readonly CancellationTokenSource stopping = new();
    private Task sweeping = Task.CompletedTask;
    private volatile bool accepting;
    private long takenReady;
    private long takenCold;
    private long faults;
    private int starting;
    private int stopped;

    public LocalNode(
        NodeOptions options, IEngine engine, IImageSource images, TimeProvider time, ILogger<LocalNode> logger)
    {
        this.options = options;
        this.engine = engine;
        this.time = time;
        this.logger = logger;
        storage = new NodeStorage(options.StorageFolder, poller);
        folders = new HostFolders(options.HostFolders, options.StorageFolder);
        pools = new SandboxPools(engine, images, options.Pool, remover, Environment.ProcessorCount, time, logger);
        lanes = new LanePools(pools, options.Pool, poller, time);
    }

    public NodeInfo Info => new(
        options.Name, Environment.ProcessorCount,
        ByteSize.FromBytes(GC.GetGCMemoryInfo().TotalAvailableMemoryBytes), engine.Name, engine.CgroupVersion)
    {
        Features = features,
        Devices = devices,
        HostFolders = folders.Allowed,
    };

    public INodeStorage Storage => storage;

    public ISharedNetworks? SharedNetworks => engine.SharedNetworks;

    public Task MakeNetworkAsync(NetworkDefinition network, CancellationToken cancellationToken) =>
        engine.MakeNetworkAsync(network, cancellationToken);

    public async Task KeepNetworksAsync(IReadOnlySet<string> ids, CancellationToken cancellationToken)
    {
        pools.Forget(shape => shape.Bridge is { } network && !ids.Contains(network.Id));
        await engine.KeepNetworksAsync(ids, cancellationToken);
    }

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        storage.Sweep();
        await engine.StartAsync(cancellationToken);
        pools.Start();
        lanes.Start();
        sweeping = Task.Run(SweepAsync, CancellationToken.None);
        accepting = true;
        Log.NodeStarted(logger, options.Name, engine.Name, engine.CgroupVersion);
    }

    public void Expect(SandboxSpec spec)
    {
        if (accepting && spec.Runtime is null)
        {
            pools.Expect(spec);
        }
    }

    public async Task<IAttempt> StartAsync(AttemptSpec spec, CancellationToken cancellationToken)
    {
        if (!accepting)
        {
            throw new BerthException(ErrorCode.ShuttingDown, $"Node '{options.Name}' accepts no attempts now.");
        }

        foreach (SandboxMount.Host mount in (spec.Extras?.Mounts ?? []).OfType<SandboxMount.Host>())
        {
            folders.Require(mount.Path, $"the machine '{options.Name}'", "its mount-allow");
        }

        cancellationToken.ThrowIfCancellationRequested();
        Interlocked.Increment(ref starting);
        pools.BeginServing();
        try
        {
            long begun = time.GetTimestamp();
            bool isOwnKind = spec.Extras is not null || spec.Sandbox.Runtime is not null;
            if (isOwnKind)
            {
                // Made by system calls that block, and who orders it may be an event loop.
                await Task.Yield();
            }

            TakenSandbox taken = isOwnKind
                ? await pools.MakeAsync(spec.Sandbox, spec.Extras ?? NoExtras, cancellationToken)
                : spec.Sandbox.Reuse is not null ? await lanes.TakeAsync(spec.Sandbox, cancellationToken)
                : await pools.TakeAsync(spec.Sandbox, cancellationToken);
            return await StartAsync(spec, taken, begun, cancellationToken);
        }
        catch
        {
            pools.EndServing();
            throw;
        }
        finally
        {
            Interlocked.Decrement(ref starting);
        }
    }

    public NodeStatus Status()
    {
        IEnumerable<SandboxView> attempts = running.Values.Select(a => new SandboxView(
            a.Sandbox.Id, "running", a.Spec.Id, a.Spec.Sandbox.Image, a.Sandbox.Created));
        IEnumerable<SandboxView> removing = remover.Waiting.Select(s => new SandboxView(
            s.Id, "removing", null, s.Spec.Image, s.Created));
        return new NodeStatus(
            [.. pools.Views(), .. lanes.Views(), .. attempts, .. removing], pools.Prepared,
            Interlocked.Read(ref takenReady), Interlocked.Read(ref takenCold), remover.Removed,
            Interlocked.Read(ref faults) + pools.Faults);
    }

    public async Task StopAsync(CancellationToken cancellationToken)
    {
        accepting = false;
        if (Interlocked.Exchange(ref stopped, 1) != 0)
        {
            return;
        }

        await stopping.CancelAsync();
        await sweeping;
        await lanes.DisposeAsync();
        await pools.DisposeAsync();
        // The pools serve no start any more, but one that was served before may still be about to run its program.
        while (Volatile.Read(ref starting) > 0 || !running.IsEmpty)
        {
            foreach (LocalAttempt attempt in running.Values)
            {
                attempt.Stop(EndReason.PlatformFault, TimeSpan.Zero);
            }

            await Task.Delay(StopPause, time, CancellationToken.None);
        }

        await remover.DisposeAsync();
        await engine.DisposeAsync();
        poller.Dispose();
    }

    public async ValueTask DisposeAsync() => await StopAsync(CancellationToken.None);

    private async Task<IAttempt> StartAsync(
        AttemptSpec spec, TakenSandbox taken, long begun, CancellationToken cancellationToken)
    {
        TimeSpan prepare = time.GetElapsedTime(begun);
        Pseudoterminal? terminal = null;
        LoopbackListener? listener = null;
        IDisposable? found = null;
        try
        {
            found = spec.Found is { } wish ? taken.Sandbox.Announce(wish) : null;
            listener = spec.Listen is { } port ? taken.Sandbox.Listen(port) : null;
            ProgramStart? program = ProgramMerge.Merge(
                spec, taken.Image, taken.Sandbox.HostName, time.GetUtcNow() + (spec.Timeout - prepare));
            (StartOutcome outcome, terminal) = program is null
                ? new ProgramBeginning(NothingToRun)
                : await taken.Sandbox.StartAsync(WithInput(program, spec, taken), spec.Terminal, cancellationToken);
            CrashPoints.Reach(CrashPoint.ProgramStarted);
            TimeSpan since = outcome is StartOutcome.Started started ? started.Since : TimeSpan.Zero;
            TimeSpan start = time.GetElapsedTime(begun) - prepare - since;
            Interlocked.Increment(ref taken.Prepared ? ref takenReady : ref takenCold);
            AttemptPreparation preparation = new(prepare, start, taken.Prepared);
            var attempt = new LocalAttempt(
                spec, taken.Sandbox, program, terminal, preparation, poller, time, Forget)
            {
                Listener = listener,
                Found = found,
                Lengths = taken.Lengths,
            };
            running[spec.Id] = attempt;
            if (outcome is StartOutcome.EntryPointMissing missing)
            {
                attempt.Refuse(missing.Detail);
            }
            else
            {
                attempt.Watch(spec.Timeout - time.GetElapsedTime(begun), since);
            }

            return attempt;
        }
        catch (Exception error)
        {
            if (error is not (OperationCanceledException or BerthException { Code: not ErrorCode.NodeFault }))
            {
                Interlocked.Increment(ref faults);
            }

            terminal?.Dispose();
            listener?.Dispose();
            found?.Dispose();
            GiveBack(taken.Sandbox, closeStreams: true);
            throw;
        }
    }

    /// <summary>What has come of the input is there before the program, which then needs nobody to be woken for it; and
    /// where that is all, and the last one was soon done, its start is heard of with its end.</summary>
    private static ProgramStart WithInput(ProgramStart program, AttemptSpec spec, TakenSandbox taken) =>
        spec.Terminal is null && spec.Ahead?.Peek(PipeWriteStream.MostAhead) is { } ahead
            && taken.Sandbox.Streams.Input.TryWriteAhead(ahead.Bytes.Span, ahead.IsWhole)
            ? program with { Patience = taken.Lengths?.PatienceFor(spec.Timeout) ?? TimeSpan.Zero }
            : program;

    private void Forget(LocalAttempt attempt)
    {
        GiveBack(attempt.Sandbox, closeStreams: false);
        running.TryRemove(attempt.Spec.Id, out _);
        pools.EndServing();
    }

    private void GiveBack(ISandbox sandbox, bool closeStreams)
    {
        if (sandbox is LaneSandbox call)
        {
            lanes.GiveBack(call, closeStreams);
        }
        else
        {
            pools.GiveUp(sandbox, closeStreams);
        }
    }

    private async Task SweepAsync()
    {
        using var timer = new PeriodicTimer(options.SweepPeriod, time);
        try
        {
            do
            {
                await SweepOnceAsync();
            }
            while (await timer.WaitForNextTickAsync(stopping.Token));
        }
        catch (OperationCanceledException)
        {
            // The end.
        }
    }

    private async Task SweepOnceAsync()
    {
        try
        {
            await engine.SweepAsync(stopping.Token);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            Log.SweepFailed(logger, error);
        }
    }
}
