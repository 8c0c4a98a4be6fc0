using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Oci.Content;
using Berth.Oci.Layers;
using Berth.Oci.Unix;

namespace Berth.Oci.Images;

/// <summary>Opens stored images for the executor: manifest, configuration and layers checked against each other, layers
/// unpacked side by side.</summary>
public sealed class ImageSource(IContentStore content, ILayerStore layers, Platform platform) : IImageSource
{
    public async Task<ImageHandle> OpenAsync(Digest manifest, CancellationToken cancellationToken)
    {
        var hold = new ImageHold();
        try
        {
            hold.Add(content.Lease(manifest));
            ImageManifest image = await ReadManifestAsync(manifest, hold, cancellationToken);
            Digest configDigest = image.Config.Digest;
            hold.Add(content.Lease([configDigest, .. image.Layers.Select(l => l.Digest)]));
            if (!MediaTypes.IsImageConfig(image.Config.MediaType))
            {
                throw new BerthException(
                    ErrorCode.ManifestInvalid,
                    $"{manifest} is no image to run: its configuration is a '{image.Config.MediaType}'.");
            }

            byte[] bytes = await BlobReading.ReadAsync(
                content, configDigest, ImageConfigDocument.MaxBytes, cancellationToken);
            ImageConfig config = ImageConfigDocument.Parse(bytes);
            CheckPlatform(manifest, config);
            IReadOnlyList<Digest> diffIds = ImageConfigDocument.DiffIds(config, image);
            hold.Add(layers.Hold(diffIds));
            string[] paths = await Task.WhenAll(
                image.Layers.Zip(
                    diffIds, (layer, diffId) => layers.EnsureUnpackedAsync(layer, diffId, cancellationToken)));
            return new ImageHandle(manifest, config, Visible(paths), hold);
        }
        catch
        {
            hold.Dispose();
            throw;
        }
    }

    /// <summary>
    /// overlayfs does not look at the mark of an opaque root folder, so the layers it hides are left out here.
    /// </summary>
    private static string[] Visible(string[] paths)
    {
        int lowest = Array.FindLastIndex(paths, path =>
        {
            using UnixFolder root = UnixFolder.Open(path);
            return LayerWhiteouts.IsOpaque(root);
        });
        return lowest <= 0 ? paths : paths[lowest..];
    }

    private async Task<ImageManifest> ReadManifestAsync(
        Digest digest, ImageHold hold, CancellationToken cancellationToken)
    {
        ManifestDocument document = await ReadDocumentAsync(digest, null, cancellationToken);
        if (document.Index is { } index)
        {
            Descriptor chosen = PlatformChoice.Choose(index, platform)
                ?? throw new BerthException(
                    ErrorCode.ImageNotFound,
                    $"The image {digest} has no variant for {platform.Os}/{platform.Architecture}.");
            hold.Add(content.Lease(chosen.Digest));
            document = await ReadDocumentAsync(chosen.Digest, chosen.MediaType, cancellationToken);
        }

        return document.Manifest
            ?? throw new BerthException(
                ErrorCode.ManifestInvalid, $"The index {digest} names an index; one level is supported.");
    }

    private async Task<ManifestDocument> ReadDocumentAsync(
        Digest digest, string? mediaType, CancellationToken cancellationToken)
    {
        try
        {
            byte[] bytes = await BlobReading.ReadAsync(content, digest, ManifestDocument.MaxBytes, cancellationToken);
            return ManifestDocument.Parse(bytes, mediaType);
        }
        catch (BerthException e) when (e.Code == ErrorCode.BlobUnknown)
        {
            throw new BerthException(ErrorCode.ImageNotFound, $"There is no image {digest} here; push or pull it.", e);
        }
    }

    private void CheckPlatform(Digest manifest, ImageConfig config)
    {
        if (config.Os != platform.Os || config.Architecture != platform.Architecture)
        {
            throw new BerthException(
                ErrorCode.ImageNotFound,
                $"The image {manifest} is for {config.Os}/{config.Architecture}; this machine runs "
                    + $"{platform.Os}/{platform.Architecture}.");
        }
    }

    private sealed class ImageHold : IDisposable
    {
        private readonly List<IDisposable> parts = [];
        private bool disposed;

        internal void Add(IDisposable part) => parts.Add(part);

        public void Dispose()
        {
            if (!Interlocked.Exchange(ref disposed, true))
            {
                parts.ForEach(p => p.Dispose());
            }
        }
    }
}
