using System.Collections.Concurrent;
using System.Text.Json;
using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Faults;
using Berth.Core.Networks;
using Berth.Core.Resources;
using Berth.Core.Runs;
using Berth.Node.Cgroups;
using Berth.Node.Init;
using Berth.Node.Inner;
using Berth.Node.Linux;
using Berth.Node.Networks;
using Berth.Node.RootFilesystems;
using Berth.Node.Runtimes;
using Berth.Node.Sweeps;
using Berth.Oci.Content;
using Berth.Oci.Layers;
using Microsoft.Extensions.Logging;

namespace Berth.Node.Engines;

/// <summary>
/// Drives runc directly. runc makes the container; everything after that happens in this process: the container is
/// started by opening its exec.fifo, its init is told what to run over a socket, and it is removed by killing the init
/// and taking away what <see cref="HostObjects"/> lists. A container's mounts leave this machine's tree as soon as it
/// has them, so parked sandboxes cost the next one nothing and die with their namespace.
/// </summary>
public sealed class RuncEngine : IEngine
{
    /// <summary>An init answers within milliseconds.</summary>
    private static readonly TimeSpan BootTimeout = TimeSpan.FromSeconds(30);

    private static readonly TimeSpan LockPatience = TimeSpan.FromSeconds(3);
    private static readonly TimeSpan LockPause = TimeSpan.FromMilliseconds(20);

    private readonly NodeOptions options;
    private readonly TimeProvider time;
    private readonly ILogger logger;
    private readonly EngineFolders folders;
    private readonly NodeStorage storage;
    private readonly ReadinessPoller poller = new();
    private readonly OuterContainers outer;
    private NodeNetworks? networks;
    private readonly ConcurrentDictionary<string, HostObjects> living = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, HostObjects> unremoved = new(StringComparer.Ordinal);
    private InstanceLock? instanceLock;
    private ICgroups? cgroups;
    private MoveWarmup? warmup;
    private OwnerRanges? owners;
    private Runc? runc;
    private readonly Dictionary<string, OciRuntime> runtimes = new(StringComparer.Ordinal);
    private Leftovers? leftovers;
    private Abandoned? abandoned;
    private Orphans? orphans;
    private string initPath = "";
    private SeccompFilter? filter;
    private ulong hardOpenFiles;

    public RuncEngine(NodeOptions options, TimeProvider time, ILogger<RuncEngine> logger)
    {
        this.options = options;
        this.time = time;
        this.logger = logger;
        folders = new EngineFolders(options);
        storage = new NodeStorage(options.StorageFolder, poller);
        outer = new OuterContainers(MakeOuterAsync, time);
    }

    public string Name => runc?.Version ?? "runc";

    public int CgroupVersion => cgroups?.Version ?? 0;

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        await LockInstanceAsync(cancellationToken);
        FileSystems.UseUsualMask();
        Spawner.BecomeSubreaper();
        cgroups = CgroupDetection.Detect();
        // Before anything that may be interrupted: what a killed predecessor left is found by the lock, and goes with
        // it.
        leftovers = new Leftovers(folders, cgroups, poller, time, logger);
        runc = await Runc.FindAsync(options.Runc, poller, time, cancellationToken);
        await FindRuntimesAsync(cancellationToken);
        filter = SeccompFilter.Compile();
        warmup = new MoveWarmup(cgroups);
        hardOpenFiles = ReadHardOpenFiles();
        abandoned = new Abandoned(options, cgroups, poller, time, logger);
        orphans = new Orphans(poller);
        await leftovers.RemoveAllAsync(cancellationToken);
        CrashPoints.Reach(CrashPoint.LeftoversRemoved);
        folders.Make();
        await runc.SealAsync(folders.Programs, cancellationToken);
        initPath = await InitBinary.WriteToAsync(folders.Root, cancellationToken);
        owners = new OwnerRanges(initPath, poller, options);
        networks = new NodeNetworks(options.Instance, poller, time, logger);
        await networks.SweepAsync();
    }

    public Task MakeNetworkAsync(NetworkDefinition network, CancellationToken cancellationToken) =>
        networks!.EnsureAsync(network, cancellationToken);

    public ISharedNetworks? SharedNetworks => networks?.Shares;

    public Task KeepNetworksAsync(IReadOnlySet<string> ids, CancellationToken cancellationToken) =>
        networks!.KeepAsync(ids, cancellationToken);

    public async Task<ISandbox> PrepareAsync(
        SandboxSpec spec, ImageHandle image, SandboxExtras? extras, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        ObjectDisposedException.ThrowIf(owners is null, this);
        if (spec is { Family: not null, Network: NetworkMode.None } && extras is null)
        {
            return await outer.PrepareAsync(spec, image, cancellationToken);
        }

        warmup!.Begin();
        HostObjects objects = NewObjects(RunId.New(time.GetUtcNow()).Text);
        SandboxStreams? streams = null;
        try
        {
            string hostName = extras?.HostName ?? HostNameOf(objects);
            objects.Owner = await owners.TakeAsync(cancellationToken);
            CrashPoints.Reach(CrashPoint.OwnerTaken);
            await MountRootAsync(objects, spec, image, extras, cancellationToken);
            CrashPoints.Reach(CrashPoint.RootMounted);
            if (spec.Bridge is { } network)
            {
                objects.Endpoint = await networks!.AttachAsync(network, extras?.Address, cancellationToken);
            }

            RuntimeConfig config = CompleteRoot(
                objects, spec, extras, hostName, image.Config.Config?.User ?? "");
            if (spec.Runtime is { } name)
            {
                return Further(RuntimeOf(name), objects, spec, hostName, config);
            }

            await WriteBundleAsync(objects, config, cancellationToken);
            CrashPoints.Reach(CrashPoint.BundleWritten);
            streams = await CreateAsync(objects);
            CrashPoints.Reach(CrashPoint.ContainerCreated);
            await BootAsync(objects, spec, cancellationToken);
            CrashPoints.Reach(CrashPoint.ContainerBooted);
            objects.BeginUsage();
            return new RuncSandbox(objects, spec, hostName, time.GetUtcNow(), streams, poller, RemoveAsync);
        }
        catch (Exception error)
        {
            streams?.Dispose();
            await RemoveAsync(objects);
            if (AsNodeFault(error) is { } fault)
            {
                throw fault;
            }

            throw;
        }
    }

    public async Task<int> SweepAsync(CancellationToken cancellationToken)
    {
        if (leftovers is null)
        {
            return 0;
        }

        await orphans!.ReapAsync();
        await outer.SweepAsync();
        foreach (HostObjects objects in unremoved.Values)
        {
            await RemoveAsync(objects);
        }

        int removed = await leftovers.RemoveExceptAsync(living.ContainsKey, cancellationToken);
        await abandoned!.RemoveAsync(cancellationToken);
        return removed;
    }

    public async ValueTask DisposeAsync()
    {
        await outer.DisposeAsync();
        foreach (HostObjects objects in living.Values)
        {
            await RemoveAsync(objects);
        }

        bool isGone = leftovers is not null && await leftovers.RemoveAllAsync(CancellationToken.None);
        if (networks is not null)
        {
            await networks.DisposeAsync();
        }

        owners?.Dispose();
        warmup?.Dispose();
        runc?.Dispose();
        poller.Dispose();
        if (isGone)
        {
            instanceLock?.Delete();
        }

        // Where something is left, the next start finds it by the lock.
        instanceLock?.Dispose();
    }

    /// <summary>Null for what says itself who is to blame.</summary>
    private static BerthException? AsNodeFault(Exception error) => error is IOException or UnauthorizedAccessException
        ? new BerthException(ErrorCode.NodeFault, $"A sandbox could not be made: {error.Message}", error)
        : null;

    private static string HostNameOf(HostObjects objects) => objects.Id[^12..];

    private HostObjects NewObjects(string id)
    {
        HostObjects objects = Borrowed(id, cgroups!.At(folders.CgroupOf(id)));
        // Before anything is made, so that no sweep takes it for a leftover.
        living[id] = objects;
        return objects;
    }

    /// <summary>For a sandbox in what another one has on this machine.</summary>
    private HostObjects Borrowed(string id, ICgroup cgroup) => new(id, folders, cgroup, owners!, time);

    /// <summary>A container that makes sandboxes of this shape within itself.</summary>
    private async Task<OuterContainer> MakeOuterAsync(
        SandboxSpec spec, ImageHandle image, CancellationToken cancellationToken)
    {
        // Only for what runc moves: it holds up every fork of the machine, and those of sandboxes within are many.
        warmup!.Begin();
        HostObjects objects = NewObjects(RunId.New(time.GetUtcNow()).Text);
        SandboxSpec own = spec with { Limits = ContainerShape.OuterLimits };
        SandboxStreams? streams = null;
        try
        {
            string hostName = HostNameOf(objects);
            objects.Owner = await owners!.TakeAsync(cancellationToken);
            await MountRootAsync(objects, own, image, extras: null, cancellationToken);
            RuntimeConfig config = CompleteRoot(objects, own, extras: null, hostName, imageUser: "", isOuter: true);
            await WriteBundleAsync(objects, config, cancellationToken);
            streams = await CreateAsync(objects);
            using (FileSystems.OpenFifo(folders.StateOf(objects.Id) + "/exec.fifo"))
            {
                objects.Root!.Detach();
                await InTimeAsync(
                    objects.Channel!.BecomeOuterAsync(ContainerShape.RenderOuter(spec.Limits), cancellationToken),
                    cancellationToken);
            }

            CrashPoints.Reach(CrashPoint.OuterContainerBooted);
            return new OuterContainer(
                objects, streams, spec, hostName, image,
                new InnerHost(NewObjects, Borrowed, WaitReadyAsync, InTimeAsync, RemoveAsync, poller, time));
        }
        catch (Exception error)
        {
            streams?.Dispose();
            await RemoveAsync(objects);
            image.Dispose();
            if (AsNodeFault(error) is { } fault)
            {
                throw fault;
            }

            throw;
        }
    }

    private async Task MountRootAsync(
        HostObjects objects, SandboxSpec spec, ImageHandle image, SandboxExtras? extras,
        CancellationToken cancellationToken)
    {
        string folder = folders.Of(objects.Id);
        Directory.CreateDirectory(folder);
        OwnerRange owner = objects.Owner!;
        try
        {
            if (extras?.Layer is { } layer)
            {
                await MountLayerAsync(objects, storage.LayerOf(layer), spec.Limits.WritableLayer, cancellationToken);
            }

            objects.Root = OverlayRoot.Mount(
                folder + "/fs", image.LayerPaths, owner, spec.Limits.WritableLayer, objects.Layer);
        }
        finally
        {
            objects.Layer?.Detach();
        }
    }

    private async Task MountLayerAsync(
        HostObjects objects, string file, ByteSize size, CancellationToken cancellationToken)
    {
        try
        {
            objects.Layer = await LastingLayer.MountAsync(
                file, size, folders.DiskOf(objects.Id), poller, time, cancellationToken);
            objects.Layer.GiveTo(objects.Owner!);
        }
        catch (IOException error) when (DurableFile.IsOfTheDisk(error))
        {
            throw DurableFile.Refusal(file, error);
        }
    }

    private async Task FindRuntimesAsync(CancellationToken cancellationToken)
    {
        foreach (RegisteredRuntime registered in options.Runtimes)
        {
            OciRuntime found = await OciRuntime.FindAsync(registered, poller, time, cancellationToken);
            runtimes.Add(registered.Name, found);
            Log.RuntimeFound(logger, registered.Name, registered.Path, found.Version);
        }
    }

    private OciRuntime RuntimeOf(string name) => runtimes.GetValueOrDefault(name) ?? throw new BerthException(
        ErrorCode.InvalidRequest,
        $"There is no runtime '{name}' on this node: it has "
        + $"{string.Join(", ", runtimes.Keys.Prepend(RegisteredRuntime.Own))}. The setting 'runtime' "
        + "registers more.");

    private RuntimeSandbox Further(
        OciRuntime runtime, HostObjects objects, SandboxSpec spec, string hostName, RuntimeConfig config)
    {
        string folder = folders.Of(objects.Id);
        Directory.CreateDirectory(OciRuntime.StateOf(folder), EngineFolders.OwnerOnly);
        return new RuntimeSandbox(
            runtime, objects, folder, spec, hostName, time.GetUtcNow(), new RuntimeBundle(config),
            new RuntimeGroup(objects.Cgroup, cgroups!, spec.Limits, runtime.IgnoresCgroups, initPath), poller, time,
            async removed =>
            {
                await RemoveAsync(removed);
                await orphans!.ReapOfAsync(removed.Cgroup.Path);
            });
    }

    /// <summary>Puts into a mounted root what every sandbox has, and says what is to be made of it.</summary>
    private RuntimeConfig CompleteRoot(
        HostObjects objects, SandboxSpec spec, SandboxExtras? extras, string hostName, string imageUser,
        bool isOuter = false)
    {
        string folder = folders.Of(objects.Id);
        OwnerRange owner = objects.Owner!;
        string root = objects.Root!.Path;
        Endpoint? place = objects.Endpoint;
        RootPreparation.Complete(
            root, owner, hostName,
            new NetworkFiles(spec.Network == NetworkMode.Host, place?.Address, place?.Gateway));
        if (extras is { Mounts.Count: > 0 })
        {
            ExtraMounts.Attach(
                extras.Mounts, root, owner, storage.Volumes, folder + "/fs/memory", imageUser);
        }

        // Last, because a volume may have been mounted over them.
        AccountFiles.Check(root);

        return ContainerShape.Render(
            spec, extras, root, hostName, owner.First, objects.Cgroup.Path, initPath, hardOpenFiles,
            cgroups!.CanLimitSwap, place is null ? null : new NetworkPlace(place.Path, place.MountSystem(folder)),
            isOuter);
    }

    private async Task WriteBundleAsync(
        HostObjects objects, RuntimeConfig config, CancellationToken cancellationToken)
    {
        byte[] json = JsonSerializer.SerializeToUtf8Bytes(config, RuntimeJson.Default.RuntimeConfig);
        await File.WriteAllBytesAsync(folders.Of(objects.Id) + "/config.json", json, cancellationToken);
    }

    private async Task<SandboxStreams> CreateAsync(HostObjects objects)
    {
        using SandboxEnds ends = new();
        int pid = await runc!.CreateAsync(objects.Id, folders.RuncState, folders.Of(objects.Id), ends.Theirs);
        objects.Init = PidHandle.Open(pid, poller);
        objects.Channel = ends.TakeChannel(poller);
        return ends.TakeStreams(poller);
    }

    /// <summary>runc's init waits until somebody reads its fifo, then becomes ours, which locks itself down.</summary>
    private async Task BootAsync(HostObjects objects, SandboxSpec spec, CancellationToken cancellationToken)
    {
        using (FileSystems.OpenFifo(folders.StateOf(objects.Id) + "/exec.fifo"))
        {
            objects.Root!.Detach();
            if (objects.Endpoint is not null)
            {
                Endpoint.UnmountSystem(folders.Of(objects.Id));
            }

            await WaitReadyAsync(objects.Channel!, cancellationToken);
        }

        ByteSize memory = spec.Limits.Memory;
        int pids = ContainerShape.PidsOf(spec.Limits);
        objects.Cgroup.Tighten(
            memory < ContainerShape.LeastMemory ? memory : null, pids < ContainerShape.LeastPids ? pids : null);
        objects.Cgroup.ResetPeak();
    }

    private Task WaitReadyAsync(InitChannel channel, CancellationToken cancellationToken) =>
        InTimeAsync(channel.WaitReadyAsync(filter!.Instructions, cancellationToken), cancellationToken);

    private async Task InTimeAsync(Task booting, CancellationToken cancellationToken)
    {
        try
        {
            await booting.WaitAsync(BootTimeout, time, cancellationToken);
        }
        catch (TimeoutException error)
        {
            throw new BerthException(
                ErrorCode.NodeFault,
                $"The sandbox's init did not answer within {BootTimeout.TotalSeconds} s: the machine is overloaded.",
                error);
        }
    }

    /// <summary>What can't be removed now is tried again by the next sweep; until then it keeps its name and its user
    /// ids.</summary>
    private async Task RemoveAsync(HostObjects objects)
    {
        try
        {
            if (await objects.RemoveAsync())
            {
                unremoved.TryRemove(objects.Id, out _);
                living.TryRemove(objects.Id, out _);
                return;
            }

            Log.RemovalIncomplete(logger, objects.Id);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            Log.RemovalFailed(logger, objects.Id, error);
        }

        unremoved[objects.Id] = objects;
    }

    /// <summary>A predecessor that was just killed may hold the lock for a moment still: its last child has it until
    /// it executes its own program.</summary>
    private async Task LockInstanceAsync(CancellationToken cancellationToken)
    {
        if (!Environment.IsPrivilegedProcess)
        {
            throw new BerthException(
                ErrorCode.NodeFault, "Making sandboxes takes root: start the server with sudo or as a system service.");
        }

        Directory.CreateDirectory(options.RuntimeFolder);
        long begun = time.GetTimestamp();
        while ((instanceLock = InstanceLock.TryTake(folders.Lock, make: true)) is null)
        {
            if (time.GetElapsedTime(begun) > LockPatience)
            {
                throw new BerthException(
                    ErrorCode.NodeFault,
                    $"Another server of the same data folder is running: {folders.Lock} is locked. Stop it, or use "
                    + "another data folder.");
            }

            await Task.Delay(LockPause, time, cancellationToken);
        }

        if (options.StorageFolder is { } dataFolder)
        {
            instanceLock.Name(dataFolder);
        }
    }

    /// <summary>Field 5 of "Max open files" (proc_pid_limits(5)).</summary>
    private static ulong ReadHardOpenFiles()
    {
        string line =
            File.ReadLines("/proc/self/limits").First(l => l.StartsWith("Max open files", StringComparison.Ordinal));
        return ulong.TryParse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[4], out ulong hard) ? hard
            : 1_048_576;
    }
}
