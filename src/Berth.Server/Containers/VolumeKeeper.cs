using Berth.Api.Nodes;
using Berth.Core.Containers;
using Berth.Core.Errors;
using Berth.Core.Faults;

namespace Berth.Server.Containers;

/// <summary>The named volumes of the node, and who uses them.</summary>
internal sealed class VolumeKeeper(ContainerRooms rooms, ContainerIndex index)
{
    /// <summary>How the name of a volume begins that was made for one container alone.</summary>
    public const string AnonymousPrefix = "anonymous-";

    private readonly SemaphoreSlim gate = new(1, 1);

    public Task<IReadOnlyList<VolumeInfo>> ListAsync(CancellationToken cancellationToken) =>
        rooms.Node.Storage.VolumesAsync(cancellationToken);

    /// <summary>Throws <c>NotFound</c>.</summary>
    public async Task<VolumeInfo> GetAsync(string name, CancellationToken cancellationToken) =>
        (await ListAsync(cancellationToken)).FirstOrDefault(v => v.Name == name) ?? throw NotFound(name);

    /// <summary>Makes it where it is missing.</summary>
    public async Task<(VolumeInfo Volume, bool IsNew)> MakeAsync(string? name, CancellationToken cancellationToken)
    {
        string chosen = name is null ? AnonymousPrefix + ContainerId.New() : ContainerName.Check(name, "volume");
        bool isNew = await rooms.Node.Storage.MakeVolumeAsync(chosen, cancellationToken);
        CrashPoints.Reach(CrashPoint.VolumeMade);
        return (await GetAsync(chosen, cancellationToken), isNew);
    }

    /// <summary>Names of the containers that have it.</summary>
    public IReadOnlyList<string> UsersOf(string name) =>
        [.. index.All.Where(e => e.Record.Spec.Mounts.Any(m => Is(m, name))).Select(e => e.Record.Name).Order()];

    public Task<Core.Resources.ByteSize?> MeasureAsync(string name, CancellationToken cancellationToken) =>
        rooms.Node.Storage.MeasureVolumeAsync(name, cancellationToken);

    /// <summary>Throws <c>NotFound</c>, and <c>Conflict</c> where a container has it.</summary>
    public async Task RemoveAsync(string name, CancellationToken cancellationToken)
    {
        await GetAsync(name, cancellationToken);
        await gate.WaitAsync(cancellationToken);
        try
        {
            if (UsersOf(name) is [_, ..] users)
            {
                throw new BerthException(
                    ErrorCode.Conflict,
                    $"The volume '{name}' belongs to {string.Join(", ", users.Take(5))}: remove the container first.");
            }

            await rooms.Node.Storage.RemoveVolumeAsync(name, cancellationToken);
            CrashPoints.Reach(CrashPoint.VolumeRemoved);
        }
        finally
        {
            gate.Release();
        }
    }

    /// <summary>Removes those that no container has; only those without a name of their own unless
    /// <paramref name="named"/>. Tells which, and the bytes they took.</summary>
    public async Task<(IReadOnlyList<string> Removed, long Bytes)> PruneAsync(
        bool named, CancellationToken cancellationToken)
    {
        List<string> removed = [];
        long bytes = 0;
        foreach (VolumeInfo volume in await ListAsync(cancellationToken))
        {
            bool isOwn = volume.Name.StartsWith(AnonymousPrefix, StringComparison.Ordinal);
            if ((named || isOwn) && UsersOf(volume.Name).Count == 0)
            {
                bytes += (await MeasureAsync(volume.Name, cancellationToken))?.Bytes ?? 0;
                await rooms.Node.Storage.RemoveVolumeAsync(volume.Name, cancellationToken);
                removed.Add(volume.Name);
            }
        }

        return (removed, bytes);
    }

    /// <summary>Removes the volumes that were made for a container alone.</summary>
    public async Task RemoveOwnAsync(Container container)
    {
        foreach (ContainerMount mount in container.Spec.Mounts.Where(m => m.Anonymous))
        {
            if (UsersOf(mount.Source) is { Count: <= 1 })
            {
                await rooms.Node.Storage.RemoveVolumeAsync(mount.Source, CancellationToken.None);
            }
        }
    }

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

    private static bool Is(ContainerMount mount, string name) =>
        mount.Kind == MountKind.Volume && mount.Source == name;

    private static BerthException NotFound(string name) => new(
        ErrorCode.NotFound,
        $"There is no volume '{(name.Length > 64 ? name[..64] + "…" : name)}': 'berth volume ls' lists them.");
}
