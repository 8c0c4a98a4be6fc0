using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json;
using Berth.Api.Images;
using Berth.Core.Errors;

namespace Berth.Api.Client;

/// <summary>
/// The images in the server's registry. Content goes through the registry protocol, not through here.
/// </summary>
public sealed class ImagesClient
{
    private const int PageSize = 100;

    private readonly ApiExchange exchange;

    internal ImagesClient(ApiExchange exchange) => this.exchange = exchange;

    /// <summary>Tagged images by name, fetched page by page as they are asked for.</summary>
    public async IAsyncEnumerable<ImageView> ListAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        string? cursor = null;
        do
        {
            string query = Query.Of(("limit", PageSize.ToString(CultureInfo.InvariantCulture)), ("cursor", cursor));
            ImagePage page = await exchange.GetAsync(
                "v1/images" + query, ImageJson.Default.ImagePage, cancellationToken);
            foreach (ImageView image in page.Images)
            {
                yield return image;
            }

            cursor = page.Next;
        }
        while (cursor is not null);
    }

    public Task<ImageDetail> GetAsync(string reference, CancellationToken cancellationToken) =>
        exchange.GetAsync("v1/images/" + reference, ImageJson.Default.ImageDetail, cancellationToken);

    /// <summary>What an image adds, changes and deletes: to another, or one of its layers to those below.</summary>
    public Task<ImageDiff> DiffAsync(
        string image, string? other, int? layer, CancellationToken cancellationToken) =>
        exchange.GetAsync(
            "v1/image-diff" + Query.Of(
                ("image", image), ("base", other), ("layer", layer?.ToString(CultureInfo.InvariantCulture)),
                ("limit", "300000")),
            ImageJson.Default.ImageDiff, cancellationToken);

    /// <summary>Removes images that nothing names, or tells which they are.</summary>
    public Task<PruneReport> PruneAsync(PruneRequest request, CancellationToken cancellationToken) =>
        exchange.PostAsync(
            "v1/images/prune", request, ImageJson.Default.PruneRequest, ImageJson.Default.PruneReport,
            cancellationToken);

    /// <summary>Removes the name; the content goes when nothing needs it any more.</summary>
    public Task RemoveAsync(string reference, CancellationToken cancellationToken) =>
        exchange.DeleteAsync("v1/images/" + reference, cancellationToken);

    /// <summary>
    /// Has the server fetch an image from another registry. Ends with the progress that holds the digest.
    /// </summary>
    public IAsyncEnumerable<CopyProgress> PullAsync(CopyRequest request, CancellationToken cancellationToken) =>
        CopyAsync("v1/images/pull", request, cancellationToken);

    /// <summary>
    /// Has the server send an image to another registry. Ends with the progress that holds the digest.
    /// </summary>
    public IAsyncEnumerable<CopyProgress> PushAsync(CopyRequest request, CancellationToken cancellationToken) =>
        CopyAsync("v1/images/push", request, cancellationToken);

    private async IAsyncEnumerable<CopyProgress> CopyAsync(
        string path, CopyRequest request, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        using HttpRequestMessage message = exchange.PostOf(path, request, ImageJson.Default.CopyRequest);
        using HttpResponseMessage response = await exchange.OpenAsync(message, cancellationToken);
        await using Stream stream = await response.Content.ReadAsStreamAsync(cancellationToken);
        using StreamReader lines = new(stream, Encoding.UTF8);
        bool ended = false;
        while (await lines.ReadLineAsync(cancellationToken) is { } line)
        {
            CopyProgress progress = JsonSerializer.Deserialize(line, ImageJson.Default.CopyProgress)!;
            if (progress.Error is not null)
            {
                throw new BerthException(ErrorCode.Upstream, progress.Error);
            }

            ended |= progress.Digest is not null;
            yield return progress;
        }

        if (!ended)
        {
            throw new BerthException(ErrorCode.Upstream, "The server broke off before the image was copied.");
        }
    }
}
