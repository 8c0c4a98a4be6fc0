using System.Collections.Concurrent;
using System.Collections.Frozen;
using Berth.Core.Containers;
using Berth.Core.Errors;
using Berth.Server.Store;

namespace Berth.Server.Containers;

/// <summary>
/// Which machine has which named volume, known to all servers of the store. A volume belongs to the machine that it was
/// made on, or on which it was used first, and who uses it runs there.
/// </summary>
internal sealed class VolumeHomes(IVolumeStore store, TimeProvider time)
{
    /// <summary>All are held in memory.</summary>
    public const int MaxVolumes = 10_000;

    private static readonly IReadOnlySet<string> None = FrozenSet<string>.Empty;

    private readonly ConcurrentDictionary<string, Volume> homes = new(StringComparer.Ordinal);
    private readonly SemaphoreSlim changing = new(1);
    private volatile FrozenDictionary<string, IReadOnlySet<string>> byNode =
        FrozenDictionary<string, IReadOnlySet<string>>.Empty;

    /// <summary>Told of the machines that have others than before.</summary>
    public Action<IEnumerable<string>> Changed { get; set; } = static _ => { };

    /// <summary>In no order.</summary>
    public IEnumerable<Volume> All => homes.Values;

    /// <summary>Null where there is none of that name, or it was never used.</summary>
    public Volume? Find(string name) => homes.GetValueOrDefault(name);

    /// <summary>Names of the volumes that a machine has; the same object until they change.</summary>
    public IReadOnlySet<string> On(string node) => byNode.GetValueOrDefault(node, None);

    /// <summary>Takes in what there is, and what other servers have changed.</summary>
    public async Task RefreshAsync(CancellationToken cancellationToken)
    {
        await changing.WaitAsync(cancellationToken);
        try
        {
            await ReadAsync(cancellationToken);
            Tell();
        }
        finally
        {
            changing.Release();
        }
    }

    /// <summary>The record of a volume; of one that has none, made now. One that was no machine's is that machine's
    /// from then on. Who comes at the same time elsewhere gets the same answer.</summary>
    /// <param name="node">Null where the first use is to decide.</param>
    /// <exception cref="BerthException">QuotaExceeded.</exception>
    public async Task<Volume> SettleAsync(
        string name, string? node, string creator, CancellationToken cancellationToken)
    {
        if (IsSettled(name, node, out Volume known))
        {
            return known;
        }

        await changing.WaitAsync(cancellationToken);
        try
        {
            return await StaleRecordsException.RetryAsync(
                () => SettleOnceAsync(name, node, creator, cancellationToken), ReadAsync, cancellationToken);
        }
        finally
        {
            Tell();
            changing.Release();
        }
    }

    /// <summary>Forgets volumes; nothing happens where there are none.</summary>
    public async Task ForgetAsync(IEnumerable<string> names, CancellationToken cancellationToken)
    {
        await changing.WaitAsync(cancellationToken);
        try
        {
            foreach (string name in names)
            {
                await StaleRecordsException.RetryAsync(
                    async () =>
                    {
                        await store.DeleteVolumeAsync(name, cancellationToken);
                        return homes.TryRemove(name, out _);
                    },
                    ReadAsync, cancellationToken);
            }
        }
        finally
        {
            Tell();
            changing.Release();
        }
    }

    private bool IsSettled(string name, string? node, out Volume known) =>
        homes.TryGetValue(name, out known!) && (known.Node is not null || node is null);

    private async Task<Volume> SettleOnceAsync(
        string name, string? node, string creator, CancellationToken cancellationToken)
    {
        if (IsSettled(name, node, out Volume known))
        {
            return known;
        }

        if (known is null && homes.Count >= MaxVolumes)
        {
            throw new BerthException(
                ErrorCode.QuotaExceeded,
                $"There are {MaxVolumes} volumes, and no more can be: 'berth volume rm' removes those that nobody "
                + "needs.");
        }

        Volume volume = known is null ? new(name, node, time.GetUtcNow(), creator) : known with { Node = node };
        await store.PutVolumeAsync(volume, cancellationToken);
        homes[name] = volume;
        return volume;
    }

    private async Task ReadAsync(CancellationToken cancellationToken)
    {
        HashSet<string> stored = new(StringComparer.Ordinal);
        foreach (Volume volume in await store.AllVolumesAsync(cancellationToken))
        {
            stored.Add(volume.Name);
            homes[volume.Name] = volume;
        }

        foreach (string gone in homes.Keys.Where(name => !stored.Contains(name)))
        {
            homes.TryRemove(gone, out _);
        }
    }

    private void Tell()
    {
        FrozenDictionary<string, IReadOnlySet<string>> before = byNode;
        byNode = homes.Values.Where(v => v.Node is not null)
            .GroupBy(v => v.Node!, v => v.Name, StringComparer.Ordinal).ToFrozenDictionary(
            g => g.Key,
            IReadOnlySet<string> (g) => before.TryGetValue(g.Key, out IReadOnlySet<string>? same) && same.SetEquals(g)
                ? same
                : g.ToFrozenSet(StringComparer.Ordinal),
            StringComparer.Ordinal);
        string[] changed = [.. before.Keys.Union(byNode.Keys).Where(n => !ReferenceEquals(On(n), Had(n)))];
        if (changed.Length > 0)
        {
            Changed(changed);
        }

        IReadOnlySet<string> Had(string node) => before.GetValueOrDefault(node, None);
    }
}
