using Berth.Core.Errors;
using Berth.Core.Faults;
using Berth.Core.Images;
using Berth.Oci.Content;
using Berth.Oci.Images;
using Berth.Oci.Layers;
using Berth.Oci.Repositories;
using Microsoft.Extensions.Logging;

namespace Berth.Registry.Collection;

/// <summary>
/// Removes blobs, unpacked layers and blob links that no repository's manifest names, while everything is in use. What
/// is leased, or was written or promised to somebody within the grace period, stays. A pass: it may run at any time and
/// the next one does what this one left. docs/internals/garbage-collection.md says why it is safe.
/// </summary>
/// <param name="layers">The unpacked layers, or null when this process has none.</param>
/// <param name="grace">How long a push may take from its first blob to its manifest.</param>
public sealed class GarbageCollector(
    ContentStore content, RepositoryStore repositories, ICollectableLayers? layers, TimeSpan grace, TimeProvider time,
    ILoggerFactory loggers) : IDisposable
{
    private readonly ImageCatalog catalog = new(repositories, content);
    private readonly ILogger logger = loggers.CreateLogger<GarbageCollector>();
    private readonly SemaphoreSlim one = new(1, 1);

    /// <summary>An hour: no push in practice takes longer from a layer to its manifest.</summary>
    public static TimeSpan DefaultGrace { get; } = TimeSpan.FromHours(1);

    /// <summary>Images that are kept though no repository names them any more: containers run them by digest.</summary>
    public Func<IReadOnlyCollection<Digest>> Kept { get; init; } = () => [];

    public async Task<CollectionReport> CollectAsync(CancellationToken cancellationToken)
    {
        await one.WaitAsync(cancellationToken);
        try
        {
            // 1. The moment before anything is read, and what is held at that moment. What is promised or held later
            //    is found by the last look at each blob.
            Start start = new(time.GetUtcNow(), time.GetTimestamp());
            Marks marks = new();
            marks.Blobs.UnionWith(content.Leased());
            marks.Layers.UnionWith(layers?.Held() ?? new HashSet<Digest>());

            // 2. Everything that some manifest names.
            foreach (string repository in repositories.AllNames())
            {
                await MarkAsync(repository, marks, cancellationToken);
            }

            // After the repositories: an image whose last name goes while they are read has its containers by then.
            foreach (Digest image in Kept())
            {
                await MarkImageAsync(image, marks, cancellationToken);
            }

            CrashPoints.Reach(CrashPoint.ContentMarked);
            // 3. The rest goes.
            (int blobs, long bytes) = SweepBlobs(marks, start, cancellationToken);
            CrashPoints.Reach(CrashPoint.BlobsSwept);
            int links = SweepLinks(marks, start, cancellationToken);
            int unpacked = SweepLayers(marks, start, cancellationToken);
            content.ForgetPromises(grace);
            CollectionReport report = new(blobs, bytes, unpacked, links, time.GetElapsedTime(start.Stamp));
            Log.Collected(logger, blobs, bytes, unpacked, links, report.Duration);
            return report;
        }
        finally
        {
            one.Release();
        }
    }

    /// <summary>Until the hold is disposed nothing is collected; waits for a collection under way.</summary>
    public async Task<IDisposable> HoldOffAsync(CancellationToken cancellationToken)
    {
        await one.WaitAsync(cancellationToken);
        return new CollectionHold(one);
    }

    public void Dispose() => one.Dispose();

    private async Task MarkAsync(string repository, Marks marks, CancellationToken cancellationToken)
    {
        HashSet<Digest> named = [];
        HashSet<Digest> seen = [];
        marks.Repositories[repository] = (seen, named);
        foreach (ManifestLink link in repositories.Manifests(repository))
        {
            seen.Add(link.Digest);
            marks.Blobs.Add(link.Digest);
            try
            {
                ManifestDocument document = await catalog.ReadAsync(link.Digest, link.MediaType, cancellationToken);
                named.UnionWith(document.Blobs.Select(b => b.Digest));
                marks.Blobs.UnionWith(document.Children.Select(c => c.Digest));
            }
            catch (BerthException e) when (ImageCatalog.IsDamage(e))
            {
                // It can't be pulled or run any more, so what it named is not kept for it.
                Log.ManifestUnreadable(logger, link.Digest, repository, e.Message);
                continue;
            }

            if (MediaTypes.IsManifest(link.MediaType))
            {
                CatalogDetail image = await catalog.DescribeAsync(link.Digest, link.MediaType, cancellationToken);
                marks.Layers.UnionWith(image.Image.DiffIds);
            }
        }

        marks.Blobs.UnionWith(named);
    }

    private async Task MarkImageAsync(Digest image, Marks marks, CancellationToken cancellationToken)
    {
        if (!marks.Images.Add(image))
        {
            return;
        }

        marks.Blobs.Add(image);
        try
        {
            ManifestDocument document = await catalog.ReadAsync(image, null, cancellationToken);
            marks.Blobs.UnionWith(document.Blobs.Select(b => b.Digest));
            foreach (Descriptor child in document.Children)
            {
                await MarkImageAsync(child.Digest, marks, cancellationToken);
            }

            if (!document.Children.Any())
            {
                CatalogDetail detail = await catalog.DescribeAsync(image, document.MediaType, cancellationToken);
                marks.Layers.UnionWith(detail.Image.DiffIds);
            }
        }
        catch (BerthException e) when (ImageCatalog.IsDamage(e))
        {
            // It can't be run any more.
        }
    }

    private (int Count, long Bytes) SweepBlobs(Marks marks, Start start, CancellationToken cancellationToken)
    {
        int count = 0;
        long bytes = 0;
        foreach (StoredBlob blob in content.Enumerate())
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (!marks.Blobs.Contains(blob.Digest) && content.TryCollect(blob.Digest, grace, start.At, start.Stamp))
            {
                count++;
                bytes += blob.Size;
            }
        }

        return (count, bytes);
    }

    private int SweepLinks(Marks marks, Start start, CancellationToken cancellationToken)
    {
        int count = 0;
        foreach ((string repository, (HashSet<Digest> seen, HashSet<Digest> named)) in marks.Repositories)
        {
            cancellationToken.ThrowIfCancellationRequested();
            count += repositories.SweepBlobLinks(
                repository, seen, named, start.At - grace, digest => content.SizeOf(digest) is not null);
        }

        return count;
    }

    private int SweepLayers(Marks marks, Start start, CancellationToken cancellationToken)
    {
        int count = 0;
        foreach (UnpackedLayer layer in layers?.Enumerate() ?? [])
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (!marks.Layers.Contains(layer.DiffId) && layers!.TryCollect(layer.DiffId, start.At - grace))
            {
                count++;
            }
        }

        return count;
    }

    private sealed class CollectionHold(SemaphoreSlim one) : IDisposable
    {
        private SemaphoreSlim? held = one;

        public void Dispose() => Interlocked.Exchange(ref held, null)?.Release();
    }

    /// <summary>
    /// When the pass began, by both clocks: the wall clock for files, the monotonic one for promises.
    /// </summary>
    private readonly record struct Start(DateTimeOffset At, long Stamp);

    private sealed class Marks
    {
        public HashSet<Digest> Blobs { get; } = [];

        public HashSet<Digest> Layers { get; } = [];

        /// <summary>Images that are kept without a name, as far as they were read.</summary>
        public HashSet<Digest> Images { get; } = [];

        /// <summary>Manifests of each repository that were read, and the blobs that they name.</summary>
        public Dictionary<string, (HashSet<Digest> Seen, HashSet<Digest> Named)> Repositories { get; } = [];
    }
}
