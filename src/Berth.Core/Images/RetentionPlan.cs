namespace Berth.Core.Images;

/// <summary>A tag as retention sees it.</summary>
/// <param name="TaggedAt">When it was last pointed at an image.</param>
/// <param name="IsImmutable">Whether a policy forbids to remove it.</param>
public readonly record struct RetainedTag(string Tag, DateTimeOffset TaggedAt, bool IsImmutable);

/// <summary>
/// Which tags of a repository stay. A tag goes only if it is <paramref name="Among"/> those the rules are about and no
/// rule keeps it.
/// </summary>
/// <param name="KeepLast">The so many newest of them stay; null for no such rule.</param>
/// <param name="KeepFor">Those younger than this stay; null for no such rule.</param>
/// <param name="Keep">Those that match one of these stay.</param>
/// <param name="Among">What the rules are about; empty means all tags.</param>
public sealed record RetentionRules(
    int? KeepLast, TimeSpan? KeepFor, IReadOnlyList<NamePattern> Keep, IReadOnlyList<NamePattern> Among)
{
    /// <summary>Without a rule that keeps anything by count or age nothing is removed: a list of names to keep alone
    /// would remove whatever is pushed next.</summary>
    public bool IsEmpty => KeepLast is null && KeepFor is null;
}

/// <summary>Decides which tags go, oldest first.</summary>
public static class RetentionPlan
{
    public static IReadOnlyList<RetainedTag> Removals(
        IEnumerable<RetainedTag> tags, RetentionRules rules, DateTimeOffset now)
    {
        if (rules.IsEmpty)
        {
            return [];
        }

        RetainedTag[] concerned =
        [
            .. tags.Where(t => rules.Among.Count == 0 || rules.Among.Any(p => p.Matches(t.Tag)))
                .OrderByDescending(t => t.TaggedAt).ThenByDescending(t => t.Tag, StringComparer.Ordinal),
        ];
        return
        [
            .. concerned.Skip(rules.KeepLast ?? 0)
                .Where(t => !t.IsImmutable
                    && !(now - t.TaggedAt < rules.KeepFor)
                    && !rules.Keep.Any(p => p.Matches(t.Tag)))
                .Reverse(),
        ];
    }
}
