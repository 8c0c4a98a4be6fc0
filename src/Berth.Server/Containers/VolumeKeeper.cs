using Berth.Api.Nodes;
using Berth.Core.Containers;
using Berth.Core.Errors;
using Berth.Core.Faults;
using Berth.Core.Placement;
using Berth.Server.Nodes;

namespace Berth.Server.Containers;

/// <summary>
/// The named volumes, and who uses them. Those of the server's own machine are folders here; of others it is known
/// which machine has them.
/// </summary>
internal sealed class VolumeKeeper(ContainerRooms rooms, ContainerIndex index)
{
    private readonly SemaphoreSlim gate = new(1, 1);

    /// <summary>The machines; set before anything runs.</summary>
    public NodeRooms? Nodes { get; set; }

    /// <summary>Which machine has which.</summary>
    public VolumeHomes Homes => rooms.Homes;

    private string Own => rooms.Node.Info.Name;

    /// <summary>Records whose the volumes are that this machine has had all along.</summary>
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        await rooms.Homes.RefreshAsync(cancellationToken);
        foreach (VolumeInfo volume in await ListAsync(cancellationToken))
        {
            if (!ContainerName.IsAnonymousVolume(volume.Name)
                && await rooms.Homes.SettleAsync(volume.Name, Own, "", cancellationToken) is { Node: { } node }
                && node != Own)
            {
                Log.VolumeTwice(rooms.Logger, volume.Name, node);
            }
        }
    }

    /// <summary>Those of this machine.</summary>
    public Task<IReadOnlyList<VolumeInfo>> ListAsync(CancellationToken cancellationToken) =>
        rooms.Node.Storage.VolumesAsync(cancellationToken);

    /// <summary>Those of all machines, by name.</summary>
    public async Task<IReadOnlyList<Volume>> ListAllAsync(CancellationToken cancellationToken) =>
    [
        .. (await ListAsync(cancellationToken)).Where(v => rooms.Homes.Find(v.Name) is null)
            .Select(v => new Volume(v.Name, Own, v.CreatedAt, ""))
            .Concat(rooms.Homes.All).OrderBy(v => v.Name, StringComparer.Ordinal),
    ];

    /// <summary>Throws <c>NotFound</c>.</summary>
    public async Task<Volume> GetAsync(string name, CancellationToken cancellationToken) =>
        rooms.Homes.Find(name)
        ?? (await ListAllAsync(cancellationToken)).FirstOrDefault(v => v.Name == name) ?? throw NotFound(name);

    /// <summary>Makes it where it is missing. Throws <c>Conflict</c> where another machine has it, <c>NotFound</c>
    /// where there is no such machine, <c>NoNode</c> where none meets the rules.</summary>
    /// <param name="node">Name of the machine that is to have it; null for any that has it, else one that meets the
    /// rules, else that of its first use.</param>
    public async Task<(Volume Volume, bool IsNew)> MakeAsync(
        string? name, string? node, PlacementRules? rules, string caller, CancellationToken cancellationToken)
    {
        string chosen = name is null
            ? ContainerName.AnonymousVolume + ContainerId.New()
            : ContainerName.Check(name, "volume");
        bool wasThere = rooms.Homes.Find(chosen) is not null;
        string? wanted = node is not null ? Nodes!.Register.Get(node).Name
            : wasThere ? null
            : rules is not null ? await Nodes!.Fleet.ChooseForVolumeAsync(chosen, caller, rules, cancellationToken)
            : Nodes is { Fleet.IsAlone: false } ? null
            : Own;
        Volume home = await rooms.Homes.SettleAsync(chosen, wanted, caller, cancellationToken);
        if (node is not null && home.Node != node)
        {
            throw new BerthException(
                ErrorCode.Conflict,
                $"The volume '{chosen}' is on the machine '{home.Node}' already: choose another name, or remove it "
                + $"there with 'berth volume rm {chosen}'.");
        }

        // Elsewhere it is made when it is used first.
        bool isNew = home.Node == Own
            ? await rooms.Node.Storage.MakeVolumeAsync(chosen, cancellationToken)
            : !wasThere;
        CrashPoints.Reach(CrashPoint.VolumeMade);
        return (home, isNew);
    }

    /// <summary>Volumes that are new become the machine's on which the container is. Throws <c>Conflict</c> where
    /// another one has it.</summary>
    public async Task SettleAsync(Container container, CancellationToken cancellationToken)
    {
        string node = container.Node ?? Own;
        foreach (ContainerMount mount in container.Spec.Mounts.Where(
            m => m is { Kind: MountKind.Volume, Anonymous: false }))
        {
            Volume home = await rooms.Homes.SettleAsync(mount.Source, node, container.Caller, cancellationToken);
            if (home.Node != node)
            {
                throw Elsewhere(home, node);
            }
        }
    }

    /// <summary>Names of the containers that have it.</summary>
    public IReadOnlyList<string> UsersOf(Volume volume) => UsersOf(volume.Name);

    public IReadOnlyList<string> UsersOf(string name) =>
        [.. index.All.Where(e => e.Record.Spec.Mounts.Any(m => Is(m, name))).Select(e => e.Record.Name).Order()];

    /// <summary>Null of one that another machine has.</summary>
    public async Task<Core.Resources.ByteSize?> MeasureAsync(Volume volume, CancellationToken cancellationToken) =>
        volume.Node == Own ? await MeasureAsync(volume.Name, cancellationToken) : null;

    public Task<Core.Resources.ByteSize?> MeasureAsync(string name, CancellationToken cancellationToken) =>
        rooms.Node.Storage.MeasureVolumeAsync(name, cancellationToken);

    /// <summary>Throws <c>NotFound</c>, and <c>Conflict</c> where something has it or its machine is away.</summary>
    public async Task RemoveAsync(string name, CancellationToken cancellationToken)
    {
        Volume volume = await GetAsync(name, cancellationToken);
        await ExpectAsync(volume, cancellationToken);
        await gate.WaitAsync(cancellationToken);
        try
        {
            if (await UsersAnywhereAsync(name, cancellationToken) is [_, ..] users)
            {
                throw new BerthException(
                    ErrorCode.Conflict,
                    $"The volume '{name}' belongs to {string.Join(", ", users.Take(5))}: remove the container first.");
            }

            using IDisposable? closed = Nodes?.Fleet.VolumeUsers.Close(name);
            await RemoveFilesAsync(volume, cancellationToken);
            await rooms.Homes.ForgetAsync([name], cancellationToken);
            CrashPoints.Reach(CrashPoint.VolumeRemoved);
        }
        finally
        {
            gate.Release();
        }
    }

    /// <summary>What was made for a container alone stays without it. On another node it is found by its record from
    /// then on; here by its folder.</summary>
    public async Task LeaveAsync(Container container, CancellationToken cancellationToken)
    {
        if (container is not { Node: { } node, Run: not null })
        {
            return;
        }

        foreach (string volume in OwnOf(container))
        {
            await rooms.Homes.SettleAsync(volume, node, container.Caller, cancellationToken);
        }
    }

    /// <summary>Removes those that nothing has: of this machine only those without a name of their own unless
    /// <paramref name="named"/>, of others never one with a name. Tells which, and the bytes that they took here.
    /// </summary>
    public async Task<(IReadOnlyList<string> Removed, long Bytes)> PruneAsync(
        bool named, CancellationToken cancellationToken)
    {
        List<string> removed = [];
        long bytes = 0;
        HashSet<string> mounted = await MountedAnywhereAsync(cancellationToken);
        foreach (Volume left in rooms.Homes.All.Where(
            v => ContainerName.IsAnonymousVolume(v.Name) && v.Node is not null && v.Node != Own
                && !mounted.Contains(v.Name)).ToList())
        {
            try
            {
                await RemoveAsync(left.Name, cancellationToken);
                removed.Add(left.Name);
            }
            catch (BerthException refusal) when (
                refusal.Code is ErrorCode.Conflict or ErrorCode.NotFound or ErrorCode.NodeFault)
            {
                // Something has it, or its machine is away.
            }
        }

        foreach (VolumeInfo volume in await ListAsync(cancellationToken))
        {
            if ((named || ContainerName.IsAnonymousVolume(volume.Name)) && !mounted.Contains(volume.Name)
                && !IsInUse(volume.Name) && UsersOf(volume.Name).Count == 0)
            {
                using IDisposable? closed = Nodes?.Fleet.VolumeUsers.Close(volume.Name);
                bytes += (await MeasureAsync(volume.Name, cancellationToken))?.Bytes ?? 0;
                await rooms.Node.Storage.RemoveVolumeAsync(volume.Name, cancellationToken);
                removed.Add(volume.Name);
                if (rooms.Homes.Find(volume.Name)?.Node == Own)
                {
                    await rooms.Homes.ForgetAsync([volume.Name], cancellationToken);
                }
            }
        }

        return (removed, bytes);
    }

    /// <summary>The volumes that were made for a container alone.</summary>
    public IReadOnlyList<string> OwnOf(Container container) =>
    [
        .. container.Spec.Mounts.Where(m => m.Anonymous && UsersOf(m.Source) is { Count: <= 1 })
            .Select(m => m.Source),
    ];

    /// <summary>Removes layers that belong to no container: left by a server that was killed at the wrong moment.
    /// </summary>
    public async Task SweepAsync(CancellationToken cancellationToken)
    {
        HashSet<string> known = [.. index.All.Select(e => e.Record.Id.Text)];
        int swept = 0;
        foreach (string layer in (await rooms.Node.Storage.LayersAsync(cancellationToken)).Keys)
        {
            if (!known.Contains(layer))
            {
                await rooms.Node.Storage.RemoveLayerAsync(layer, cancellationToken);
                swept++;
            }
        }

        if (swept > 0)
        {
            Log.Swept(rooms.Logger, swept);
        }
    }

    /// <summary>As <see cref="UsersOf(string)"/>, with those that other servers keep.</summary>
    private async Task<IReadOnlyList<string>> UsersAnywhereAsync(string name, CancellationToken cancellationToken) =>
    [
        .. (await rooms.Store.ContainersOfAllAsync(cancellationToken))
            .Where(c => c.Spec.Mounts.Any(m => Is(m, name))).Select(c => c.Name).Union(UsersOf(name)).Order(),
    ];

    /// <summary>Its machine may have joined at another server just now, and where this one has just begun it may be
    /// about to dial. Of one that was removed there is nothing to be had.</summary>
    private async Task ExpectAsync(Volume volume, CancellationToken cancellationToken)
    {
        if (volume.Node is { } node && node != Own && Nodes is { } nodes)
        {
            if (nodes.Register.Find(node) is null)
            {
                await nodes.Register.RefreshAsync(cancellationToken);
            }

            await nodes.Fleet.IsReadyAsync(node, cancellationToken);
        }
    }

    /// <summary>Names of the volumes that containers of any server have.</summary>
    private async Task<HashSet<string>> MountedAnywhereAsync(CancellationToken cancellationToken) =>
    [
        .. (await rooms.Store.ContainersOfAllAsync(cancellationToken))
            .SelectMany(c => c.Spec.Mounts).Where(m => m.Kind == MountKind.Volume).Select(m => m.Source),
    ];

    private bool IsInUse(string name) => Nodes?.Fleet.VolumeUsers.Has(name) ?? false;

    private async Task RemoveFilesAsync(Volume volume, CancellationToken cancellationToken)
    {
        if (volume.Node == Own)
        {
            await rooms.Node.Storage.RemoveVolumeAsync(volume.Name, cancellationToken);
        }
        else if (volume.Node is not null && Nodes?.Register.Find(volume.Node) is { } node)
        {
            if (node.Node is not { Link.Closed.IsCancellationRequested: false } linked)
            {
                throw new BerthException(
                    ErrorCode.Conflict,
                    $"The volume '{volume.Name}' is on the machine '{volume.Node}', "
                    + (node.Record.IsServers
                        ? "another server's own: remove it at that server."
                        : "which can't be reached from here: wait until it is back, or give it up with 'berth node rm "
                            + $"{volume.Node}'."));
            }

            await linked.RemoveVolumeAsync(volume.Name, cancellationToken);
        }
    }

    private static BerthException Elsewhere(Volume volume, string node) => new(
        ErrorCode.Conflict,
        $"The volume '{volume.Name}' is on the machine '{volume.Node}', and the container would be on '{node}': leave "
        + "out what binds it there, or name another volume.");

    private static bool Is(ContainerMount mount, string name) =>
        mount.Kind == MountKind.Volume && mount.Source == name;

    private static BerthException NotFound(string name) => new(
        ErrorCode.NotFound,
        $"There is no volume '{(name.Length > 64 ? name[..64] + "…" : name)}': 'berth volume ls' lists them.");
}
