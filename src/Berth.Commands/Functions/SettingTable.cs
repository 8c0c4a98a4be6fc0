using System.Text.Json;
using System.Text.Json.Nodes;
using Berth.Api.Functions;
using Berth.Commands.Images;

namespace Berth.Commands.Functions;

/// <summary>A revision's settings one by one, for showing what differs.</summary>
internal static class SettingTable
{
    /// <summary>With what the image's name stood for, and each variable and label a setting of its own.</summary>
    public static JsonObject Of(FunctionRequest spec, string digest)
    {
        JsonObject settings = JsonSerializer.SerializeToNode(spec, FunctionJson.Default.FunctionRequest)!.AsObject();
        settings["imageDigest"] = ImageListCommand.ShortDigest(digest);
        foreach (string group in (string[])["environment", "labels"])
        {
            if (settings[group] is JsonObject members)
            {
                settings.Remove(group);
                foreach ((string member, JsonNode? value) in members.ToArray())
                {
                    settings[$"{group}.{member}"] = value?.DeepClone();
                }
            }
        }

        return settings;
    }

    public static string Text(JsonNode? value) => value switch
    {
        null => "-",
        JsonArray words => string.Join(' ', words.Select(w => w?.ToString())),
        _ => value.ToString(),
    };
}
