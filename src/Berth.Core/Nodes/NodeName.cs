using System.Text.RegularExpressions;
using Berth.Core.Errors;

namespace Berth.Core.Nodes;

/// <summary>Names of nodes, of their labels and of their taints.</summary>
public static partial class NodeName
{
    private const string Rule =
        "1 to 63 of a-z, 0-9, '-', '_' and '.', beginning and ending with a letter or digit";

    public static bool IsValid(string name) => NameText().IsMatch(name);

    /// <summary>The name, or a refusal (<c>InvalidRequest</c>).</summary>
    public static string Check(string? name) => name is not null && IsValid(name)
        ? name
        : throw new BerthException(
            ErrorCode.InvalidRequest, $"'{Quoted.Of(name)}' is no name for a node: use {Rule}.");

    /// <summary>What a machine is called where nobody says: its host name, made to fit.</summary>
    public static string From(string hostName)
    {
        string fitting = string.Concat(hostName.ToLowerInvariant().Select(
            c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.' ? c : '-')).Trim('-', '_', '.');
        return fitting.Length == 0 ? "node" : fitting[..Math.Min(fitting.Length, 63)].TrimEnd('-', '_', '.');
    }

    [GeneratedRegex("^[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?$", RegexOptions.CultureInvariant)]
    private static partial Regex NameText();
}

/// <summary>Words that operators put on nodes, for placing work by.</summary>
public static class NodeLabels
{
    /// <summary>Of one node.</summary>
    public const int Most = 64;

    private const int MostText = 63;

    /// <summary>Throws <c>InvalidRequest</c>.</summary>
    public static void Check(IReadOnlyDictionary<string, string> labels)
    {
        if (labels.Count > Most)
        {
            throw new BerthException(
                ErrorCode.InvalidRequest, $"A node has at most {Most} labels, not {labels.Count}.");
        }

        foreach ((string name, string value) in labels)
        {
            if (name.Length is 0 or > MostText || value.Length > MostText || !(name + value).All(IsOfLabel))
            {
                throw new BerthException(
                    ErrorCode.InvalidRequest,
                    $"'{Quoted.Of(name)}={Quoted.Of(value)}' is no label: use up to {MostText} letters, digits and "
                    + "'-', '_', '.', '/' on either side.");
            }
        }
    }

    private static bool IsOfLabel(char c) => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.' or '/';
}
