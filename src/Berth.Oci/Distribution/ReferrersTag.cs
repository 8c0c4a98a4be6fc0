using System.Text.Json;
using System.Text.Json.Nodes;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Oci.Images;

namespace Berth.Oci.Distribution;

/// <summary>
/// The list of referrers that clients keep under a tag for registries that keep none (distribution specification 1.1,
/// "Referrers Tag Schema").
/// </summary>
internal static class ReferrersTag
{
    // What the specification leaves of a longer hash; a sha256 has as many.
    private const int MaxHex = 64;

    /// <summary>The tag that stands for a subject's list: <c>sha256-…</c>.</summary>
    public static string Of(Digest subject) =>
        $"{subject.Algorithm}-{(subject.Hex.Length > MaxHex ? subject.Hex[..MaxHex] : subject.Hex)}";

    /// <summary>
    /// The list with one more entry, everything else in it as it was; null when the entry is there. Throws
    /// BerthException(Upstream) when the tag holds something other than a list.
    /// </summary>
    /// <param name="list">Null where there is none yet.</param>
    public static ManifestContent? Add(ManifestContent? list, Descriptor referrer)
    {
        if (list is not null && list.MediaType != MediaTypes.OciIndex)
        {
            throw new BerthException(
                ErrorCode.Upstream,
                $"the tag holds a {list.MediaType} in place of a list of referrers, and is left as it is.");
        }

        if (list?.Parse().Index!.Manifests.Any(m => m.DigestText == referrer.DigestText) == true)
        {
            return null;
        }

        JsonObject index = list is null
            ? new() { ["schemaVersion"] = 2, ["mediaType"] = MediaTypes.OciIndex, ["manifests"] = new JsonArray() }
            : JsonNode.Parse(list.Bytes)!.AsObject();
        JsonNode? entry = JsonSerializer.SerializeToNode(referrer, OciJson.Default.Descriptor);
        index["manifests"]!.AsArray().Add(entry);
        byte[] bytes = JsonSerializer.SerializeToUtf8Bytes(index, OciJson.Default.JsonObject);
        return new ManifestContent(Digest.Sha256(bytes), MediaTypes.OciIndex, bytes);
    }
}
