using System.Collections.Concurrent;
using Berth.Api.Nodes;
using Berth.Core.Resources;

namespace Berth.Testing.Nodes;

/// <summary>The storage of <see cref="FakeNode"/>: names without anything behind them.</summary>
public sealed class FakeStorage(TimeProvider time) : INodeStorage
{
    private readonly ConcurrentDictionary<string, DateTimeOffset> volumes = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, bool> layers = new(StringComparer.Ordinal);

    /// <summary>What a sandbox with these extras would have made.</summary>
    public void Use(SandboxExtras extras)
    {
        if (extras.Layer is { } layer)
        {
            layers[layer] = true;
        }

        foreach (SandboxMount.Volume volume in extras.Mounts.OfType<SandboxMount.Volume>())
        {
            volumes.TryAdd(volume.Name, time.GetUtcNow());
        }
    }

    public Task<IReadOnlyDictionary<string, ByteSize>> LayersAsync(CancellationToken cancellationToken) =>
        Task.FromResult<IReadOnlyDictionary<string, ByteSize>>(
            layers.Keys.ToDictionary(key => key, _ => ByteSize.KiB(64), StringComparer.Ordinal));

    public Task RemoveLayerAsync(string layer, CancellationToken cancellationToken)
    {
        layers.TryRemove(layer, out _);
        return Task.CompletedTask;
    }

    public async Task<bool> CopyLayerAsync(string layer, string target, CancellationToken cancellationToken)
    {
        if (!layers.ContainsKey(layer))
        {
            return false;
        }

        await File.WriteAllTextAsync(target, "layer " + layer, cancellationToken);
        return true;
    }

    public Task<IReadOnlyList<VolumeInfo>> VolumesAsync(CancellationToken cancellationToken) =>
        Task.FromResult<IReadOnlyList<VolumeInfo>>(
            [.. volumes.Select(v => new VolumeInfo(v.Key, v.Value)).OrderBy(v => v.Name, StringComparer.Ordinal)]);

    public Task<bool> MakeVolumeAsync(string name, CancellationToken cancellationToken) =>
        Task.FromResult(volumes.TryAdd(name, time.GetUtcNow()));

    public Task<VolumeListing> FilesAsync(
        string name, string prefix, int most, CancellationToken cancellationToken) =>
        Task.FromResult(new VolumeListing(
            [.. Files.Where(f => f.Key.Volume == name && f.Value.Path.StartsWith(prefix, StringComparison.Ordinal))
                .Select(f => f.Value)],
            true));

    /// <summary>Of volumes, as a test puts them there.</summary>
    public ConcurrentDictionary<(string Volume, string Path), VolumeFile> Files { get; } = new();

    public Task RemoveVolumeAsync(string name, CancellationToken cancellationToken)
    {
        volumes.TryRemove(name, out _);
        return Task.CompletedTask;
    }

    public Task<ByteSize?> MeasureVolumeAsync(string name, CancellationToken cancellationToken) =>
        Task.FromResult(volumes.ContainsKey(name) ? ByteSize.KiB(4) : (ByteSize?)null);
}
