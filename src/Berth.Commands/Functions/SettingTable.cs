using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Berth.Api.Functions;
using Berth.Api.Triggers;
using Berth.Commands.Images;

namespace Berth.Commands.Functions;

/// <summary>A revision's settings one by one, for showing what differs.</summary>
internal static class SettingTable
{
    /// <summary>With what the image's name stood for, and each variable and label a setting of its own.</summary>
    /// <param name="traffic">Who is let in, by which names and rules; null where that is not shown.</param>
    /// <param name="newest">Of the revisions, which rules and tags are expected to lead to.</param>
    public static JsonObject Of(FunctionRequest spec, string digest, TrafficView? traffic = null, int newest = 0)
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

        if (traffic is not null)
        {
            AddTraffic(settings, traffic, newest);
        }

        return settings;
    }

    public static JsonObject Of(TriggerRequest spec) =>
        JsonSerializer.SerializeToNode(spec, TriggerJson.Default.TriggerRequest)!.AsObject();

    private static void AddTraffic(JsonObject settings, TrafficView traffic, int newest)
    {
        Add("tags", traffic.Tags?.Select(t => Led(t.Key, t.Value)));
        Add("matches", traffic.Matches?.Select(m => Led(m.Rule, m.Revision)));
        Add("sticky", traffic.Sticky == true ? ["true"] : null);
        Add("hosts", traffic.Hosts);
        Add("public", traffic.Public == true ? ["true"] : null);

        string Led(string what, int revision) => revision == newest
            ? what
            : string.Create(CultureInfo.InvariantCulture, $"{what} (revision {revision})");

        void Add(string name, IEnumerable<string>? words)
        {
            if (words is not null)
            {
                settings[name] = new JsonArray([.. words.Select(w => JsonValue.Create(w))]);
            }
        }
    }

    public static string Text(JsonNode? value) => value switch
    {
        null => "-",
        JsonArray and [JsonObject, ..] => string.Join(
            "; ", value.AsArray().Select(i => string.Join(", ", i!.AsObject().Select(m => $"{m.Key}: {m.Value}")))),
        JsonArray words => string.Join(' ', words.Select(w => w?.ToString())),
        _ => value.ToString(),
    };
}
