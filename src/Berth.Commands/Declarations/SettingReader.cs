using System.Globalization;

namespace Berth.Commands.Declarations;

/// <summary>Reads single settings, and keeps what is wrong with them instead of stopping at the first.</summary>
internal sealed class SettingReader
{
    public List<Complaint> Complaints { get; } = [];

    /// <summary>Where settings of the function at hand stand, by their names in the HTTP interface.</summary>
    public Dictionary<string, Mark> Places { get; set; } = new(StringComparer.Ordinal);

    public void Complain(Mark at, string text) => Complaints.Add(new Complaint(at, text));

    /// <summary>Null, and a complaint, where it is no group.</summary>
    public YamlMap? Group(string name, YamlNode node)
    {
        if (node is YamlMap map)
        {
            return map;
        }

        Complain(
            node.At, $"'{name}' is {node.Kind}, and must be a group of settings: 'name: value' lines below it.");
        return null;
    }

    /// <summary>Hands each member on by its name; one that there is not is told with the nearest that there is.
    /// </summary>
    /// <param name="what">Whose settings they are, for messages.</param>
    public void Each(string what, YamlMap map, IReadOnlyCollection<string> known, Action<string, YamlNode> read)
    {
        foreach ((YamlText name, YamlNode value) in map.Members)
        {
            if (known.Contains(name.Value))
            {
                if (value is not YamlText { IsNothing: true })
                {
                    read(name.Value, value);
                }

                continue;
            }

            string guess = Spelling.Nearest(name.Value, known) is { } near
                ? $"did you mean '{near}'?"
                : $"there are {string.Join(", ", known.Order(StringComparer.Ordinal))}.";
            Complain(name.At, $"'{Short(name.Value)}' is no setting of {what}: {guess}");
        }
    }

    public string? Text(string name, string api, YamlNode node)
    {
        Places[api] = node.At;
        if (node is YamlText text)
        {
            return text.Value;
        }

        Complain(node.At, $"'{name}' is {node.Kind}, and must be a single value.");
        return null;
    }

    public int? Whole(string name, string api, YamlNode node)
    {
        Places[api] = node.At;
        if (node is YamlText text && int.TryParse(
            text.Value, NumberStyles.None, CultureInfo.InvariantCulture, out int number))
        {
            return number;
        }

        Complain(node.At, $"'{name}'{Value(node)} must be a whole number.");
        return null;
    }

    public double? Number(string name, string api, YamlNode node)
    {
        Places[api] = node.At;
        if (node is YamlText text && double.TryParse(
            text.Value, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double number))
        {
            return number;
        }

        Complain(node.At, $"'{name}'{Value(node)} must be a number.");
        return null;
    }

    public bool Flag(string name, string api, YamlNode node)
    {
        Places[api] = node.At;
        switch ((node as YamlText)?.Value)
        {
            case "true":
                return true;
            case "false":
                return false;
            default:
                Complain(node.At, $"'{name}'{Value(node)} must be true or false.");
                return false;
        }
    }

    /// <summary>A list of single values.</summary>
    public List<string>? Words(string name, string api, YamlNode node)
    {
        Places[api] = node.At;
        if (node is YamlList list && list.Items.All(i => i is YamlText))
        {
            return [.. list.Items.Select(i => ((YamlText)i).Value)];
        }

        Complain(node.At, $"'{name}' must be a list of single values, for instance [a, b].");
        return null;
    }

    /// <summary>A group of names that the file chooses, each with a single value.</summary>
    public Dictionary<string, string>? Pairs(string name, string api, YamlNode node)
    {
        Places[api] = node.At;
        if (Group(name, node) is not { } map)
        {
            return null;
        }

        Dictionary<string, string> pairs = new(StringComparer.Ordinal);
        foreach ((YamlText key, YamlNode value) in map.Members)
        {
            if (value is YamlText text)
            {
                pairs[key.Value] = text.IsNothing ? "" : text.Value;
            }
            else
            {
                Complain(value.At, $"'{name}.{Short(key.Value)}' is {value.Kind}, and must be a single value.");
            }
        }

        return pairs;
    }

    private static string Value(YamlNode node) => node is YamlText text ? $" = '{Short(text.Value)}'" : "";

    private static string Short(string text) => text.Length > 60 ? text[..60] + "…" : text;
}
