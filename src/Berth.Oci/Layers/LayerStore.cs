using System.Text;
using Berth.Core.Errors;
using Berth.Core.Faults;
using Berth.Core.Images;
using Berth.Oci.Content;
using Berth.Oci.Images;
using Berth.Oci.Unix;

namespace Berth.Oci.Layers;

/// <summary>
/// The unpacked layers on disk: <c>&lt;hex of the diff id&gt;/</c> each, <c>.tmp-*</c> while being made or removed,
/// and <c>.synced-&lt;hex&gt;</c> beside a layer once the disk has all of it, with the blobs known to hold it. A layer
/// is usable before that, since it can be made again from its blob; without the mark it is removed at the next start.
/// One process uses the folder at a time.
/// </summary>
public sealed class LayerStore : ILayerStore, ICollectableLayers, IAsyncDisposable
{
    private const string Temporary = ".tmp-";
    private const string Synced = ".synced-";

    private readonly IContentStore content;
    private readonly string folder;
    private readonly LayerLimits limits;
    private readonly TimeProvider time;
    private readonly LayerUnpacker unpacker;
    private readonly SemaphoreSlim places;
    private readonly CancellationTokenSource closing = new();

    // Guards what follows, and every rename of a layer into or out of its place.
    private readonly Lock gate = new();
    private readonly Dictionary<Digest, ReadyLayer> ready = [];
    private readonly Dictionary<Digest, int> holds = [];
    private readonly Dictionary<(Digest Blob, Digest DiffId), Task<string>> running = [];
    private readonly HashSet<Task> background = [];
    private int temporaries;
    private bool disposed;

    /// <summary>Opens the store and removes what an earlier process left unfinished.</summary>
    /// <param name="folder">The <c>layers</c> folder of the data folder.</param>
    public LayerStore(IContentStore content, string folder, LayerLimits limits, TimeProvider time)
    {
        this.content = content;
        this.folder = Path.GetFullPath(folder);
        this.limits = limits;
        this.time = time;
        unpacker = new LayerUnpacker(limits);
        places = new SemaphoreSlim(limits.Parallel);
        Directory.CreateDirectory(this.folder);
        LoadOrRemove();
    }

    public string? PathOf(Digest diffId)
    {
        lock (gate)
        {
            return ready.ContainsKey(diffId) ? PathFor(diffId) : null;
        }
    }

    public Task<string> EnsureUnpackedAsync(Descriptor layer, Digest diffId, CancellationToken cancellationToken)
    {
        Digest blob = layer.Digest;
        Task<string>? task;
        lock (gate)
        {
            if (ready.TryGetValue(diffId, out ReadyLayer? known) && known.IsHeldBy(blob))
            {
                known.UsedAt = time.GetUtcNow();
                return Task.FromResult(PathFor(diffId));
            }

            if (!running.TryGetValue((blob, diffId), out task))
            {
                // It belongs to all who ask for it, so no single caller's token stops it.
                task = Task.Run(() => MakeReadyAsync(layer, diffId, closing.Token), CancellationToken.None);
                running.Add((blob, diffId), task);
            }
        }

        return task.WaitAsync(cancellationToken);
    }

    public IDisposable Hold(params IEnumerable<Digest> diffIds)
    {
        Digest[] held = [.. diffIds];
        lock (gate)
        {
            foreach (Digest diffId in held)
            {
                holds[diffId] = holds.GetValueOrDefault(diffId) + 1;
            }
        }

        return new LayerHold(this, held);
    }

    public IEnumerable<UnpackedLayer> Enumerate()
    {
        lock (gate)
        {
            return [.. ready.Select(r => new UnpackedLayer(r.Key, r.Value.UsedAt))];
        }
    }

    public IReadOnlySet<Digest> Held()
    {
        lock (gate)
        {
            return holds.Keys.ToHashSet();
        }
    }

    public bool TryCollect(Digest diffId, DateTimeOffset unusedSince)
    {
        string doomed;
        lock (gate)
        {
            if (holds.ContainsKey(diffId) || !ready.TryGetValue(diffId, out ReadyLayer? layer)
                || layer.UsedAt > unusedSince)
            {
                return false;
            }

            doomed = NewTemporary();
            File.Delete(MarkFor(diffId));
            CrashPoints.Reach(CrashPoint.LayerMarkDeleted);
            Directory.Move(PathFor(diffId), doomed);
            ready.Remove(diffId);
        }

        CrashPoints.Reach(CrashPoint.LayerMovedAway);
        FolderRemoval.Remove(doomed);
        return true;
    }

    /// <summary>Stops what is being unpacked and waits until finished layers are on disk.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref disposed, true))
        {
            return;
        }

        await closing.CancelAsync();
        Task[] open;
        lock (gate)
        {
            open = [.. running.Values, .. background];
        }

        await Task.WhenAll(open).ContinueWith(_ => { }, TaskScheduler.Default);
        closing.Dispose();
        places.Dispose();
    }

    private async Task<string> MakeReadyAsync(Descriptor layer, Digest diffId, CancellationToken cancellationToken)
    {
        Digest blob = layer.Digest;
        string temporary = NewTemporary();
        try
        {
            using IDisposable lease = content.Lease(blob);
            await places.WaitAsync(cancellationToken);
            try
            {
                if (await TryVerifyAsync(layer, diffId, cancellationToken))
                {
                    return PathFor(diffId);
                }

                Directory.CreateDirectory(temporary, (UnixFileMode)LayerWriter.ImpliedFolderMode);
                CrashPoints.Reach(CrashPoint.LayerBegun);
                long length = await ReadAsync(
                    layer,
                    (open, size) => unpacker.UnpackAsync(open, size, diffId, temporary, cancellationToken));
                CrashPoints.Reach(CrashPoint.LayerUnpacked);
                return Publish(temporary, diffId, blob, length);
            }
            finally
            {
                places.Release();
            }
        }
        finally
        {
            lock (gate)
            {
                running.Remove((blob, diffId));
            }

            FolderRemoval.Remove(temporary);
        }
    }

    /// <summary>
    /// Whether the layer is unpacked. Then the blob was checked to hold it: whoever knows a diff id must not get the
    /// layer's files for another blob. False when the layer is to be unpacked.
    /// </summary>
    private async Task<bool> TryVerifyAsync(Descriptor layer, Digest diffId, CancellationToken cancellationToken)
    {
        ReadyLayer? known;
        lock (gate)
        {
            known = ready.GetValueOrDefault(diffId);
        }

        if (known is null)
        {
            return false;
        }

        long length = await ReadAsync(
            layer, (open, size) => unpacker.VerifyAsync(open(), size, diffId, known.Length, cancellationToken));
        lock (gate)
        {
            return TryNote(diffId, layer.Digest, length);
        }
    }

    private async Task<long> ReadAsync(Descriptor layer, Func<Func<Stream>, long, Task<long>> read)
    {
        long size = content.SizeOf(layer.Digest)
            ?? throw new BerthException(
                ErrorCode.BlobUnknown, $"The layer {layer.Digest} is not stored here; push or pull it.");
        if (size != layer.Size)
        {
            throw new BerthException(
                ErrorCode.SizeInvalid,
                $"The layer {layer.Digest} has {size} bytes, but its manifest says {layer.Size}.");
        }

        try
        {
            return await read(() => content.OpenRead(layer.Digest), size);
        }
        catch (BerthException e) when (e.Code == ErrorCode.ArchiveRefused)
        {
            throw new BerthException(e.Code, $"Layer {layer.Digest}: {e.Message}", e);
        }
    }

    private string Publish(string temporary, Digest diffId, Digest blob, long length)
    {
        string path = PathFor(diffId);
        lock (gate)
        {
            // Two blobs, compressed differently, may hold the same layer; the first one done wins.
            if (!TryNote(diffId, blob, length))
            {
                Directory.Move(temporary, path);
                CrashPoints.Reach(CrashPoint.LayerNamed);
                ReadyLayer layer = new(time.GetUtcNow());
                layer.Add(blob, length);
                ready[diffId] = layer;
                InBackground(() => Sync(diffId));
            }
        }

        return path;
    }

    /// <summary>Notes that the blob holds the layer; false when the layer is not there. Under the gate.</summary>
    private bool TryNote(Digest diffId, Digest blob, long length)
    {
        if (!ready.TryGetValue(diffId, out ReadyLayer? layer))
        {
            return false;
        }

        layer.UsedAt = time.GetUtcNow();
        layer.Add(blob, length);
        if (layer.IsMarked)
        {
            TryMark(diffId, layer);
        }

        return true;
    }

    /// <summary>For disk work nobody waits for but the store's own end.</summary>
    private void InBackground(Action work)
    {
        Task task = Task.Run(work, CancellationToken.None);
        lock (gate)
        {
            background.Add(task);
        }

        _ = task.ContinueWith(Forget, TaskScheduler.Default);
    }

    private void Forget(Task task)
    {
        lock (gate)
        {
            background.Remove(task);
        }
    }

    /// <summary>
    /// Marks a layer as kept by the disk. Without the mark, for whatever reason, it is made anew after a restart.
    /// </summary>
    private void Sync(Digest diffId)
    {
        try
        {
            using UnixFolder open = UnixFolder.Open(folder);
            UnixFile.SyncFileSystem(open.Handle, folder);
        }
        catch (BerthException)
        {
            // Unmarked is the truth.
            return;
        }

        CrashPoints.Reach(CrashPoint.LayerSynced);
        lock (gate)
        {
            if (ready.TryGetValue(diffId, out ReadyLayer? layer))
            {
                TryMark(diffId, layer);
            }
        }
    }

    /// <summary>
    /// Writes the mark. It is not synced: what a power cut takes of it is found out again when it is needed.
    /// </summary>
    private void TryMark(Digest diffId, ReadyLayer layer)
    {
        try
        {
            File.WriteAllText(MarkFor(diffId), layer.ToText());
            layer.IsMarked = true;
            CrashPoints.Reach(CrashPoint.LayerMarked);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The layer or the blob is looked at again after a restart.
        }
    }

    private void LoadOrRemove()
    {
        List<string> doomed = [];
        using UnixFolder open = UnixFolder.Open(folder);
        List<string> names = [.. open.ReadNames().Select(Encoding.UTF8.GetString)];
        HashSet<string> marks =
            [.. names.Where(n => n.StartsWith(Synced, StringComparison.Ordinal)).Select(n => n[Synced.Length..])];
        foreach (string name in names.Where(n => !n.StartsWith(Synced, StringComparison.Ordinal)))
        {
            string text = (name.Length == 128 ? "sha512:" : "sha256:") + name;
            if (Digest.TryParse(text, out Digest diffId) && marks.Remove(name))
            {
                string mark = MarkFor(diffId);
                ready[diffId] = ReadyLayer.Parse(
                    File.ReadAllText(mark), new DateTimeOffset(File.GetLastWriteTimeUtc(mark), TimeSpan.Zero));
            }
            else if (!diffId.IsEmpty || name.StartsWith(Temporary, StringComparison.Ordinal))
            {
                doomed.Add(Path.Combine(folder, $"{Temporary}left-{doomed.Count}-{Path.GetRandomFileName()}"));
                Directory.Move(Path.Combine(folder, name), doomed[^1]);
            }
        }

        foreach (string orphan in marks)
        {
            File.Delete(Path.Combine(folder, Synced + orphan));
        }

        CrashPoints.Reach(CrashPoint.LeftoverLayersMoved);
        InBackground(() => doomed.ForEach(FolderRemoval.Remove));
    }

    private void Release(Digest[] held)
    {
        lock (gate)
        {
            foreach (Digest diffId in held)
            {
                if (--holds[diffId] == 0)
                {
                    holds.Remove(diffId);
                    if (ready.TryGetValue(diffId, out ReadyLayer? layer))
                    {
                        layer.UsedAt = time.GetUtcNow();
                    }
                }
            }
        }
    }

    private string PathFor(Digest diffId) => Path.Combine(folder, diffId.Hex);

    private string MarkFor(Digest diffId) => Path.Combine(folder, Synced + diffId.Hex);

    private string NewTemporary() => Path.Combine(folder, $"{Temporary}{Interlocked.Increment(ref temporaries)}");

    private sealed class LayerHold(LayerStore store, Digest[] diffIds) : IDisposable
    {
        private LayerStore? store = store;

        public void Dispose() => Interlocked.Exchange(ref store, null)?.Release(diffIds);
    }
}
