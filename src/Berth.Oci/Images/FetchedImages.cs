using System.Collections.Concurrent;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Oci.Content;
using Berth.Oci.Layers;

namespace Berth.Oci.Images;

/// <summary>
/// Images of another machine's registry: what is missing here is fetched by digest, verified and kept, each image once
/// however many ask for it at the same time.
/// </summary>
public sealed class FetchedImages(
    ContentStore content, IImageSource images, Platform platform, TimeProvider time) : IImageSource
{
    /// <summary>Layers of an image that are fetched at once.</summary>
    private const int AtOnce = 3;

    /// <summary>Images that a heartbeat names at most.</summary>
    private const int MostNamed = 200;

    /// <summary>What a fetch that nobody waits for rests after each piece, while somebody waits for another: it goes
    /// on at about 1 MiB/s, because one that stood still would be given up by who sends it.</summary>
    private static readonly TimeSpan Courtesy = TimeSpan.FromMilliseconds(100);

    /// <summary>Longer than from one collection to the next.</summary>
    private static readonly TimeSpan JustUsed = TimeSpan.FromHours(2);

    private readonly ConcurrentDictionary<Digest, Fetch> fetching = new();
    private readonly ConcurrentDictionary<Digest, long> held = new();
    private readonly ConcurrentDictionary<Digest, HashSet<Digest>> layers = new();
    private int awaited;
    private long fromNeighbours;
    private long fromOrigin;

    /// <summary>The way to another machine; set when there is one.</summary>
    public IBlobOrigin? Origin { get; set; }

    /// <summary>Machines that are asked for layers before the origin is; null for none.</summary>
    public INeighbours? Neighbours { get; set; }

    /// <summary>Bytes that were fetched from neighbours and kept.</summary>
    public long FromNeighbours => Interlocked.Read(ref fromNeighbours);

    /// <summary>Bytes that were fetched from the origin and kept.</summary>
    public long FromOrigin => Interlocked.Read(ref fromOrigin);

    /// <summary>Told of an image that something was fetched of: how many parts, and how long it took.</summary>
    public Action<Digest, int, TimeSpan> Fetched { get; init; } = static (_, _, _) => { };

    /// <summary>Images that can be run without fetching anything, the last used first.</summary>
    public IReadOnlyList<string> Held =>
        [.. held.OrderByDescending(h => h.Value).Take(MostNamed).Select(h => h.Key.Text)];

    /// <summary>Takes in the images that the store has from before, with when they were used, which is known to two
    /// hours. Throws <c>IOException</c> where the store can't be read.</summary>
    /// <returns>How many.</returns>
    public async Task<int> RecallAsync(CancellationToken cancellationToken)
    {
        DateTimeOffset now = time.GetUtcNow();
        long stamp = time.GetTimestamp();
        IReadOnlyList<StoredImage> stored = await new StoredImages(content, platform).FindAsync(cancellationToken);
        foreach (StoredImage image in stored)
        {
            double unused = Math.Max(0, (now - image.UsedAt).TotalSeconds);
            layers.TryAdd(image.Digest, image.Layers);
            held.TryAdd(image.Digest, stamp - (long)(unused * time.TimestampFrequency));
        }

        return stored.Count;
    }

    /// <summary>Whether an image can be run without fetching anything.</summary>
    public bool Holds(Digest manifest) => held.ContainsKey(manifest);

    /// <summary>Whether it is a layer of an image that is held.</summary>
    public bool HoldsLayer(Digest layer) =>
        layers.Any(image => image.Value.Contains(layer) && held.ContainsKey(image.Key));

    /// <summary>A layer of an image that is held; null where it is none, or went meanwhile.</summary>
    public Stream? OpenLayer(Digest layer)
    {
        try
        {
            return HoldsLayer(layer) ? content.OpenRead(layer) : null;
        }
        catch (BerthException gone) when (gone.Code == ErrorCode.BlobUnknown)
        {
            return null;
        }
    }

    public Task<ImageHandle> OpenAsync(Digest manifest, CancellationToken cancellationToken) =>
        OpenAsync(manifest, isAwaited: true, cancellationToken);

    /// <summary>Has an image here before somebody asks for it; gives way to what is waited for, until somebody waits
    /// for this one too.</summary>
    public async Task FetchAheadAsync(Digest manifest, CancellationToken cancellationToken)
    {
        using ImageHandle image = await OpenAsync(manifest, isAwaited: false, cancellationToken);
    }

    private async Task<ImageHandle> OpenAsync(Digest manifest, bool isAwaited, CancellationToken cancellationToken)
    {
        using IDisposable lease = content.Lease(manifest);
        if (!held.ContainsKey(manifest))
        {
            await FetchOnceAsync(
                manifest, (fetch, token) => FetchAsync(manifest, fetch, token), isAwaited, cancellationToken);
        }

        try
        {
            return await OpenHeldAsync(manifest, cancellationToken);
        }
        catch (BerthException gone) when (gone.Code is ErrorCode.ImageNotFound or ErrorCode.BlobUnknown)
        {
            // Collected since it was last used.
            held.TryRemove(manifest, out _);
            await FetchOnceAsync(
                manifest, (fetch, token) => FetchAsync(manifest, fetch, token), isAwaited, cancellationToken);
            return await OpenHeldAsync(manifest, cancellationToken);
        }
    }

    /// <summary>Has one blob here, fetched where it is not; many who ask at once cause one fetch.</summary>
    /// <param name="most">Bytes that it may have.</param>
    public async Task EnsureAsync(Digest digest, long most, CancellationToken cancellationToken)
    {
        if (content.SizeOf(digest) is null)
        {
            await FetchOnceAsync(
                digest, (fetch, token) => StoreAsync(digest, most, fetch, token), isAwaited: true, cancellationToken);
        }
    }

    /// <summary>Forgets images that were not used since, and notes in the store which were used of late; returns what
    /// is kept.</summary>
    public IReadOnlyList<Digest> Keep(TimeSpan idle)
    {
        foreach ((Digest image, long used) in held)
        {
            TimeSpan unused = time.GetElapsedTime(used);
            if (unused > idle)
            {
                held.TryRemove(image, out _);
            }
            else if (unused < JustUsed)
            {
                content.Promise(image);
            }
        }

        foreach (Digest image in layers.Keys.Where(image => !held.ContainsKey(image)))
        {
            layers.TryRemove(image, out _);
        }

        return [.. held.Keys];
    }

    private async Task<ImageHandle> OpenHeldAsync(Digest manifest, CancellationToken cancellationToken)
    {
        ImageHandle handle = await images.OpenAsync(manifest, cancellationToken);
        held[manifest] = time.GetTimestamp();
        return handle;
    }

    /// <summary>Who comes later waits for the first; a first that gives up lets another begin.</summary>
    private async Task FetchOnceAsync(
        Digest manifest, Func<Fetch, CancellationToken, Task> fetch, bool isAwaited,
        CancellationToken cancellationToken)
    {
        while (true)
        {
            Fetch mine = new(this);
            Fetch under = fetching.GetOrAdd(manifest, mine);
            using IDisposable? waiting = isAwaited ? under.Await() : null;
            if (under != mine)
            {
                await under.Ended.Task.WaitAsync(cancellationToken);
                if (HasAll(manifest))
                {
                    return;
                }

                continue;
            }

            try
            {
                await fetch(mine, cancellationToken);
                return;
            }
            finally
            {
                fetching.TryRemove(manifest, out _);
                mine.Ended.SetResult();
            }
        }
    }

    private bool HasAll(Digest manifest) => content.SizeOf(manifest) is not null;

    private async Task FetchAsync(Digest digest, Fetch fetch, CancellationToken cancellationToken)
    {
        long begun = time.GetTimestamp();
        ManifestDocument document = await DocumentAsync(digest, null, fetch, cancellationToken);
        if (document.Index is { } index)
        {
            Descriptor chosen = PlatformChoice.Choose(index, platform)
                ?? throw new BerthException(
                    ErrorCode.ImageNotFound,
                    $"The image {digest} has no variant for {platform.Os}/{platform.Architecture}.");
            document = await DocumentAsync(chosen.Digest, chosen.MediaType, fetch, cancellationToken);
        }

        ImageManifest manifest = document.Manifest ?? throw new BerthException(
            ErrorCode.ManifestInvalid, $"The index {digest} names an index; one level is supported.");
        HashSet<Digest> own = [.. manifest.Layers.Select(l => l.Digest)];
        int fetched = 0;
        using NearbyLayers near = new(await NeighboursAsync(digest, manifest, cancellationToken));
        await Parallel.ForEachAsync(
            manifest.Layers.Append(manifest.Config).DistinctBy(l => l.Digest),
            new ParallelOptions { MaxDegreeOfParallelism = AtOnce, CancellationToken = cancellationToken },
            async (blob, token) =>
            {
                if (content.SizeOf(blob.Digest) != blob.Size)
                {
                    await (own.Contains(blob.Digest)
                        ? StoreLayerAsync(blob, near, fetch, token)
                        : StoreAsync(blob.Digest, blob.Size, fetch, token));
                    Interlocked.Increment(ref fetched);
                }
            });
        layers[digest] = own;
        if (fetched > 0)
        {
            Fetched(digest, fetched, time.GetElapsedTime(begun));
        }
    }

    private async Task<ManifestDocument> DocumentAsync(
        Digest digest, string? mediaType, Fetch fetch, CancellationToken cancellationToken)
    {
        if (content.SizeOf(digest) is null)
        {
            await StoreAsync(digest, ManifestDocument.MaxBytes, fetch, cancellationToken);
        }

        await using Stream blob = content.OpenVerified(digest);
        byte[] bytes = new byte[blob.Length];
        await blob.ReadExactlyAsync(bytes, cancellationToken);
        return ManifestDocument.Parse(bytes, mediaType);
    }

    /// <summary>Only where a layer is missing somebody is asked for neighbours.</summary>
    private async Task<IReadOnlyList<INeighbour>> NeighboursAsync(
        Digest image, ImageManifest manifest, CancellationToken cancellationToken) =>
        Neighbours is { } known && manifest.Layers.Any(l => content.SizeOf(l.Digest) != l.Size)
            ? await known.OfAsync(image, cancellationToken)
            : [];

    /// <summary>From a neighbour where one has it; whatever goes wrong there, the origin is asked next.</summary>
    private async Task StoreLayerAsync(
        Descriptor layer, NearbyLayers near, Fetch fetch, CancellationToken cancellationToken)
    {
        foreach (INeighbour neighbour in near.Next())
        {
            try
            {
                await using Stream? source = await neighbour.TryOpenAsync(layer.Digest, cancellationToken);
                if (source is not null)
                {
                    long length = await StoreAsync(layer.Digest, layer.Size, source, fetch, cancellationToken);
                    Interlocked.Add(ref fromNeighbours, length);
                    return;
                }
            }
            catch (Exception fault) when (
                fault is BerthException { Code: not ErrorCode.StorageFull } or IOException or HttpRequestException
                || (fault is OperationCanceledException && !cancellationToken.IsCancellationRequested))
            {
                near.Fail(neighbour, layer.Digest, fault.Message);
            }
        }

        await StoreAsync(layer.Digest, layer.Size, fetch, cancellationToken);
    }

    /// <summary>From the origin.</summary>
    /// <param name="most">Bytes that it may have.</param>
    private async Task StoreAsync(Digest digest, long most, Fetch fetch, CancellationToken cancellationToken)
    {
        IBlobOrigin origin = Origin ?? throw new BerthException(
            ErrorCode.NodeFault, $"The image's content {digest} is not here, and there is no link to fetch it over.");
        await using Stream source = await origin.OpenBlobAsync(digest, cancellationToken);
        long length = await StoreAsync(digest, most, source, fetch, cancellationToken);
        Interlocked.Add(ref fromOrigin, length);
    }

    /// <summary>Keeps what has the digest, and nothing else; returns its length.</summary>
    private async Task<long> StoreAsync(
        Digest digest, long most, Stream source, Fetch fetch, CancellationToken cancellationToken)
    {
        await using IBlobWriter writer = content.BeginWrite();
        byte[] buffer = new byte[128 * 1024];
        try
        {
            while (await source.ReadAsync(buffer, cancellationToken) is > 0 and int count)
            {
                if (writer.Length + count > most)
                {
                    throw new BerthException(
                        ErrorCode.SizeInvalid, $"The content {digest} is longer than the {most} bytes it should have.");
                }

                await writer.WriteAsync(buffer.AsMemory(0, count), cancellationToken);
                if (fetch.MayRest)
                {
                    await Task.Delay(Courtesy, time, cancellationToken);
                }
            }
        }
        catch (Exception broken) when (broken is IOException or HttpRequestException)
        {
            throw new BerthException(
                ErrorCode.NodeFault, $"The content {digest} broke off on its way here: {broken.Message}",
                broken);
        }

        long length = writer.Length;
        await writer.CommitAsync(digest, cancellationToken);
        return length;
    }

    /// <summary>One fetch under way, and whether somebody waits for it.</summary>
    private sealed class Fetch(FetchedImages images)
    {
        private readonly FetchedImages images = images;
        private int awaited;

        public TaskCompletionSource Ended { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        /// <summary>Nobody waits for this one, and somebody for another.</summary>
        public bool MayRest => Volatile.Read(ref awaited) == 0 && Volatile.Read(ref images.awaited) > 0;

        /// <summary>Somebody waits for it until that is disposed.</summary>
        public IDisposable Await()
        {
            Interlocked.Increment(ref awaited);
            Interlocked.Increment(ref images.awaited);
            return new Waiting(this);
        }

        private sealed class Waiting(Fetch fetch) : IDisposable
        {
            public void Dispose()
            {
                Interlocked.Decrement(ref fetch.awaited);
                Interlocked.Decrement(ref fetch.images.awaited);
            }
        }
    }
}
