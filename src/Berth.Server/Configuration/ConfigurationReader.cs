using System.Text.Json;
using Berth.Core.Errors;

namespace Berth.Server.Configuration;

/// <summary>Where the operator's words come from. Later sources lose to earlier ones, key by key.</summary>
/// <param name="Flags">Values by key name (without dashes), as given on the command line.</param>
/// <param name="Variable">Reads an environment variable.</param>
/// <param name="File">Path of the configuration file; null for none.</param>
public sealed record ConfigurationSources(
    IReadOnlyDictionary<string, IReadOnlyList<string>> Flags, Func<string, string?> Variable, string? File)
{
    /// <summary>The process's own environment, and /etc/berth/config.json where there is one.</summary>
    public static ConfigurationSources FromMachine(
        IReadOnlyDictionary<string, IReadOnlyList<string>> flags, string? file) =>
        new(
            flags, Environment.GetEnvironmentVariable,
            file ?? Environment.GetEnvironmentVariable(FileVariable)
                ?? (System.IO.File.Exists(DefaultFile) ? DefaultFile : null));

    /// <summary>Names the file; the flag is <c>--config</c>.</summary>
    public const string FileVariable = "BERTH_CONFIG";

    public const string DefaultFile = "/etc/berth/config.json";
}

/// <summary>A key's value and who said it, for messages.</summary>
public sealed record ConfiguredValue(ConfigurationKey Key, IReadOnlyList<string> Texts, string Source)
{
    /// <summary>As it may be shown.</summary>
    public string Text => Key.IsSecret ? "(not shown)" : string.Join(",", Texts);
}

/// <summary>
/// Makes <see cref="ServerOptions"/>: flags win over the environment, that over the file, that over the defaults.
/// Throws BerthException(InvalidConfiguration) naming key, value, source and remedy.
/// </summary>
public static class ConfigurationReader
{
    public static ServerOptions Read(ConfigurationSources sources)
    {
        Dictionary<string, IReadOnlyList<string>> file = sources.File is null ? [] : ReadFile(sources.File);
        foreach (string flag in sources.Flags.Keys)
        {
            Require(flag, "the command line");
        }

        ServerOptions options = new();
        Dictionary<string, ConfiguredValue> values = [];
        foreach (ConfigurationKey key in ConfigurationKeys.All)
        {
            ConfiguredValue value = Find(key, sources, file);
            values[key.Name] = value;
            options = Apply(options, value);
        }

        ConfigurationChecks.Check(options, values);
        return options;
    }

    /// <summary>The options of a server whose operator said nothing.</summary>
    public static ServerOptions Defaults() => Read(new ConfigurationSources(
        new Dictionary<string, IReadOnlyList<string>>(), _ => null, null));

    private static ConfiguredValue Find(
        ConfigurationKey key, ConfigurationSources sources, Dictionary<string, IReadOnlyList<string>> file)
    {
        if (sources.Flags.TryGetValue(key.Name, out IReadOnlyList<string>? flag))
        {
            return new(key, key.IsList ? Split(flag) : flag, $"the flag {key.Flag}");
        }

        if (sources.Variable(key.Variable) is { } variable)
        {
            return new(key, key.IsList ? Split([variable]) : [variable], $"the environment variable {key.Variable}");
        }

        return file.TryGetValue(key.Name, out IReadOnlyList<string>? texts)
            ? new(key, texts, $"the file {sources.File}")
            : new(key, key.IsList && key.Default.Length == 0 ? [] : [key.Default], "the default");
    }

    private static ServerOptions Apply(ServerOptions options, ConfiguredValue value)
    {
        if (!value.Key.IsList && value.Texts.Count != 1)
        {
            throw Refuse(value, "takes one value");
        }

        return value.Key.Apply(options, value.Texts) ?? throw Refuse(value, $"expected {value.Key.Expected}");
    }

    internal static BerthException Refuse(ConfiguredValue value, string why) => new(
        ErrorCode.InvalidConfiguration,
        $"{value.Key.Name} = '{value.Text}' (from {value.Source}) can't be used: {why}.");

    private static string[] Split(IReadOnlyList<string> texts) =>
        [
            .. texts.SelectMany(
                t => t.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries)),
        ];

    private static Dictionary<string, IReadOnlyList<string>> ReadFile(string path)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(path), new JsonDocumentOptions
            {
                CommentHandling = JsonCommentHandling.Skip,
                AllowTrailingCommas = true,
                AllowDuplicateProperties = false,
                MaxDepth = 4,
            });
            if (document.RootElement.ValueKind != JsonValueKind.Object)
            {
                throw new BerthException(
                    ErrorCode.InvalidConfiguration,
                    $"The file {path} must hold one JSON object: {{ \"data\": … }}.");
            }

            return document.RootElement.EnumerateObject().ToDictionary(
                p => Require(p.Name, $"the file {path}").Name, p => TextsOf(p, path));
        }
        catch (JsonException e)
        {
            throw new BerthException(
                ErrorCode.InvalidConfiguration, $"The file {path} is not valid JSON: {e.Message}", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new BerthException(
                ErrorCode.InvalidConfiguration,
                $"The configuration file {path} can't be read: {e.Message}", e);
        }
    }

    private static IReadOnlyList<string> TextsOf(JsonProperty property, string path) => property.Value.ValueKind switch
    {
        JsonValueKind.String => [property.Value.GetString()!],
        JsonValueKind.Number => [property.Value.GetRawText()],
        JsonValueKind.True => ["true"],
        JsonValueKind.False => ["false"],
        JsonValueKind.Array when property.Value.EnumerateArray().All(e => e.ValueKind == JsonValueKind.String) =>
            [.. property.Value.EnumerateArray().Select(e => e.GetString()!)],
        _ => throw new BerthException(
            ErrorCode.InvalidConfiguration,
            $"{property.Name} = {Shown(property, path)} (from the file {path}) can't be used: "
            + "write a text, a number, true, false, or an array of texts."),
    };

    private static string Shown(JsonProperty property, string path) =>
        Require(property.Name, $"the file {path}").IsSecret ? "(not shown)" : property.Value.GetRawText();

    private static ConfigurationKey Require(string name, string source) =>
        ConfigurationKeys.All.FirstOrDefault(k => k.Name == name)
        ?? throw new BerthException(
            ErrorCode.InvalidConfiguration,
            $"There is no setting '{name}' (from {source}); did you mean '{Nearest(name)}'? "
            + "docs/reference/configuration.md lists them all.");

    private static string Nearest(string name) => ConfigurationKeys.All.MinBy(k => Distance(name, k.Name))!.Name;

    // Levenshtein's distance: single insertions, deletions and replacements.
    private static int Distance(string a, string b)
    {
        int[] previous = [.. Enumerable.Range(0, b.Length + 1)];
        for (int i = 1; i <= a.Length; i++)
        {
            int[] current = new int[b.Length + 1];
            current[0] = i;
            for (int j = 1; j <= b.Length; j++)
            {
                int replace = previous[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
                current[j] = Math.Min(replace, Math.Min(previous[j], current[j - 1]) + 1);
            }

            previous = current;
        }

        return previous[^1];
    }
}
