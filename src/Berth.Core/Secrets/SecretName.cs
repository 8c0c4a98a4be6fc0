using System.Text.RegularExpressions;
using Berth.Core.Errors;

namespace Berth.Core.Secrets;

/// <summary>Names of secrets, and of the files that hold them in a sandbox: one part of a path, which no file system
/// and no address reads as anything else.</summary>
public static partial class SecretName
{
    public const int MaxLength = 63;

    /// <exception cref="BerthException">InvalidRequest.</exception>
    public static string Check(string name) => IsValid(name)
        ? name
        : throw new BerthException(
            ErrorCode.InvalidRequest,
            $"'{Quoted.Of(name)}' is no name for a secret: a name has 1 to {MaxLength} letters, digits, '-', '_' and "
            + "'.', and begins with a letter or digit.");

    public static bool IsValid(string name) => Form().IsMatch(name);

    [GeneratedRegex(@"\A[A-Za-z0-9][A-Za-z0-9._-]{0,62}\z", RegexOptions.NonBacktracking)]
    private static partial Regex Form();
}
