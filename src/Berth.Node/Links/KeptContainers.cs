using System.Collections.Concurrent;
using System.Text;
using Berth.Api.Links;
using Berth.Api.Nodes;
using Berth.Core.Containers;
using Berth.Core.Errors;
using Berth.Oci.Content;
using Microsoft.Extensions.Logging;

namespace Berth.Node.Links;

/// <summary>
/// The containers that servers have on this node, and whose each writable layer is, and each volume that was made for
/// one container alone: programs outlast links, the others outlast this process. A server sees and ends its own alone.
/// </summary>
/// <param name="folder">A file for each layer and each such volume, with the name of its server in it.</param>
internal sealed class KeptContainers(
    INode node, VolumeUsers volumes, string folder, TimeProvider time, ILogger logger) : IAsyncDisposable
{
    /// <summary>Whoever stops a machine does not wait for longer.</summary>
    private static readonly TimeSpan LongestGrace = TimeSpan.FromSeconds(10);

    private readonly ConcurrentDictionary<string, KeptContainer> containers = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, IDisposable> having = new(StringComparer.Ordinal);
    private volatile bool isOver;

    /// <summary>The room that they have.</summary>
    public KeptPlaces Places { get; } = new(time);

    /// <summary>Starts a program and keeps it. Throws as <see cref="INode.StartAsync(AttemptSpec,
    /// CancellationToken)"/>, and <c>RunEntryPointMissing</c> where there is nothing to run.</summary>
    public async Task<KeptContainer> StartAsync(string owner, AttemptSpec spec, CancellationToken cancellationToken)
    {
        if (isOver)
        {
            throw new BerthException(ErrorCode.ShuttingDown, "The node stops.");
        }

        Note(owner, spec);
        IDisposable taken = volumes.Take(VolumesOf(spec));
        try
        {
            IAttempt attempt = await node.StartAsync(spec, cancellationToken);
            if (attempt.Completion is { IsCompleted: true } ended
                && (await ended).Reason == Core.Runs.EndReason.EntryPointMissing)
            {
                await attempt.DisposeAsync();
                throw new BerthException(ErrorCode.RunEntryPointMissing, (await ended).Detail!);
            }

            KeptContainer kept = new(attempt, owner, time);
            having[spec.Id] = taken;
            containers[spec.Id] = kept;
            return kept;
        }
        catch
        {
            taken.Dispose();
            throw;
        }
    }

    /// <summary>Whose is what outlasts an attempt with a container's files. Throws <c>NodeFault</c>.</summary>
    public void Note(string owner, AttemptSpec spec)
    {
        if (spec.Extras?.Layer is not { } layer)
        {
            return;
        }

        Note(layer, owner);
        foreach (string volume in VolumesOf(spec).Where(ContainerName.IsAnonymousVolume))
        {
            Note(volume, owner);
        }
    }

    /// <summary>Null where that server has none of the id.</summary>
    public KeptContainer? Find(string owner, string attempt) =>
        containers.TryGetValue(attempt, out KeptContainer? kept) && kept.Owner == owner ? kept : null;

    /// <summary>Ends it and keeps nothing of it but its layer.</summary>
    public async Task ForgetAsync(KeptContainer kept)
    {
        // Last, so that it can be found as long as it is there.
        await kept.DisposeAsync();
        containers.TryRemove(new KeyValuePair<string, KeptContainer>(kept.Attempt.Spec.Id, kept));
        if (having.TryRemove(kept.Attempt.Spec.Id, out IDisposable? taken))
        {
            taken.Dispose();
        }
    }

    public async Task<KeptReport> ListAsync(string owner, CancellationToken cancellationToken)
    {
        string[] attempts =
            [.. containers.Where(c => c.Value.Owner == owner).Select(c => c.Key).Take(KeptReport.Most)];
        string[] layers =
        [
            .. (await node.Storage.LayersAsync(cancellationToken)).Keys.Where(l => OwnerOf(l) == owner)
                .Take(KeptReport.Most),
        ];
        string[] anonymous =
        [
            .. (await node.Storage.VolumesAsync(cancellationToken)).Select(v => v.Name)
                .Where(v => ContainerName.IsAnonymousVolume(v) && OwnerOf(v) == owner).Take(KeptReport.Most),
        ];
        return new KeptReport(attempts, layers, anonymous);
    }

    /// <summary>Nothing happens where there is none of it, or it is another server's.</summary>
    public async Task DropAsync(string owner, DropOrder order, CancellationToken cancellationToken)
    {
        if (order.Attempt is { } attempt && Find(owner, attempt) is { } one)
        {
            LinkLog.Dropped(logger, attempt);
            await ForgetAsync(one);
        }

        if (order.Attempt is { } over)
        {
            Places.GiveBack(owner, over);
        }

        if (order.Layer is { } layer && ContainerPart.IsLayer(layer) && OwnerOf(layer) == owner)
        {
            foreach (KeptContainer kept in containers.Values.Where(c => c.Attempt.Spec.Extras?.Layer == layer))
            {
                LinkLog.Dropped(logger, kept.Attempt.Spec.Id);
                await ForgetAsync(kept);
            }

            Places.GiveBackLayer(owner, layer);
            await node.Storage.RemoveLayerAsync(layer, cancellationToken);
            File.Delete(FileOf(layer));
        }
    }

    /// <summary>Removes a volume with all that is in it. Throws <c>Conflict</c> where something runs with it.</summary>
    public async Task RemoveVolumeAsync(string name, CancellationToken cancellationToken)
    {
        using (volumes.Close(name))
        {
            await node.Storage.RemoveVolumeAsync(name, cancellationToken);
        }

        if (ContainerName.IsAnonymousVolume(name) && File.Exists(FileOf(name)))
        {
            File.Delete(FileOf(name));
        }
    }

    /// <summary>The node stops: every program is asked to end, and killed after its grace.</summary>
    public async ValueTask DisposeAsync()
    {
        isOver = true;
        await Task.WhenAll(containers.Values.Select(EndAsync));
        Places.Dispose();
    }

    private async Task EndAsync(KeptContainer kept)
    {
        TimeSpan grace = kept.Attempt.Spec.Grace;
        kept.Attempt.Stop(Core.Runs.EndReason.PlatformFault, grace < LongestGrace ? grace : LongestGrace);
        await kept.Attempt.Completion;
        await ForgetAsync(kept);
    }

    private static IEnumerable<string> VolumesOf(AttemptSpec spec) =>
        (spec.Extras?.Mounts ?? []).OfType<SandboxMount.Volume>().Select(v => v.Name);

    private string FileOf(string thing) => Path.Combine(folder, thing);

    private string? OwnerOf(string thing)
    {
        try
        {
            return File.ReadAllText(FileOf(thing));
        }
        catch (Exception none) when (none is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    private void Note(string thing, string owner)
    {
        if (OwnerOf(thing) == owner)
        {
            return;
        }

        try
        {
            Directory.CreateDirectory(folder);
            DurableFile.ReplacePrivate(FileOf(thing), Encoding.UTF8.GetBytes(owner));
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new BerthException(
                ErrorCode.NodeFault, $"The node can't write {folder}: {error.Message}", error);
        }
    }
}
