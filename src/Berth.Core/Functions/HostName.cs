using System.Text.RegularExpressions;
using Berth.Core.Errors;

namespace Berth.Core.Functions;

/// <summary>Names of hosts (RFC 1123, section 2.1), compared letter by letter in small letters. No addresses: those are
/// the server's own. Names in other scripts are written as they travel (xn--…, RFC 5890), so that none is shown as
/// another.</summary>
public static partial class HostName
{
    private const int MaxLength = 253;

    /// <summary>A name of at least two labels, for a function.</summary>
    /// <exception cref="BerthException">InvalidRequest.</exception>
    public static string Parse(string text)
    {
        string name = text.ToLowerInvariant();
        string? wrong = text.Any(c => c > '\u007f') ? "write it as it travels, in punycode (xn--…)"
            : text.Contains(':', StringComparison.Ordinal) ? "leave port and scheme away: it holds for all ports"
            : text.StartsWith('*') ? "every host is named by itself; the server's function-domain has all below it"
            : !IsValid(name) ? "a host has names of letters, digits and '-' with dots between, and is no address"
            : !name.Contains('.', StringComparison.Ordinal) ? "it has a dot in it, for instance shop.example.org"
            : null;
        return wrong is null ? name : throw new BerthException(
            ErrorCode.InvalidRequest, $"'{(text.Length > 100 ? text[..100] + "…" : text)}' is no host: {wrong}.");
    }

    /// <summary>Whether it is one, in small letters; one label does.</summary>
    public static bool IsValid(string name) => name.Length <= MaxLength && Form().IsMatch(name);

    // The last label is not of digits alone, or it might be an address.
    [GeneratedRegex(
        @"\A(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?\z",
        RegexOptions.NonBacktracking)]
    private static partial Regex Form();
}
