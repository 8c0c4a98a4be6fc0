using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Berth.Core.Errors;
using Berth.Core.Images;

namespace Berth.Oci.Images;

/// <summary>
/// A manifest or an index that was read and checked: exactly one of the two is set, every descriptor has a digest, a
/// size and a media type, and the document is what its media type says. Its bytes are kept elsewhere, unchanged.
/// </summary>
public sealed record ManifestDocument(string MediaType, ImageManifest? Manifest, ImageIndex? Index)
{
    /// <summary>Largest manifest accepted: what the distribution specification asks registries to take.</summary>
    public const int MaxBytes = 4 * 1024 * 1024;

    // No image that runs has so many layers; indexes in practice name a few dozen platforms.
    private const int MaxDescriptors = 4096;

    private static readonly JsonDocumentOptions Strict = new() { MaxDepth = 32, AllowDuplicateProperties = false };

    /// <summary>The manifest that this one is about (signatures, bills of materials).</summary>
    public Descriptor? Subject => Manifest?.Subject ?? Index?.Subject;

    /// <summary>
    /// What the referrers list calls this document: its own word, else its configuration's media type.
    /// </summary>
    public string? ArtifactType =>
        Manifest is null
            ? NullIfEmpty(Index!.ArtifactType)
            : NullIfEmpty(Manifest.ArtifactType) ?? Manifest.Config.MediaType;

    public IReadOnlyDictionary<string, string>? Annotations => Manifest?.Annotations ?? Index?.Annotations;

    /// <summary>Blobs of the image, configuration first; empty for an index.</summary>
    public IEnumerable<Descriptor> Blobs => Manifest is null ? [] : [Manifest.Config, .. Manifest.Layers];

    /// <summary>Manifests that an index names; empty for a manifest.</summary>
    public IEnumerable<Descriptor> Children => Index?.Manifests ?? [];

    /// <summary>How this document stands in the list of what refers to its subject.</summary>
    public Descriptor AsReferrer(Digest digest, long size) =>
        new(MediaType, digest.Text, size, null, Annotations, ArtifactType);

    /// <summary>Reads a document. Throws BerthException(ManifestInvalid) saying what is wrong.</summary>
    /// <param name="mediaType">What it was announced as (Content-Type), without parameters; null when it
    /// must say so itself.</param>
    public static ManifestDocument Parse(ReadOnlyMemory<byte> bytes, string? mediaType)
    {
        if (bytes.Length > MaxBytes)
        {
            throw new BerthException(
                ErrorCode.SizeInvalid, $"The manifest has {bytes.Length} bytes; at most {MaxBytes} are accepted.");
        }

        try
        {
            using JsonDocument json = JsonDocument.Parse(bytes, Strict);
            string type = CheckShape(json.RootElement, mediaType);
            ManifestDocument document = MediaTypes.IsIndex(type)
                ? new(type, null, Read(json.RootElement, OciJson.Default.ImageIndex))
                : new(type, Read(json.RootElement, OciJson.Default.ImageManifest), null);
            document.Check();
            return document;
        }
        catch (JsonException e)
        {
            throw Invalid($"it is not well-formed JSON: {e.Message}", e);
        }
    }

    private static T? Read<T>(JsonElement root, JsonTypeInfo<T> type)
    {
        try
        {
            return root.Deserialize(type);
        }
        catch (JsonException e)
        {
            throw Invalid(JsonComplaint.About(e, type), e);
        }
    }

    /// <summary>Half a surrogate pair and bytes that are no UTF-8 are found when the text is taken.</summary>
    private static string? Text(JsonElement text)
    {
        try
        {
            return text.GetString();
        }
        catch (InvalidOperationException e)
        {
            throw Invalid("its mediaType is no text", e);
        }
    }

    private static string CheckShape(JsonElement root, string? mediaType)
    {
        if (root.ValueKind != JsonValueKind.Object)
        {
            throw Invalid("it is not a JSON object");
        }

        if (!root.TryGetProperty("schemaVersion", out JsonElement version) || version.ValueKind != JsonValueKind.Number
            || !version.TryGetInt32(out int number) || number != 2)
        {
            throw Invalid("schemaVersion must be 2");
        }

        bool index = root.TryGetProperty("manifests", out _);
        if (index && (root.TryGetProperty("layers", out _) || root.TryGetProperty("config", out _)))
        {
            throw Invalid("it is a manifest and an index at once (manifests beside layers or config)");
        }

        string? own = root.TryGetProperty("mediaType", out JsonElement text) && text.ValueKind == JsonValueKind.String
            ? Text(text)
            : null;
        if (own is not null && mediaType is not null && own != mediaType)
        {
            throw Invalid($"its mediaType is '{own}' but it was sent as '{mediaType}'");
        }

        string type = own ?? mediaType ?? (index ? MediaTypes.OciIndex : MediaTypes.OciManifest);
        if (!MediaTypes.IsIndex(type) && !MediaTypes.IsManifest(type))
        {
            throw Invalid(
                $"the media type '{type}' is none of OCI's manifest and index and Docker's schema 2 manifest and list");
        }

        return MediaTypes.IsIndex(type) == index
            ? type
            : throw Invalid($"its content is not that of a '{type}'");
    }

    private static void Check(Descriptor? descriptor, string where)
    {
        if (descriptor is null)
        {
            throw Invalid($"{where} is missing");
        }

        if (string.IsNullOrEmpty(descriptor.MediaType))
        {
            throw Invalid($"{where} has no mediaType");
        }

        if (!Digest.TryParse(descriptor.DigestText, out _))
        {
            throw Invalid($"{where} has no valid digest");
        }

        if (descriptor.Size < 0)
        {
            throw Invalid($"{where} has a negative size");
        }
    }

    private static string? NullIfEmpty(string? text) => string.IsNullOrEmpty(text) ? null : text;

    private static BerthException Invalid(string why, Exception? inner = null) =>
        new(ErrorCode.ManifestInvalid, $"The manifest was refused: {why}.", inner);

    private void Check()
    {
        if (Manifest is not null)
        {
            Check(Manifest.Config, "config");
            CheckAll(Manifest.Layers, "layers");
        }
        else
        {
            CheckAll(Index?.Manifests, "manifests");
        }

        if (Subject is not null)
        {
            Check(Subject, "subject");
        }
    }

    private static void CheckAll(IReadOnlyList<Descriptor>? descriptors, string member)
    {
        if (descriptors is null)
        {
            throw Invalid($"{member} is missing");
        }

        if (descriptors.Count > MaxDescriptors)
        {
            throw Invalid($"{member} has {descriptors.Count} entries; at most {MaxDescriptors} are accepted");
        }

        for (int i = 0; i < descriptors.Count; i++)
        {
            Check(descriptors[i], $"{member}[{i}]");
        }
    }
}
