using System.Text.RegularExpressions;
using Berth.Core.Errors;

namespace Berth.Core.Networks;

/// <summary>Names of networks, and of what can be found in them: one label of a host name (RFC 1123, section 2.1), in
/// small letters.</summary>
public static partial class NetworkName
{
    public const int MaxLength = 63;

    /// <summary>What <c>--network</c> means by itself.</summary>
    private static readonly string[] Reserved = ["none", "host", "bridge", "default", "overlay"];

    /// <exception cref="BerthException">InvalidRequest.</exception>
    public static string Check(string name) => !IsLabel(name)
        ? throw new BerthException(
            ErrorCode.InvalidRequest,
            $"'{Quoted.Of(name)}' is no name for a network: a name has 1 to {MaxLength} small letters, digits and '-', "
            + "and begins and ends with a letter or digit.")
        : Reserved.Contains(name)
            ? throw new BerthException(
                ErrorCode.InvalidRequest, $"'{name}' has a meaning of its own with --network: choose another name.")
            : name;

    /// <summary>Whether it can be the name of a network.</summary>
    public static bool IsValid(string name) => IsLabel(name) && !Reserved.Contains(name);

    /// <summary>Whether it can be a name in a network.</summary>
    public static bool IsLabel(string name) => Form().IsMatch(name);

    [GeneratedRegex(@"\A[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\z", RegexOptions.NonBacktracking)]
    private static partial Regex Form();
}
