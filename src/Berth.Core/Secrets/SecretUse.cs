using System.Diagnostics.CodeAnalysis;
using System.Text.RegularExpressions;

namespace Berth.Core.Secrets;

/// <summary>How a program gets a secret: as a file of <see cref="Folder"/>, or as an environment variable. It names the
/// secret alone; the value is what that has when a program starts.</summary>
/// <param name="Secret">By <see cref="SecretName"/>'s rule.</param>
/// <param name="File">Name of the file; null for a variable.</param>
/// <param name="Variable">Null for a file.</param>
public sealed partial record SecretUse(string Secret, string? File, string? Variable)
{
    /// <summary>Where the files are; docker and its like have them there too.</summary>
    public const string Folder = "/run/secrets";

    /// <summary>What one secret may hold, in bytes: keys and certificates are far smaller.</summary>
    public const int MaxBytes = 64 * 1024;

    /// <summary>What all of a function's may hold together, in bytes: the files are memory of the machine for as long
    /// as a program runs.</summary>
    public const int MaxBytesTogether = 512 * 1024;

    /// <summary>A function's, at most.</summary>
    public const int MaxCount = 64;

    private const string VariableMark = "env=";

    /// <summary><c>NAME</c>, <c>NAME:/run/secrets/FILE</c> or <c>NAME:env=VARIABLE</c>.</summary>
    public string Text => Variable is not null ? $"{Secret}:{VariableMark}{Variable}"
        : File == Secret ? Secret
        : $"{Secret}:{Folder}/{File}";

    public static bool TryParse(string text, [NotNullWhen(true)] out SecretUse? use)
    {
        int colon = text.IndexOf(':', StringComparison.Ordinal);
        string name = colon < 0 ? text : text[..colon];
        string way = colon < 0 ? $"{Folder}/{name}" : text[(colon + 1)..];
        use = !SecretName.IsValid(name) ? null
            : way.StartsWith(Folder + "/", StringComparison.Ordinal)
                ? SecretName.IsValid(way[(Folder.Length + 1)..])
                    ? new SecretUse(name, way[(Folder.Length + 1)..], null)
                    : null
            : way.StartsWith(VariableMark, StringComparison.Ordinal)
                && VariableForm().IsMatch(way[VariableMark.Length..])
                && !way.StartsWith(VariableMark + "BERTH_", StringComparison.Ordinal)
                ? new SecretUse(name, null, way[VariableMark.Length..])
                : null;
        return use is not null;
    }

    /// <summary>One that was kept.</summary>
    public static SecretUse Restore(string text) => TryParse(text, out SecretUse? use)
        ? use
        : throw new InvalidOperationException("The store holds a use of a secret that is none.");

    [GeneratedRegex(@"\A[A-Za-z_][A-Za-z0-9_]{0,254}\z", RegexOptions.NonBacktracking)]
    private static partial Regex VariableForm();
}
