using System.Text.Json;
using Berth.Core.Errors;
using Berth.Core.Images;

namespace Berth.Oci.Images;

/// <summary>Reads an image's configuration and checks what running it relies on.</summary>
public static class ImageConfigDocument
{
    /// <summary>Largest configuration accepted. It is kept in memory while the image is in use.</summary>
    public const int MaxBytes = 4 * 1024 * 1024;

    /// <summary>overlayfs stacks at most 500 lower folders (fs/overlayfs/params.h, OVL_MAX_STACK).</summary>
    public const int MaxLayers = 500;

    private static readonly JsonDocumentOptions Strict = new() { MaxDepth = 32, AllowDuplicateProperties = false };

    /// <summary>Throws BerthException(ManifestInvalid) saying what is wrong.</summary>
    public static ImageConfig Parse(ReadOnlyMemory<byte> bytes)
    {
        try
        {
            using JsonDocument json = JsonDocument.Parse(bytes, Strict);
            ImageConfig? config = json.RootElement.ValueKind == JsonValueKind.Object
                ? json.RootElement.Deserialize(OciJson.Default.ImageConfig)
                : null;
            return config?.RootFs?.DiffIds is not { } diffIds ? throw Invalid("it has no rootfs.diff_ids")
                : config.RootFs.Type != "layers"
                    ? throw Invalid($"its rootfs.type is '{config.RootFs.Type}', not 'layers'")
                : diffIds.Count > MaxLayers
                    ? throw Invalid($"it has {diffIds.Count} layers; at most {MaxLayers} can be stacked")
                : diffIds.FirstOrDefault(d => !Digest.TryParse(d, out _)) is { } wrong
                    ? throw Invalid($"its diff id '{wrong}' is no digest")
                : config;
        }
        catch (JsonException e)
        {
            throw Invalid($"it is not well-formed JSON of its kind: {e.Message}", e);
        }
    }

    /// <summary>The diff ids, lowest layer first, checked to belong to the manifest's layers.</summary>
    public static IReadOnlyList<Digest> DiffIds(ImageConfig config, ImageManifest manifest) =>
        config.RootFs.DiffIds.Count == manifest.Layers.Count
            ? [.. config.RootFs.DiffIds.Select(Digest.Parse)]
            : throw Invalid(
                $"it has {config.RootFs.DiffIds.Count} diff ids for the manifest's {manifest.Layers.Count} layers");

    private static BerthException Invalid(string why, Exception? inner = null) =>
        new(ErrorCode.ManifestInvalid, $"The image's configuration was refused: {why}.", inner);
}
