using System.Globalization;
using Berth.Core.Resources;

namespace Berth.Server.Configuration;

/// <summary>The shape of a key's value, as told to people.</summary>
public enum ValueKind
{
    Text,
    Path,
    Address,
    Number,
    Size,
    Cpus,
    Duration,
    Switch,
    Choice,
}

/// <summary>
/// One thing the operator can decide. The names in the file, the environment and on the command line follow from one
/// another, so that knowing one is knowing all.
/// </summary>
/// <param name="Name">Name in the configuration file.</param>
/// <param name="Default">As it would be written; empty for none.</param>
/// <param name="Description">One or two sentences for the reference page.</param>
/// <param name="IsList">Several values: an array in the file, repeated or with commas elsewhere.</param>
public sealed record ConfigurationKey(
    string Name, ValueKind Kind, string Default, string Description, bool IsList = false)
{
    /// <summary>What is accepted, for messages and the reference page.</summary>
    public string Expected { get; init; } = "";

    /// <summary>Its value is never shown.</summary>
    public bool IsSecret { get; init; }

    /// <summary>Puts a value into the options; false when the text does not say one. Null in <paramref name="texts"/>
    /// never occurs; a key that is no list gets exactly one.</summary>
    internal Func<ServerOptions, IReadOnlyList<string>, ServerOptions?> Apply { get; init; } = (options, _) => options;

    public string Variable => "BERTH_" + Name.ToUpperInvariant().Replace('-', '_');

    public string Flag => "--" + Name;
}

/// <summary>Makes keys of each kind; the range of a value is part of its kind.</summary>
internal static class KeyOf
{
    public static ConfigurationKey Text(
        string name, string fallback, string description, Func<ServerOptions, string, ServerOptions> put,
        ValueKind kind = ValueKind.Text) =>
        new(name, kind, fallback, description)
        {
            Expected = kind == ValueKind.Path ? "a path" : "a text",
            Apply = (options, texts) => put(options, texts[0]),
        };

    public static ConfigurationKey Number(
        string name, string fallback, int least, int most, string description,
        Func<ServerOptions, int, ServerOptions> put) =>
        new(name, ValueKind.Number, fallback, description)
        {
            Expected = string.Create(CultureInfo.InvariantCulture, $"a whole number from {least} to {most}"),
            Apply = (options, texts) =>
                int.TryParse(texts[0], NumberStyles.None, CultureInfo.InvariantCulture, out int number)
                && number >= least && number <= most
                    ? put(options, number)
                    : null,
        };

    public static ConfigurationKey Size(
        string name, string fallback, ByteSize least, string description,
        Func<ServerOptions, ByteSize, ServerOptions> put) =>
        new(name, ValueKind.Size, fallback, description)
        {
            Expected = $"a size of at least {least}, for instance 256Mi or 1.5Gi",
            Apply = (options, texts) =>
                ByteSize.TryParse(texts[0], out ByteSize size) && size >= least ? put(options, size) : null,
        };

    public static ConfigurationKey Cpus(
        string name, string fallback, string description, Func<ServerOptions, CpuQuota, ServerOptions> put) =>
        new(name, ValueKind.Cpus, fallback, description)
        {
            Expected = "an amount of CPU, for instance 0.5, 2 or 500m",
            Apply = (options, texts) => CpuQuota.TryParse(texts[0], out CpuQuota quota) ? put(options, quota) : null,
        };

    public static ConfigurationKey Span(
        string name, string fallback, TimeSpan least, TimeSpan most, string description,
        Func<ServerOptions, TimeSpan, ServerOptions> put) =>
        new(name, ValueKind.Duration, fallback, description)
        {
            Expected = $"a length of time from {Duration.Format(least)} to {Duration.Format(most)}, "
                + "for instance 500ms, 60s or 1h30m",
            Apply = (options, texts) =>
                Duration.TryParse(texts[0], out TimeSpan span) && span >= least && span <= most
                    ? put(options, span)
                    : null,
        };

    public static ConfigurationKey Switch(
        string name, string description, Func<ServerOptions, bool, ServerOptions> put) =>
        new(name, ValueKind.Switch, "false", description)
        {
            Expected = "true or false",
            Apply = (options, texts) => texts[0] switch
            {
                "true" => put(options, true),
                "false" => put(options, false),
                _ => null,
            },
        };

    public static ConfigurationKey Choice<T>(
        string name, string fallback, string description, Func<ServerOptions, T, ServerOptions> put)
        where T : struct, Enum
    {
        string[] names = [.. Enum.GetNames<T>().Select(n => n.ToLowerInvariant())];
        return new(name, ValueKind.Choice, fallback, description)
        {
            Expected = "one of " + string.Join(", ", names),
            Apply = (options, texts) => names.Contains(texts[0])
                ? put(options, Enum.Parse<T>(texts[0], ignoreCase: true))
                : null,
        };
    }

    public static ConfigurationKey Auto(ConfigurationKey key, Func<ServerOptions, ServerOptions> put) => key with
    {
        Default = "auto",
        Expected = key.Expected + ", or auto",
        Apply = (options, texts) => texts[0] == "auto" ? put(options) : key.Apply(options, texts),
    };
}
