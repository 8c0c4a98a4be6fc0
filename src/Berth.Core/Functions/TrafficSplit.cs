using System.Globalization;
using Berth.Core.Errors;

namespace Berth.Core.Functions;

/// <param name="Percent">1 to 100 of the calls that name no revision.</param>
public sealed record TrafficShare(int Revision, int Percent);

/// <summary>How calls are split over revisions: those that meet a rule go where it says, all others by shares; and the
/// names that reach one revision alone.</summary>
public sealed class TrafficSplit : IEquatable<TrafficSplit>
{
    /// <summary>Each keeps a revision.</summary>
    public const int MaxTags = 32;

    /// <summary>Each is looked at with every call.</summary>
    public const int MaxMatches = 16;

    private TrafficSplit(
        IReadOnlyList<TrafficShare> shares, IReadOnlyDictionary<string, int> tags,
        IReadOnlyList<TrafficMatch> matches, bool sticky)
    {
        Shares = shares;
        Tags = tags;
        Matches = matches;
        IsSticky = sticky;
    }

    /// <summary>By revision; together 100 %.</summary>
    public IReadOnlyList<TrafficShare> Shares { get; }

    /// <summary>Revisions by tag. A tagged revision may have no share.</summary>
    public IReadOnlyDictionary<string, int> Tags { get; }

    /// <summary>Looked at in this order before the shares: the first that a call meets decides.</summary>
    public IReadOnlyList<TrafficMatch> Matches { get; }

    /// <summary>Whether a caller is given a <see cref="TrafficPoint"/> to come back to.</summary>
    public bool IsSticky { get; }

    /// <summary>The one revision that gets all calls but for rules; null when several share them.</summary>
    public int? Whole => Shares.Count == 1 ? Shares[0].Revision : null;

    public static TrafficSplit All(int revision) => Of([new TrafficShare(revision, 100)], NoTags);

    /// <exception cref="BerthException">InvalidRequest, where the shares are not 100 % together, a revision stands
    /// twice, a tag is no name, a rule stands twice, or there are too many.</exception>
    public static TrafficSplit Of(
        IEnumerable<TrafficShare> shares, IReadOnlyDictionary<string, int> tags,
        IReadOnlyList<TrafficMatch>? matches = null, bool sticky = false)
    {
        TrafficShare[] sorted = [.. shares.OrderBy(s => s.Revision)];
        if (sorted.FirstOrDefault(s => s.Percent is < 1 or > 100) is { } odd)
        {
            throw Refuse($"{odd.Percent} % for revision {odd.Revision} can't be: a share is 1 to 100.");
        }

        for (int i = 1; i < sorted.Length; i++)
        {
            if (sorted[i].Revision == sorted[i - 1].Revision)
            {
                throw Refuse($"Revision {sorted[i].Revision} is given two shares.");
            }
        }

        int sum = sorted.Sum(s => s.Percent);
        if (sum != 100)
        {
            throw Refuse($"The shares are {sum} % together; they must be 100.");
        }

        if (tags.Count > MaxTags)
        {
            throw Refuse($"{tags.Count} tags are too many: a function has at most {MaxTags}.");
        }

        foreach (string tag in tags.Keys)
        {
            FunctionName.Check(tag, "tag");
        }

        return new TrafficSplit(
            sorted, new SortedDictionary<string, int>(tags.ToDictionary(), StringComparer.Ordinal),
            Checked(matches ?? []), sticky);
    }

    /// <summary>Other shares; tags, rules and places stay.</summary>
    /// <exception cref="BerthException">InvalidRequest, as with <see cref="Of"/>.</exception>
    public TrafficSplit Shared(IEnumerable<TrafficShare> shares) => Of(shares, Tags, Matches, IsSticky);

    /// <summary>Of the calls that name no revision; 0 where it has none.</summary>
    public int PercentOf(int revision) => Shares.FirstOrDefault(s => s.Revision == revision)?.Percent ?? 0;

    /// <summary>The same shares, tags and rules, whose callers keep their places or don't.</summary>
    public TrafficSplit Keeping(bool sticky) => sticky == IsSticky ? this : Of(Shares, Tags, Matches, sticky);

    /// <summary>The revision of the first rule that a call meets; null where it meets none.</summary>
    public int? Met(ICallWords call)
    {
        for (int i = 0; i < Matches.Count; i++)
        {
            if (Matches[i].IsMetBy(call))
            {
                return Matches[i].Revision;
            }
        }

        return null;
    }

    /// <summary>The revision for a call that names none.</summary>
    /// <param name="point">Anywhere in [0, 1), evenly; the same point gives the same revision.</param>
    public int At(double point)
    {
        double end = 0;
        foreach (TrafficShare share in Shares)
        {
            end += share.Percent;
            if (point * 100 < end)
            {
                return share.Revision;
            }
        }

        return Shares[^1].Revision;
    }

    /// <summary><paramref name="revision"/> gets <paramref name="percent"/> (0 to 100); the others share what is left
    /// as they did, to the nearest percent that makes 100. One whose part rounds to nothing gets nothing.</summary>
    public TrafficSplit With(int revision, int percent)
    {
        if (percent is < 0 or > 100)
        {
            throw Refuse($"{percent} % can't be: a share is 0 to 100.");
        }

        TrafficShare[] others = [.. Shares.Where(s => s.Revision != revision)];
        if (others.Length == 0)
        {
            return percent == 100
                ? this
                : throw Refuse(
                    $"Revision {revision} has all calls, and there is no other to take {100 - percent} %.");
        }

        List<TrafficShare> shares = Spread(others, 100 - percent);
        if (percent > 0)
        {
            shares.Add(new TrafficShare(revision, percent));
        }

        return Shared(shares);
    }

    /// <summary>The same shares; <paramref name="tag"/> means <paramref name="revision"/>, whatever it meant.</summary>
    public TrafficSplit Tagged(string tag, int revision) =>
        Of(Shares, new Dictionary<string, int>(Tags) { [tag] = revision }, Matches, IsSticky);

    /// <summary>Calls that meet these rules go where they say, before those of the rules there were. One that looks for
    /// the same as another takes its place.</summary>
    public TrafficSplit Matched(IReadOnlyList<TrafficMatch> first) => Of(
        Shares, Tags, [.. first, .. Matches.Where(m => !first.Any(m.IsSameRule))], IsSticky);

    public bool Holds(int revision) => Shares.Any(s => s.Revision == revision) || Tags.Values.Contains(revision)
        || Matches.Any(m => m.Revision == revision);

    public bool Equals(TrafficSplit? other) => other is not null && Shares.SequenceEqual(other.Shares)
        && Tags.SequenceEqual(other.Tags) && Matches.SequenceEqual(other.Matches) && IsSticky == other.IsSticky;

    public override bool Equals(object? obj) => Equals(obj as TrafficSplit);

    public override int GetHashCode() => Shares.Aggregate(0, HashCode.Combine);

    /// <summary>For instance <c>95 % to revision 3, 5 % to revision 4</c>.</summary>
    public override string ToString() => string.Join(
        ", ", Shares.Select(s => string.Create(
            CultureInfo.InvariantCulture, $"{s.Percent} % to revision {s.Revision}")));

    private static IReadOnlyList<TrafficMatch> Checked(IReadOnlyList<TrafficMatch> matches)
    {
        if (matches.Count > MaxMatches)
        {
            throw Refuse($"{matches.Count} rules are too many: a function has at most {MaxMatches}.");
        }

        for (int i = 1; i < matches.Count; i++)
        {
            if (matches.Take(i).Any(matches[i].IsSameRule))
            {
                throw Refuse($"The rule '{matches[i].Text}' stands twice.");
            }
        }

        return matches;
    }

    private static IReadOnlyDictionary<string, int> NoTags { get; } = new Dictionary<string, int>();

    /// <summary>Largest remainders: whole percents that keep the proportions as well as whole percents can.</summary>
    private static List<TrafficShare> Spread(TrafficShare[] shares, int total)
    {
        int sum = shares.Sum(s => s.Percent);
        int[] parts = [.. shares.Select(s => s.Percent * total / sum)];
        int left = total - parts.Sum();
        foreach (int i in Enumerable.Range(0, shares.Length).OrderByDescending(i => shares[i].Percent * total % sum)
            .Take(left))
        {
            parts[i]++;
        }

        return [.. shares.Zip(parts, (s, part) => s with { Percent = part }).Where(s => s.Percent > 0)];
    }

    private static BerthException Refuse(string why) => new(ErrorCode.InvalidRequest, why);
}
