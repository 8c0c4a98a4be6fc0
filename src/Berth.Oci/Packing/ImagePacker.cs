using System.Globalization;
using System.Text.Json;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Oci.Distribution;
using Berth.Oci.Images;

namespace Berth.Oci.Packing;

/// <summary>The image that new content is laid on.</summary>
/// <param name="Origin">Where it is.</param>
/// <param name="TagOrDigest">What it is called there.</param>
public sealed record PackBase(IImageOrigin Origin, string TagOrDigest);

/// <summary>
/// Makes an image of folders, a layer of each, alone or on a base image, and hands it to a target. The same folders,
/// base and options give the same digest.
/// </summary>
public sealed class ImagePacker(IImageTarget target, CopyOptions copying)
{
    /// <summary>Publishes the image and returns its manifest's digest.</summary>
    /// <param name="layers">The packed folders, the lowest first; they stay the caller's.</param>
    /// <param name="below">The base image, or null.</param>
    public async Task<Digest> PackAsync(
        IReadOnlyList<PackedLayer> layers, PackBase? below, PackOptions options, string? tag,
        CancellationToken cancellationToken)
    {
        (ImageManifest? baseManifest, ImageConfig? baseConfig) = await OpenBaseAsync(
            below, options.Platform, cancellationToken);
        ImageConfig config = Configure(layers, baseConfig, options);
        byte[] configBytes = JsonSerializer.SerializeToUtf8Bytes(config, OciJson.Default.ImageConfig);
        var configDescriptor = new Descriptor(
            MediaTypes.OciConfig, Digest.Sha256(configBytes).Text, configBytes.Length);
        var manifest = new ImageManifest(
            2, MediaTypes.OciManifest, configDescriptor,
            [
                .. (baseManifest?.Layers ?? []).Select(l => l with { MediaType = OciNameOf(l.MediaType) }),
                .. layers.Select(l => l.Layer),
            ]);
        byte[] manifestBytes = JsonSerializer.SerializeToUtf8Bytes(manifest, OciJson.Default.ImageManifest);
        var content = new ManifestContent(Digest.Sha256(manifestBytes), MediaTypes.OciManifest, manifestBytes);
        Dictionary<string, Func<Stream>> blobs = new()
        {
            [configDescriptor.DigestText] = () => new MemoryStream(configBytes, writable: false),
        };
        foreach (PackedLayer layer in layers)
        {
            blobs[layer.Layer.DigestText] = layer.OpenRead;
        }

        var made = new MadeContent(content, blobs);
        return await new ImageCopier(new Layered(made, below?.Origin), target, copying)
            .CopyAsync(content.Digest.Text, tag, cancellationToken);
    }

    private static async Task<(ImageManifest? Manifest, ImageConfig? Config)> OpenBaseAsync(
        PackBase? below, Platform platform, CancellationToken cancellationToken)
    {
        if (below is null)
        {
            return (null, null);
        }

        ManifestDocument document = (await below.Origin.GetManifestAsync(below.TagOrDigest, cancellationToken)).Parse();
        if (document.Index is { } index)
        {
            Descriptor chosen = PlatformChoice.Choose(index, platform)
                ?? throw new BerthException(
                    ErrorCode.ImageNotFound,
                    $"The base image '{below.TagOrDigest}' has no variant for {platform.Os}/{platform.Architecture}.");
            document = (await below.Origin.GetManifestAsync(chosen.DigestText, cancellationToken)).Parse();
        }

        ImageManifest manifest = document.Manifest
            ?? throw new BerthException(
                ErrorCode.ManifestInvalid, $"The base image '{below.TagOrDigest}' is an index of indexes.");
        ImageConfig config = await ImageCopier.ReadConfigAsync(below.Origin, manifest.Config, cancellationToken);
        _ = ImageConfigDocument.DiffIds(config, manifest);
        return (manifest, config);
    }

    private static ImageConfig Configure(IReadOnlyList<PackedLayer> layers, ImageConfig? below, PackOptions options)
    {
        string created = options.Timestamp.UtcDateTime.ToString(
            "yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture);
        ContainerDefaults wanted = options.Overrides;
        ContainerDefaults old = below?.Config ?? new ContainerDefaults();
        return new ImageConfig(
            below?.Architecture ?? options.Platform.Architecture,
            below?.Os ?? options.Platform.Os,
            old with
            {
                User = wanted.User ?? old.User,
                Env = MergeEnvironment(old.Env, wanted.Env),
                Entrypoint = wanted.Entrypoint ?? old.Entrypoint,
                // A new entry point makes the old arguments meaningless (as with docker).
                Cmd = wanted.Cmd ?? (wanted.Entrypoint is null ? old.Cmd : null),
                WorkingDir = wanted.WorkingDir ?? old.WorkingDir,
                Labels = MergeLabels(old.Labels, wanted.Labels),
                ExposedPorts = wanted.ExposedPorts ?? old.ExposedPorts,
                Volumes = wanted.Volumes ?? old.Volumes,
                StopSignal = wanted.StopSignal ?? old.StopSignal,
            },
            new RootFs("layers", [.. below?.RootFs.DiffIds ?? [], .. layers.Select(l => l.DiffId.Text)]),
            created,
            History: [.. below?.History ?? [], .. layers.Select(_ => new HistoryEntry(created, "berth image pack"))],
            Variant: below?.Variant ?? options.Platform.Variant);
    }

    private static List<string>? MergeEnvironment(IReadOnlyList<string>? old, IReadOnlyList<string>? added)
    {
        if (added is null or { Count: 0 })
        {
            return old?.ToList();
        }

        HashSet<string> names = [.. added.Select(NameOf)];
        return [.. (old ?? []).Where(e => !names.Contains(NameOf(e))), .. added];
    }

    private static string NameOf(string variable) => variable.Split('=', 2)[0];

    private static SortedDictionary<string, string>? MergeLabels(
        IReadOnlyDictionary<string, string>? old, IReadOnlyDictionary<string, string>? added)
    {
        var merged = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (
            (string key, string value) in (old ?? new Dictionary<string, string>()).Concat(
                added ?? new Dictionary<string, string>()))
        {
            merged[key] = value;
        }

        return merged.Count == 0 ? null : merged;
    }

    /// <summary>An OCI manifest must not mix in Docker's names for the same content.</summary>
    private static string OciNameOf(string mediaType) => mediaType switch
    {
        MediaTypes.DockerLayerGzip => MediaTypes.OciLayerGzip,
        MediaTypes.DockerLayer => MediaTypes.OciLayer,
        _ => mediaType,
    };

    /// <summary>Content made here, as something to copy from.</summary>
    private sealed class MadeContent(ManifestContent manifest, Dictionary<string, Func<Stream>> blobs) : IImageOrigin
    {
        public Task<ManifestContent> GetManifestAsync(string tagOrDigest, CancellationToken cancellationToken) =>
            Task.FromResult(manifest);

        public Task<Stream> OpenBlobAsync(Descriptor blob, CancellationToken cancellationToken) =>
            Task.FromResult(blobs.TryGetValue(blob.DigestText, out Func<Stream>? open)
                ? open()
                : throw new BerthException(ErrorCode.BlobUnknown, $"There is no blob {blob.Digest}."));

        internal bool Has(Descriptor blob) => blobs.ContainsKey(blob.DigestText);
    }

    /// <summary>New content over a base image's.</summary>
    private sealed class Layered(MadeContent made, IImageOrigin? below) : IImageOrigin
    {
        public Task<ManifestContent> GetManifestAsync(string tagOrDigest, CancellationToken cancellationToken) =>
            made.GetManifestAsync(tagOrDigest, cancellationToken);

        public Task<Stream> OpenBlobAsync(Descriptor blob, CancellationToken cancellationToken) =>
            below is null || made.Has(blob)
                ? made.OpenBlobAsync(blob, cancellationToken)
                : below.OpenBlobAsync(blob, cancellationToken);
    }
}
