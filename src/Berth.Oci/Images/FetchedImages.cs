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

    private readonly ConcurrentDictionary<Digest, Fetch> fetching = new();
    private readonly ConcurrentDictionary<Digest, long> held = new();
    private int awaited;

    /// <summary>The way to another machine; set when there is one.</summary>
    public IBlobOrigin? Origin { get; set; }

    /// <summary>Told of an image that something was fetched of: how many parts, and how long it took.</summary>
    public Action<Digest, int, TimeSpan> Fetched { get; init; } = static (_, _, _) => { };

    /// <summary>Images that can be run without fetching anything, the last used first.</summary>
    public IReadOnlyList<string> Held =>
        [.. held.OrderByDescending(h => h.Value).Take(MostNamed).Select(h => h.Key.Text)];

    /// <summary>Whether an image can be run without fetching anything.</summary>
    public bool Holds(Digest manifest) => held.ContainsKey(manifest);

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

    /// <summary>Forgets images that were not used since; returns what is kept.</summary>
    public IReadOnlyList<Digest> Keep(TimeSpan idle)
    {
        foreach ((Digest image, long used) in held)
        {
            if (time.GetElapsedTime(used) > idle)
            {
                held.TryRemove(image, out _);
            }
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
        int fetched = 0;
        await Parallel.ForEachAsync(
            manifest.Layers.Append(manifest.Config).DistinctBy(l => l.Digest),
            new ParallelOptions { MaxDegreeOfParallelism = AtOnce, CancellationToken = cancellationToken },
            async (blob, token) =>
            {
                if (content.SizeOf(blob.Digest) != blob.Size)
                {
                    await StoreAsync(blob.Digest, blob.Size, fetch, token);
                    Interlocked.Increment(ref fetched);
                }
            });
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

    /// <param name="most">Bytes that it may have.</param>
    private async Task StoreAsync(Digest digest, long most, Fetch fetch, CancellationToken cancellationToken)
    {
        IBlobOrigin origin = Origin ?? throw new BerthException(
            ErrorCode.NodeFault, $"The image's content {digest} is not here, and there is no link to fetch it over.");
        await using Stream source = await origin.OpenBlobAsync(digest, cancellationToken);
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

        await writer.CommitAsync(digest, cancellationToken);
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
