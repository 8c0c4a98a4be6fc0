using Berth.Api.Triggers;

namespace Berth.Commands.Declarations;

/// <summary>A function's trigger as a file says it is to be.</summary>
/// <param name="Places">Where each setting stands, by its name in the HTTP interface.</param>
internal sealed record TriggerDeclaration(
    string Name, Mark At, TriggerRequest Request, IReadOnlyDictionary<string, Mark> Places);

/// <summary>The settings of a trigger in a file, which are those of the HTTP interface.</summary>
internal static class TriggerSettings
{
    private delegate TriggerRequest Setter(TriggerRequest request, string name, YamlNode node, SettingReader read);

    private static readonly Dictionary<string, Setter> Settings = new(StringComparer.Ordinal)
    {
        ["cron"] = (q, n, v, r) => q with { Cron = r.Text(n, "cron", v) },
        ["zone"] = (q, n, v, r) => q with { Zone = r.Text(n, "zone", v) },
        ["concurrency"] = (q, n, v, r) => q with { Concurrency = r.Text(n, "concurrency", v) },
        ["missed"] = (q, n, v, r) => q with { Missed = r.Text(n, "missed", v) },
        ["catchUp"] = (q, n, v, r) => q with { CatchUp = r.Text(n, "catchUp", v) },
        ["body"] = (q, n, v, r) => q with { Body = r.Text(n, "body", v) },
        ["contentType"] = (q, n, v, r) => q with { ContentType = r.Text(n, "contentType", v) },
        ["webhook"] = (q, n, v, r) => q with { Webhook = r.Text(n, "webhook", v) },
        ["secret"] = (q, n, v, r) => q with { Secret = r.Text(n, "secret", v) },
        ["header"] = (q, n, v, r) => q with { Header = r.Text(n, "header", v) },
        ["window"] = (q, n, v, r) => q with { Window = r.Text(n, "window", v) },
        ["events"] = (q, n, v, r) => q with { Events = r.Flag(n, "events", v) },
        ["types"] = (q, n, v, r) => q with { Types = r.Words(n, "types", v) },
        ["sources"] = (q, n, v, r) => q with { Sources = r.Words(n, "sources", v) },
        ["volume"] = (q, n, v, r) => q with { Volume = r.Text(n, "volume", v) },
        ["prefix"] = (q, n, v, r) => q with { Prefix = r.Text(n, "prefix", v) },
        ["paused"] = (q, n, v, r) => q with { Paused = r.Flag(n, "paused", v) },
    };

    /// <param name="function">That it calls.</param>
    public static TriggerDeclaration? Read(
        YamlText name, YamlNode node, string function, string? project, SettingReader read)
    {
        if (read.Group(name.Value, node) is not { } map)
        {
            return null;
        }

        TriggerRequest request = new(function, Project: project);
        Dictionary<string, Mark> outer = read.Places;
        read.Places = new Dictionary<string, Mark>(StringComparer.Ordinal);
        read.Each(
            $"trigger '{name.Value}'", map, Settings.Keys,
            (key, value) => request = Settings[key](request, key, value, read));
        TriggerDeclaration made = new(name.Value, name.At, request, read.Places);
        read.Places = outer;
        return made;
    }
}
