using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Oci.Repositories;
using Microsoft.Extensions.Logging;

namespace Berth.Registry.Policies;

/// <summary>A tag that the rules remove.</summary>
public sealed record RetentionRemoval(string Repository, string Tag, Digest Digest, DateTimeOffset TaggedAt);

/// <summary>
/// Removes the tags that no retention rule keeps, with the image when it was its last name. A pass: what it leaves the
/// next one takes; content goes with the collection after it.
/// </summary>
public sealed class RetentionPass(
    RepositoryStore repositories, ImageCatalog catalog, PolicyStore policies, TimeProvider time, ILoggerFactory loggers)
{
    private readonly ILogger logger = loggers.CreateLogger<RetentionPass>();

    /// <summary>What the rules would remove now.</summary>
    /// <param name="scope">A repository and all below it; null for all.</param>
    public IReadOnlyList<RetentionRemoval> Plan(string? scope)
    {
        List<RetentionRemoval> removals = [];
        RepositoryQuota below = new(scope ?? PolicyStore.Everything, 0);
        foreach (string repository in repositories.Names().Where(below.Covers))
        {
            if (policies.RetentionOf(repository) is not { } rules)
            {
                continue;
            }

            IReadOnlyList<TagLink> tags = repositories.Tags(repository, null, int.MaxValue - 1)?.Entries ?? [];
            IEnumerable<RetainedTag> seen = tags.Select(
                t => new RetainedTag(t.Tag, t.TaggedAt, policies.IsImmutable(repository, t.Tag)));
            foreach (RetainedTag tag in RetentionPlan.Removals(seen, rules, time.GetUtcNow()))
            {
                TagLink link = tags.First(t => t.Tag == tag.Tag);
                removals.Add(new RetentionRemoval(repository, link.Tag, link.Digest, link.TaggedAt));
            }
        }

        return removals;
    }

    /// <summary>Carries the plan out; returns what was removed.</summary>
    public async Task<IReadOnlyList<RetentionRemoval>> RunAsync(string? scope, CancellationToken cancellationToken)
    {
        List<RetentionRemoval> removed = [];
        foreach (RetentionRemoval removal in Plan(scope))
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (await TryRemoveAsync(removal, cancellationToken))
            {
                removed.Add(removal);
            }
        }

        if (removed.Count > 0)
        {
            Log.TagsRetired(logger, removed.Count);
        }

        return removed;
    }

    private async Task<bool> TryRemoveAsync(RetentionRemoval removal, CancellationToken cancellationToken)
    {
        // Only what was planned: a tag that was moved since is another one.
        if (repositories.FindTag(removal.Repository, removal.Tag) is not { } now || now.TaggedAt != removal.TaggedAt)
        {
            return false;
        }

        try
        {
            await catalog.DeleteAsync(
                ImageReference.Parse($"{removal.Repository}:{removal.Tag}"), cancellationToken);
            return true;
        }
        catch (BerthException e) when (e.Code is ErrorCode.ImageNotFound or ErrorCode.TagImmutable)
        {
            return false;
        }
    }
}
