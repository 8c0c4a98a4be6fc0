using Berth.Api.Containers;
using Berth.Api.Nodes;
using Berth.Core.Containers;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Core.Resources;
using Berth.Oci.Repositories;
using Berth.Server.Containers;
using Berth.Server.Hosting;
using Berth.Server.Metrics;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.ContainerEndpoints;

/// <summary>What Berth keeps on disk, and getting rid of what nobody needs.</summary>
internal sealed class SystemEndpoints(
    ContainerManager containers, INode node, ImageCatalog images, ContentFigures content)
{
    public async Task UsageAsync(HttpContext context)
    {
        _ = new QueryText(context.Request);
        CancellationToken token = context.RequestAborted;
        SystemUsage usage = new([await ImagesAsync(token), await ContainersAsync(token), await VolumesAsync(token)]);
        await JsonBody.WriteAsync(context, usage, ContainerJson.Default.SystemUsage);
    }

    /// <summary>Removes containers that have ended and the volumes that nobody has.</summary>
    public async Task PruneAsync(HttpContext context)
    {
        SystemPruneRequest request = await JsonBody.ReadAsync(context, ContainerRequestJson.Default.SystemPruneRequest);
        IReadOnlyDictionary<string, ByteSize> layers = await node.Storage.LayersAsync(context.RequestAborted);
        List<string> removed = [];
        long freed = 0;
        foreach (ContainerEntry entry in containers.List().Where(
            e => e.Record.State is ContainerState.Exited or ContainerState.Created))
        {
            try
            {
                await containers.RemoveAsync(entry, force: false, volumes: true, context.RequestAborted);
                removed.Add(entry.Record.Name);
                freed += layers.GetValueOrDefault(entry.Record.Id.Text).Bytes;
            }
            catch (BerthException refusal) when (refusal.Code is ErrorCode.Conflict or ErrorCode.NotFound)
            {
                // Somebody started or removed it meanwhile.
            }
        }

        (IReadOnlyList<string> volumes, long bytes) = await containers.Volumes.PruneAsync(
            request.Volumes, context.RequestAborted);
        await JsonBody.WriteAsync(
            context, new SystemPruneResult(removed, volumes, freed + bytes), ContainerJson.Default.SystemPruneResult);
    }

    private async Task<UsageLine> ImagesAsync(CancellationToken cancellationToken)
    {
        const int pageSize = 1000;
        HashSet<string> used = [.. containers.List().Select(e => e.Record.Spec.Digest.Text)];
        HashSet<string> active = [];
        int count = 0;
        ImageReference? after = null;
        while (true)
        {
            Page<CatalogImage> page = await images.ListAsync(after, pageSize, cancellationToken);
            count += page.Entries.Count;
            active.UnionWith(page.Entries.Select(i => i.Digest.Text).Where(used.Contains));
            if (!page.More)
            {
                break;
            }

            CatalogImage last = page.Entries[^1];
            after = ImageReference.Parse($"{last.Repository}:{last.Tag}");
        }

        // Counted now and then otherwise; who asks wants to see what was just removed.
        await Task.Run(content.Count, cancellationToken);
        return new UsageLine("images", count, active.Count, content.Bytes, 0);
    }

    private async Task<UsageLine> ContainersAsync(CancellationToken cancellationToken)
    {
        IReadOnlyDictionary<string, ByteSize> layers = await node.Storage.LayersAsync(cancellationToken);
        IReadOnlyList<ContainerEntry> all = containers.List();
        HashSet<string> live = [.. all.Where(e => e.Record.State.IsLive()).Select(e => e.Record.Id.Text)];
        return new UsageLine(
            "containers", all.Count, live.Count, layers.Values.Sum(s => s.Bytes),
            layers.Where(l => !live.Contains(l.Key)).Sum(l => l.Value.Bytes));
    }

    private async Task<UsageLine> VolumesAsync(CancellationToken cancellationToken)
    {
        IReadOnlyList<VolumeInfo> volumes = await containers.Volumes.ListAsync(cancellationToken);
        int active = 0;
        long size = 0;
        long reclaimable = 0;
        foreach (VolumeInfo volume in volumes)
        {
            long bytes = (await containers.Volumes.MeasureAsync(volume.Name, cancellationToken))?.Bytes ?? 0;
            bool used = containers.Volumes.UsersOf(volume.Name).Count > 0;
            active += used ? 1 : 0;
            size += bytes;
            reclaimable += used ? 0 : bytes;
        }

        return new UsageLine("volumes", volumes.Count, active, size, reclaimable);
    }
}
