using System.Text.RegularExpressions;

namespace Berth.Api.Nodes;

/// <summary>
/// A further OCI runtime that the operator lets runs choose beside the node's own: a program with the command line of
/// runc (create, start, exec).
/// </summary>
/// <param name="Name">1 to 32 of a-z, 0-9, '-', '_' and '.', beginning with a letter or digit.</param>
/// <param name="Path">Absolute, of the executable.</param>
/// <param name="Arguments">Its global arguments, given before the command every time.</param>
public sealed partial record RegisteredRuntime(string Name, string Path, IReadOnlyList<string> Arguments)
{
    /// <summary>What <see cref="Parse"/> takes.</summary>
    public const string Expected = "NAME=PATH [ARGUMENT …], for instance runsc=/usr/bin/runsc";

    /// <summary>The node's own runtime, which needs no registration and can't be named otherwise.</summary>
    public const string Own = "runc";

    /// <summary>Whether it leaves control groups to whoever starts it, as gVisor does where it is told to.</summary>
    public bool IgnoresCgroups =>
        Arguments.Any(a => a.TrimStart('-') is "ignore-cgroups" or "ignore-cgroups=true");

    /// <summary>Words are separated by spaces; there is no quoting. Null where the text does not say one.</summary>
    public static RegisteredRuntime? Parse(string text)
    {
        int equals = text.IndexOf('=', StringComparison.Ordinal);
        if (equals < 0 || !NameText().IsMatch(text[..equals]) || text[..equals] == Own)
        {
            return null;
        }

        string[] words = text[(equals + 1)..].Split(' ', StringSplitOptions.RemoveEmptyEntries);
        return words is [['/', _, ..] path, .. string[] arguments]
            ? new RegisteredRuntime(text[..equals], path, arguments)
            : null;
    }

    [GeneratedRegex("^[a-z0-9][a-z0-9._-]{0,31}$", RegexOptions.CultureInvariant)]
    private static partial Regex NameText();
}
