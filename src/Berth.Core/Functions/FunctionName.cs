using System.Text.RegularExpressions;
using Berth.Core.Errors;

namespace Berth.Core.Functions;

/// <summary>Names of functions and of tags on their revisions: labels of a host name (RFC 1123), so that they can stand
/// in an address and in a domain.</summary>
public static partial class FunctionName
{
    public const int MaxLength = 63;

    /// <param name="what">What it would be the name of, for the refusal.</param>
    /// <exception cref="BerthException">InvalidRequest.</exception>
    public static string Check(string name, string what) => IsValid(name)
        ? name
        : throw new BerthException(
            ErrorCode.InvalidRequest,
            $"'{(name.Length > 100 ? name[..100] + "…" : name)}' is no name for a {what}: a name has 1 to {MaxLength} "
            + "small letters, digits and '-', begins with a letter and does not end with '-'.");

    public static bool IsValid(string name) => Form().IsMatch(name);

    [GeneratedRegex(@"\A[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?\z", RegexOptions.NonBacktracking)]
    private static partial Regex Form();
}
