using System.Text.Json.Serialization;

namespace Berth.Api.Secrets;

/// <summary>What is told about a secret: never its value.</summary>
/// <param name="Version">1 for the first value of the name; one more with each that replaces it.</param>
/// <param name="Bytes">Length of the value.</param>
/// <param name="CreatedAt">Of the first value.</param>
/// <param name="UpdatedAt">Of the present one.</param>
/// <param name="Caller">Name of the token that gave the present value.</param>
/// <param name="Users">What uses it, such as <c>function shop</c>.</param>
public sealed record SecretView(
    string Name, int Version, int Bytes, DateTimeOffset CreatedAt, DateTimeOffset UpdatedAt, string Caller,
    IReadOnlyList<string> Users);

/// <summary>By name.</summary>
public sealed record SecretList(IReadOnlyList<SecretView> Secrets);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(SecretView))]
[JsonSerializable(typeof(SecretList))]
public sealed partial class SecretJson : JsonSerializerContext;
