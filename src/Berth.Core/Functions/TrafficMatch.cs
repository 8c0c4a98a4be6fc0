using System.Buffers;
using Berth.Core.Errors;

namespace Berth.Core.Functions;

/// <summary>What of a call a rule looks at.</summary>
public enum MatchSource
{
    Header = 0,
    Cookie = 1,
}

/// <summary>The words of a call that rules look at.</summary>
public interface ICallWords
{
    /// <summary>The values of a header, in whatever letters its name is written; empty where it is not there.</summary>
    IReadOnlyList<string?> Headers(string name);

    /// <summary>The values of a cookie of exactly this name.</summary>
    IReadOnlyList<string?> Cookies(string name);
}

/// <summary>A rule by which calls go to one revision: those with this value, exactly, of a header or cookie. Written
/// <c>header:X-Beta=1</c> or <c>cookie:beta=yes</c>.</summary>
/// <param name="Name">Of a header, in any letters; of a cookie, exactly.</param>
public sealed record TrafficMatch(MatchSource Source, string Name, string Value, int Revision)
{
    private const int MaxName = 64;
    private const int MaxValue = 256;
    private const string HeaderWord = "header:";
    private const string CookieWord = "cookie:";

    /// <summary>tchar of RFC 9110, section 5.6.2; a cookie's name is such a token as well (RFC 6265, section 4.1.1).
    /// </summary>
    private static readonly SearchValues<char> NameCharacters = SearchValues.Create(
        "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");

    /// <summary>Whoever may see a function sees its rules: no secret belongs there.</summary>
    private static readonly string[] SecretHeaders = ["Authorization", "Proxy-Authorization", "Cookie"];

    /// <summary>The rule without its revision.</summary>
    public string Text => (Source == MatchSource.Header ? HeaderWord : CookieWord) + Name + "=" + Value;

    /// <exception cref="BerthException">InvalidRequest.</exception>
    public static TrafficMatch Parse(string text, int revision)
    {
        bool header = text.StartsWith(HeaderWord, StringComparison.Ordinal);
        int equals = text.IndexOf('=', StringComparison.Ordinal);
        if ((!header && !text.StartsWith(CookieWord, StringComparison.Ordinal)) || equals < 0)
        {
            throw Refuse(text, "write header:NAME=VALUE or cookie:NAME=VALUE");
        }

        string name = text[HeaderWord.Length..equals];
        string value = text[(equals + 1)..];
        if (name.Length is 0 or > MaxName || name.AsSpan().ContainsAnyExcept(NameCharacters))
        {
            throw Refuse(text, $"a name has 1 to {MaxName} letters, digits and such signs as '-' and '_'");
        }

        if (value.Length is 0 or > MaxValue || value.Any(c => c is < ' ' or > '~')
            || value[0] == ' ' || value[^1] == ' ' || (!header && value.AsSpan().ContainsAny(" \";,\\")))
        {
            throw Refuse(
                text, header
                    ? $"a header's value has 1 to {MaxValue} visible ASCII characters, and no blank at its ends"
                    : $"a cookie's value has 1 to {MaxValue} visible ASCII characters but for '\"', ',', ';' and '\\'");
        }

        return header && SecretHeaders.Contains(name, StringComparer.OrdinalIgnoreCase)
            ? throw Refuse(text, $"everybody who sees the function would see what is in {name}; take another header")
            : new TrafficMatch(header ? MatchSource.Header : MatchSource.Cookie, name, value, revision);
    }

    /// <summary>Whether both look for the same, so that the later one would never be met.</summary>
    public bool IsSameRule(TrafficMatch other) => Source == other.Source && Value == other.Value
        && string.Equals(
            Name, other.Name,
            Source == MatchSource.Header ? StringComparison.OrdinalIgnoreCase : StringComparison.Ordinal);

    /// <summary>Whether any of the call's values is the rule's.</summary>
    public bool IsMetBy(ICallWords call)
    {
        IReadOnlyList<string?> values = Source == MatchSource.Header ? call.Headers(Name) : call.Cookies(Name);
        for (int i = 0; i < values.Count; i++)
        {
            if (string.Equals(values[i], Value, StringComparison.Ordinal))
            {
                return true;
            }
        }

        return false;
    }

    private static BerthException Refuse(string text, string why) => new(
        ErrorCode.InvalidRequest, $"'{(text.Length > 100 ? text[..100] + "…" : text)}' is no rule: {why}.");
}
