namespace Berth.Oci.Repositories;

/// <summary>The most bytes that the repositories below a prefix may hold together.</summary>
/// <param name="Scope">Repository and all below it, or <c>*</c> for all.</param>
public sealed record RepositoryQuota(string Scope, long Bytes)
{
    /// <summary>Whether a repository is the scope or below it.</summary>
    public bool Covers(string repository) => Scope == "*" || repository == Scope
        || (repository.Length > Scope.Length && repository[Scope.Length] == '/'
            && repository.StartsWith(Scope, StringComparison.Ordinal));
}

/// <summary>What the repository store asks before it changes something. Answers from memory.</summary>
public interface IRepositoryRules
{
    /// <summary>Whether a tag that exists may neither be moved nor removed.</summary>
    bool IsImmutable(string repository, string tag);

    /// <summary>Every quota that the repository counts towards.</summary>
    IReadOnlyList<RepositoryQuota> QuotasOf(string repository);
}

/// <summary>Everything may be changed.</summary>
internal sealed class NoRules : IRepositoryRules
{
    public bool IsImmutable(string repository, string tag) => false;

    public IReadOnlyList<RepositoryQuota> QuotasOf(string repository) => [];
}
