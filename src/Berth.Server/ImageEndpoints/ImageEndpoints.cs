using Berth.Api.Images;
using Berth.Api.Server;
using Berth.Core.Images;
using Berth.Core.Resources;
using Berth.Oci.Images;
using Berth.Oci.Layers;
using Berth.Oci.Repositories;
using Berth.Registry.Collection;
using Berth.Server.Hosting;
using Berth.Server.Metrics;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.ImageEndpoints;

/// <summary>Lists, shows and removes images, and collects what nothing refers to.</summary>
internal sealed class ImageEndpoints(
    ImageCatalog catalog, RepositoryStore repositories, ILayerStore layers, GarbageCollector collector,
    ContentFigures figures, TimeProvider time)
{
    private const int DefaultLimit = 100;
    private const int MaxLimit = 1000;

    public async Task ListAsync(HttpContext context)
    {
        QueryText query = new(context.Request, "limit", "cursor");
        string? cursor = query.Find("cursor");
        ImageReference? after = null;
        if (cursor is not null && !ImageReference.TryParse(cursor, out after))
        {
            throw QueryText.Refuse("cursor", cursor, "pass on the 'next' of the page before");
        }

        Page<CatalogImage> page = await catalog.ListAsync(
            after, query.Number("limit", 1, MaxLimit, DefaultLimit), context.RequestAborted);
        string? next = page.More ? $"{page.Entries[^1].Repository}:{page.Entries[^1].Tag}" : null;
        ImagePage answer = new([.. page.Entries.Select(View)], next);
        await JsonBody.WriteAsync(context, answer, ImageJson.Default.ImagePage);
    }

    public async Task GetAsync(HttpContext context)
    {
        CatalogDetail detail = await catalog.DescribeAsync(RequestedImage.Parse(context), context.RequestAborted);
        await JsonBody.WriteAsync(context, View(detail), ImageJson.Default.ImageDetail);
    }

    public async Task DeleteAsync(HttpContext context)
    {
        await catalog.DeleteAsync(RequestedImage.Parse(context), context.RequestAborted);
        context.Response.StatusCode = StatusCodes.Status204NoContent;
    }

    public async Task CollectAsync(HttpContext context)
    {
        CollectionReport report = await collector.CollectAsync(context.RequestAborted);
        figures.Count();
        CollectionView view = new(report.Blobs, report.Layers, report.Bytes, report.Duration.TotalMilliseconds);
        await JsonBody.WriteAsync(context, view, ServerJson.Default.CollectionView);
    }

    /// <summary>Removes images that nothing names, and then the content that only they had.</summary>
    public async Task PruneAsync(HttpContext context)
    {
        PruneRequest request = await JsonBody.ReadAsync(context, ImageJson.Default.PruneRequest);
        TimeSpan age = request.OlderThan is null ? TimeSpan.Zero : Duration.Parse(request.OlderThan);
        IReadOnlyList<(string Repository, ManifestLink Manifest)> unnamed = await catalog.FindUnnamedAsync(
            time.GetUtcNow() - age, context.RequestAborted);
        long bytes = 0;
        if (!request.DryRun)
        {
            foreach ((string repository, ManifestLink manifest) in unnamed)
            {
                repositories.DeleteManifest(repository, manifest.Digest);
            }

            bytes = (await collector.CollectAsync(context.RequestAborted)).Bytes;
            figures.Count();
        }

        PruneReport report = new(
            request.DryRun,
            [.. unnamed.Select(u => new PrunedImage(u.Repository, u.Manifest.Digest.Text, u.Manifest.PushedAt))],
            bytes);
        await JsonBody.WriteAsync(context, report, ImageJson.Default.PruneReport);
    }

    private ImageView View(CatalogImage image) => new(
        image.Repository, image.Tag ?? "", image.Digest.Text, image.Size, image.Architecture, image.Created,
        image.PushedAt, image.DiffIds.Count > 0 && image.DiffIds.All(d => layers.PathOf(d) is not null));

    private ImageDetail View(CatalogDetail detail)
    {
        ContainerDefaults? defaults = detail.Config?.Config;
        IEnumerable<string> diffIds = detail.Config?.RootFs?.DiffIds ?? [];
        IEnumerable<LayerView> layerViews = (detail.Manifest?.Layers ?? []).Zip(
            diffIds, (layer, diffId) => new LayerView(layer.DigestText, diffId, layer.Size, layer.MediaType));
        return new ImageDetail(
            View(detail.Image), detail.Image.MediaType, defaults?.User, defaults?.Env ?? [], defaults?.Entrypoint ?? [],
            defaults?.Cmd ?? [], defaults?.WorkingDir, defaults?.Labels ?? new Dictionary<string, string>(),
            [.. layerViews], [.. HistoryOf(detail)]);
    }

    private static IEnumerable<HistoryView> HistoryOf(CatalogDetail detail)
    {
        IReadOnlyList<Descriptor> layers = detail.Manifest?.Layers ?? [];
        int next = 0;
        foreach (HistoryEntry step in detail.Config?.History ?? [])
        {
            Descriptor? layer = step.EmptyLayer != true && next < layers.Count ? layers[next++] : null;
            yield return new HistoryView(
                step.Created, step.CreatedBy, step.Comment, layer?.DigestText, layer?.Size ?? 0);
        }
    }
}
