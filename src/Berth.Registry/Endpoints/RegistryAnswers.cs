using System.Text.Json.Serialization;
using Berth.Oci.Images;
using Berth.Registry.Access;

namespace Berth.Registry.Endpoints;

internal sealed record TagList(
    [property: JsonPropertyName("name")] string Name,
    [property: JsonPropertyName("tags")] IReadOnlyList<string> Tags);

internal sealed record RepositoryList(
    [property: JsonPropertyName("repositories")] IReadOnlyList<string> Repositories);

[JsonSourceGenerationOptions(DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(OciErrorList))]
[JsonSerializable(typeof(TagList))]
[JsonSerializable(typeof(RepositoryList))]
[JsonSerializable(typeof(TokenAnswer))]
[JsonSerializable(typeof(ImageIndex))]
internal sealed partial class RegistryAnswers : JsonSerializerContext;
