using System.Text.Json.Nodes;
using System.Text.Json.Serialization;

namespace Berth.Server.OpenApi;

[JsonSerializable(typeof(JsonObject))]
internal sealed partial class OpenApiJson : JsonSerializerContext;
