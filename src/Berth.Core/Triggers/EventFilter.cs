namespace Berth.Core.Triggers;

/// <summary>Which events a trigger takes: of one of the types and from one of the sources; <c>*</c> at the end of one
/// stands for any rest. An empty list takes all.</summary>
public sealed record EventFilter(IReadOnlyList<string> Types, IReadOnlyList<string> Sources)
{
    public const int MaxPatterns = 32;
    public const int MaxLength = 255;

    public static EventFilter All { get; } = new([], []);

    public bool Takes(CloudEvent e) => Takes(Types, e.Type) && Takes(Sources, e.Source);

    private static bool Takes(IReadOnlyList<string> patterns, string value) =>
        patterns.Count == 0 || patterns.Any(p => p.EndsWith('*')
            ? value.AsSpan().StartsWith(p.AsSpan(0, p.Length - 1), StringComparison.Ordinal)
            : p == value);
}
