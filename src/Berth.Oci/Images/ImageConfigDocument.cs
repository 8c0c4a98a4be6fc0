using System.Text.Json;
using Berth.Core.Errors;
using Berth.Core.Images;

namespace Berth.Oci.Images;

/// <summary>Reads an image's configuration and checks what running it relies on.</summary>
public static class ImageConfigDocument
{
    /// <summary>Largest configuration accepted. It is kept in memory while the image is in use.</summary>
    public const int MaxBytes = 4 * 1024 * 1024;

    /// <summary>
    /// As many as every kernel we run on can stack: their paths must fit into the page of options that mount(2) takes
    /// (docs/decisions/0010). docker and containerd stop at 127.
    /// </summary>
    public const int MaxLayers = 150;

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
            Check(config);
            return config!;
        }
        catch (JsonException e)
        {
            throw Invalid(JsonComplaint.About(e, OciJson.Default.ImageConfig), e);
        }
    }

    /// <summary>Throws BerthException(ManifestInvalid) when an image of this configuration can't be run.</summary>
    public static void Check(ImageConfig? config)
    {
        string? why = config?.RootFs?.DiffIds is not { } diffIds ? "it has no rootfs.diff_ids"
            : config.RootFs.Type != "layers" ? $"its rootfs.type is '{config.RootFs.Type}', not 'layers'"
            : diffIds.Count > MaxLayers
                ? $"it has {diffIds.Count} layers; at most {MaxLayers} can be stacked: squash some of them"
            : diffIds.FirstOrDefault(d => !Digest.TryParse(d, out _)) is { } wrong
                ? $"its diff id '{wrong}' is no digest"
            : null;
        if (why is not null)
        {
            throw Invalid(why);
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
