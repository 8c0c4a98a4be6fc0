using Berth.Oci.Images;

namespace Berth.Oci.Packing;

/// <summary>What image to make of a folder.</summary>
/// <param name="Folder">Its content becomes the topmost layer.</param>
/// <param name="Prefix">Where in the image the content goes, for instance <c>app</c>; empty for the root.</param>
/// <param name="Timestamp">Modification time of all files and creation time of the
/// image: SOURCE_DATE_EPOCH, else 1970.</param>
/// <param name="KeepOwners">Owners as in the folder instead of 0:0.</param>
/// <param name="Overrides">What of the base image's settings is replaced; null members keep the base's. Environment
/// variables and labels are added to the base's, equal names replaced.</param>
public sealed record PackOptions(
    string Folder, string Prefix, DateTimeOffset Timestamp, bool KeepOwners, Platform Platform,
    ContainerDefaults Overrides);
