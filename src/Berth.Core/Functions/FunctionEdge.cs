using Berth.Core.Errors;

namespace Berth.Core.Functions;

/// <summary>Who reaches a function beside those that have a token and name it by its path.</summary>
/// <param name="Hosts">Host names of its own, as <see cref="HostName"/> writes them; unique over all functions.</param>
/// <param name="IsPublic">Anybody may call it, without a token.</param>
public sealed record FunctionEdge(IReadOnlyList<string> Hosts, bool IsPublic)
{
    public const int MaxHosts = 16;

    public static FunctionEdge None { get; } = new([], false);

    /// <summary>In the order given; each once.</summary>
    /// <exception cref="BerthException">InvalidRequest, for what is no name of a host, or too many.</exception>
    public static FunctionEdge Of(IEnumerable<string> hosts, bool isPublic)
    {
        string[] names = [.. hosts.Select(HostName.Parse).Distinct()];
        return names.Length <= MaxHosts ? new FunctionEdge(names, isPublic) : throw new BerthException(
            ErrorCode.InvalidRequest, $"{names.Length} hosts are too many: a function has at most {MaxHosts}.");
    }

    /// <summary>Whether it lets in more than <paramref name="before"/> did.</summary>
    public bool OpensMoreThan(FunctionEdge before) =>
        (IsPublic && !before.IsPublic) || Hosts.Except(before.Hosts).Any();

    public bool Equals(FunctionEdge? other) =>
        other is not null && IsPublic == other.IsPublic && Hosts.SequenceEqual(other.Hosts);

    public override int GetHashCode() => HashCode.Combine(Hosts.Count, IsPublic);
}
