using Berth.Api.Images;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Oci.Comparison;
using Berth.Oci.Content;
using Berth.Oci.Images;
using Berth.Oci.Repositories;
using Berth.Server.Hosting;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.ImageEndpoints;

/// <summary>
/// Tells what an image adds, changes and deletes: its last layer to those below it, one of its layers to those below
/// that, or all of it to another image. One comparison at a time, since each reads whole images.
/// </summary>
internal sealed class ComparisonEndpoints(ImageCatalog catalog, IContentStore content)
{
    private const int DefaultLimit = 10_000;
    private const int MaxLimit = 300_000;
    private const int MaxLayers = 1000;

    private readonly ImageComparison comparison = new(content);
    private readonly SemaphoreSlim one = new(1, 1);

    public async Task CompareAsync(HttpContext context)
    {
        QueryText query = new(context.Request, "image", "base", "layer", "limit");
        string asked = query.Find("image") ?? throw QueryText.Refuse("image", "", "name an image");
        int limit = query.Number("limit", 1, MaxLimit, DefaultLimit);
        IReadOnlyList<Descriptor> layers = await LayersAsync(asked, context);
        IReadOnlyList<Descriptor> below;
        string told;
        if (query.Find("base") is { } other)
        {
            below = await LayersAsync(other, context);
            told = other;
        }
        else
        {
            int layer = query.Number("layer", 1, MaxLayers, layers.Count);
            if (layer > layers.Count)
            {
                throw QueryText.Refuse("layer", $"{layer}", $"the image has {layers.Count} layers");
            }

            below = [.. layers.Take(layer - 1)];
            layers = [.. layers.Take(layer)];
            told = $"the {below.Count} layers below layer {layer}";
        }

        IReadOnlyList<FileDifference> found = await CompareAsync(below, layers, context.RequestAborted);
        ImageDiff diff = new(
            asked, told,
            [.. found.Take(limit).Select(f => new FileChangeView(
                f.Change.ToString().ToLowerInvariant(), f.Path, f.Size))],
            found.Count > limit);
        await JsonBody.WriteAsync(context, diff, ImageJson.Default.ImageDiff);
    }

    private async Task<IReadOnlyList<FileDifference>> CompareAsync(
        IReadOnlyList<Descriptor> below, IReadOnlyList<Descriptor> layers, CancellationToken cancellationToken)
    {
        await one.WaitAsync(cancellationToken);
        try
        {
            return await Task.Run(() => comparison.Compare(below, layers, cancellationToken), cancellationToken);
        }
        finally
        {
            one.Release();
        }
    }

    private async Task<IReadOnlyList<Descriptor>> LayersAsync(string reference, HttpContext context)
    {
        ImageReference image = RequestedImage.Own(ImageReference.Parse(reference), context.Request);
        CatalogDetail detail = await catalog.DescribeAsync(image, context.RequestAborted);
        return detail.Manifest?.Layers ?? throw new BerthException(
            ErrorCode.ImageNotFound, $"{reference} is no image for this machine, so it has no layers to compare.");
    }
}
