using System.Collections.Immutable;
using System.Text.Json;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Oci.Content;
using Berth.Oci.Repositories;
using Berth.Registry.Mirrors;

namespace Berth.Registry.Policies;

/// <summary>
/// The policies, in one file that is replaced as a whole at every change and durable before a change is acknowledged.
/// Questions are answered from memory.
/// </summary>
public sealed class PolicyStore : IRepositoryRules
{
    // Each is looked at for every write below it, and the file is written whole.
    private const int MaxPolicies = 10_000;
    private const int MaxPatterns = 100;

    private readonly Lock gate = new();
    private readonly string path;
    private volatile ImmutableSortedDictionary<string, Compiled> policies;

    private PolicyStore(string path, IEnumerable<RepositoryPolicy> policies)
    {
        this.path = path;
        this.policies = policies.ToImmutableSortedDictionary(
            p => p.Scope, p => new Compiled(p), StringComparer.Ordinal);
    }

    /// <summary>Means every repository.</summary>
    public static string Everything => "*";

    /// <summary>Whether anybody may pull anything without a token.</summary>
    public bool HasAnonymous => policies.Values.Any(p => p.Policy.AnonymousPull == true);

    /// <summary>Reads the file; a missing one means no policies.</summary>
    public static PolicyStore Open(string path)
    {
        if (!File.Exists(path))
        {
            return new PolicyStore(path, []);
        }

        try
        {
            PolicyFile? file = JsonSerializer.Deserialize(File.ReadAllBytes(path), PolicyJson.Default.PolicyFile);
            return new PolicyStore(path, file?.Policies ?? throw new JsonException("it is empty"));
        }
        catch (JsonException e)
        {
            throw new BerthException(
                ErrorCode.InvalidConfiguration,
                $"The file of repository policies {path} can't be read ({e.Message}). Restore it, or delete it to "
                + "start without quotas, immutable tags and retention.", e);
        }
    }

    public IReadOnlyList<RepositoryPolicy> All() => [.. policies.Values.Select(p => p.Policy)];

    /// <summary>What is said for exactly this scope, or null.</summary>
    public RepositoryPolicy? Find(string scope) => policies.GetValueOrDefault(scope)?.Policy;

    /// <summary>Replaces what is said for a scope; a policy that says nothing removes it.</summary>
    public void Set(RepositoryPolicy policy)
    {
        Check(policy);
        lock (gate)
        {
            ImmutableSortedDictionary<string, Compiled> next = policy.IsEmpty
                ? policies.Remove(policy.Scope)
                : policies.SetItem(policy.Scope, new Compiled(policy));
            if (next.Count > MaxPolicies)
            {
                throw new BerthException(
                    ErrorCode.Conflict, $"There are {MaxPolicies} policies already: say more in fewer of them.");
            }

            Save(next);
            policies = next;
        }
    }

    public bool IsImmutable(string repository, string tag) =>
        Nearest(repository, p => p.Policy.ImmutableTags is not null)?.Immutable.Any(p => p.Matches(tag)) ?? false;

    public bool IsAnonymous(string repository) =>
        Nearest(repository, p => p.Policy.AnonymousPull is not null)?.Policy.AnonymousPull ?? false;

    /// <summary>The rules for a repository's tags, or null.</summary>
    public RetentionRules? RetentionOf(string repository) =>
        Nearest(repository, p => p.Retention is not null)?.Retention;

    /// <summary>Whether the repository is a cache of another registry's.</summary>
    public bool IsMirror(string repository) => UpstreamOf(repository) is not null;

    /// <summary>Where a repository's content comes from, or null. The name there is what follows the scope.</summary>
    internal UpstreamRepository? UpstreamOf(string repository)
    {
        if (Nearest(repository, p => p.Policy.Upstream is not null)?.Policy is not { Upstream: { } upstream } policy)
        {
            return null;
        }

        string below = policy.Scope == Everything ? repository : repository[policy.Scope.Length..].TrimStart('/');
        string name = $"{upstream.Parse().AbsolutePath.Trim('/')}/{below}".Trim('/');
        return name.Length == 0 ? null : new UpstreamRepository(upstream, name);
    }

    /// <summary>Who is told of changes of the repository's tags: the receivers of all policies above.</summary>
    public IReadOnlyList<string> WebhooksOf(string repository) =>
        [.. Above(repository).SelectMany(p => p.Policy.Webhooks ?? []).Distinct(StringComparer.Ordinal)];

    /// <summary>What holds for a scope: its own policy, completed by those above it. Of quotas the smallest.</summary>
    public RepositoryPolicy EffectiveOf(string scope)
    {
        RepositoryPolicy all = new(scope, null, null, null, null);
        foreach (Compiled above in Above(scope))
        {
            RepositoryPolicy policy = above.Policy;
            all = all with
            {
                ImmutableTags = all.ImmutableTags ?? policy.ImmutableTags,
                QuotaBytes = policy.QuotaBytes < (all.QuotaBytes ?? long.MaxValue) ? policy.QuotaBytes : all.QuotaBytes,
                AnonymousPull = all.AnonymousPull ?? policy.AnonymousPull,
                Retention = all.Retention ?? policy.Retention,
                Upstream = all.Upstream ?? policy.Upstream,
                Webhooks = policy.Webhooks is null ? all.Webhooks : [.. all.Webhooks ?? [], .. policy.Webhooks],
            };
        }

        return all;
    }

    public IReadOnlyList<RepositoryQuota> QuotasOf(string repository)
    {
        List<RepositoryQuota> quotas = [];
        foreach (Compiled policy in Above(repository))
        {
            if (policy.Policy.QuotaBytes is { } bytes)
            {
                quotas.Add(new RepositoryQuota(policy.Policy.Scope, bytes));
            }
        }

        return quotas;
    }

    private static void Check(RepositoryPolicy policy)
    {
        if (policy.Scope != Everything && !ImageReference.IsRepository(policy.Scope))
        {
            throw new BerthException(
                ErrorCode.InvalidReference,
                $"'{policy.Scope}' is not a repository: policies are for one and all below it, or for '*', "
                + "all of them.");
        }

        policy.Upstream?.Parse();
        int patterns = (policy.ImmutableTags?.Count ?? 0) + (policy.Webhooks?.Count ?? 0)
            + (policy.Retention?.Keep?.Count ?? 0) + (policy.Retention?.Among?.Count ?? 0);
        if (patterns > MaxPatterns || policy.QuotaBytes < 0 || policy.Retention?.KeepLast < 0
            || policy.Retention?.KeepFor < TimeSpan.Zero)
        {
            throw new BerthException(
                ErrorCode.InvalidRequest,
                $"A policy has at most {MaxPatterns} patterns and webhooks, and no quota, count or time below 0.");
        }
    }

    /// <summary>The policies of the repository and of all above it, nearest first.</summary>
    private IEnumerable<Compiled> Above(string repository)
    {
        ImmutableSortedDictionary<string, Compiled> all = policies;
        if (all.IsEmpty)
        {
            yield break;
        }

        for (string name = repository; ; name = name[..name.LastIndexOf('/')])
        {
            if (all.TryGetValue(name, out Compiled? found))
            {
                yield return found;
            }

            if (!name.Contains('/', StringComparison.Ordinal))
            {
                break;
            }
        }

        if (repository != Everything && all.TryGetValue(Everything, out Compiled? general))
        {
            yield return general;
        }
    }

    private Compiled? Nearest(string repository, Func<Compiled, bool> says) => Above(repository).FirstOrDefault(says);

    private void Save(ImmutableSortedDictionary<string, Compiled> next)
    {
        byte[] content = JsonSerializer.SerializeToUtf8Bytes(
            new PolicyFile(1, [.. next.Values.Select(p => p.Policy)]), PolicyJson.Default.PolicyFile);
        try
        {
            DurableFile.ReplacePrivate(path, content);
        }
        catch (IOException e) when (DurableFile.IsOfTheDisk(e))
        {
            throw DurableFile.Refusal(path, e);
        }
    }

    private sealed class Compiled(RepositoryPolicy policy)
    {
        public RepositoryPolicy Policy { get; } = policy;

        public IReadOnlyList<NamePattern> Immutable { get; } = Parse(policy.ImmutableTags);

        public RetentionRules? Retention { get; } = policy.Retention is { } r
            ? new RetentionRules(r.KeepLast, r.KeepFor, Parse(r.Keep), Parse(r.Among))
            : null;

        private static NamePattern[] Parse(IReadOnlyList<string>? patterns) =>
            [.. (patterns ?? []).Select(NamePattern.Parse)];
    }
}
