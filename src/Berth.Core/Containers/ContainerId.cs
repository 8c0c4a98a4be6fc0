using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;

namespace Berth.Core.Containers;

/// <summary>Identity of a container: 16 random hexadecimal digits in lower case. People may give the first few of them
/// where no other container's id begins so.</summary>
public readonly record struct ContainerId : IComparable<ContainerId>
{
    public const int Length = 16;

    private const string Digits = "0123456789abcdef";

    private readonly string? text;

    private ContainerId(string text) => this.text = text;

    public string Text => text ?? throw new InvalidOperationException("An empty ContainerId was used.");

    public static ContainerId New() => new(Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(Length / 2)));

    public static bool TryParse([NotNullWhen(true)] string? value, out ContainerId id)
    {
        bool valid = value is { Length: Length } && IsPrefix(value);
        id = valid ? new ContainerId(value!) : default;
        return valid;
    }

    /// <summary>Whether an id can begin so.</summary>
    public static bool IsPrefix(string value) =>
        value.Length is > 0 and <= Length && !value.AsSpan().ContainsAnyExcept(Digits);

    public int CompareTo(ContainerId other) => string.CompareOrdinal(text, other.text);

    public override string ToString() => text ?? "(none)";
}
