using System.Collections.Immutable;
using System.Text.Json;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Oci.Repositories;
using Berth.Registry.Mirrors;

namespace Berth.Registry.Policies;

/// <summary>
/// The policies, in one document that is replaced as a whole at every change and durable before a change is
/// acknowledged. Questions are answered from memory.
/// </summary>
public sealed class PolicyStore : IRepositoryRules, IDisposable
{
    // Each is looked at for every write below it, and the document is written whole.
    private const int MaxPolicies = 10_000;
    private const int MaxPatterns = 100;

    /// <summary>More than servers that change policies at once.</summary>
    private const int Tries = 20;

    private readonly SemaphoreSlim writing = new(1, 1);
    private readonly IPolicyDocument document;
    private readonly string place;
    private volatile ImmutableSortedDictionary<string, Compiled> policies =
        ImmutableSortedDictionary.Create<string, Compiled>(StringComparer.Ordinal);

    private PolicyStore(IPolicyDocument document, string place) => (this.document, this.place) = (document, place);

    /// <summary>Means every repository.</summary>
    public static string Everything => "*";

    /// <summary>Whether anybody may pull anything without a token.</summary>
    public bool HasAnonymous => policies.Values.Any(p => p.Policy.AnonymousPull == true);

    /// <summary>Reads them; where there are none, there are no policies.</summary>
    /// <param name="place">What the document is called where it can't be read.</param>
    public static async Task<PolicyStore> OpenAsync(
        IPolicyDocument document, string place, CancellationToken cancellationToken)
    {
        PolicyStore store = new(document, place);
        await store.ReadAsync(cancellationToken);
        return store;
    }

    /// <summary>Of one server alone.</summary>
    public static Task<PolicyStore> OpenAsync(string path, CancellationToken cancellationToken) =>
        OpenAsync(new FileOfPolicies(path), $"The file of repository policies {path}", cancellationToken);

    public IReadOnlyList<RepositoryPolicy> All() => [.. policies.Values.Select(p => p.Policy)];

    /// <summary>What is said for exactly this scope, or null.</summary>
    public RepositoryPolicy? Find(string scope) => policies.GetValueOrDefault(scope)?.Policy;

    /// <summary>Replaces what is said for a scope; a policy that says nothing removes it.</summary>
    public Task SetAsync(RepositoryPolicy policy, CancellationToken cancellationToken) =>
        SetAsync(policy.Scope, _ => policy, cancellationToken);

    /// <param name="decide">Given what is said for the scope now; asked again where another server was faster.</param>
    public Task SetAsync(
        string scope, Func<RepositoryPolicy?, RepositoryPolicy> decide, CancellationToken cancellationToken) =>
        ChangeAsync(
            before =>
            {
                RepositoryPolicy policy = decide(before.GetValueOrDefault(scope)?.Policy);
                Check(policy);
                return policy.IsEmpty ? before.Remove(scope) : before.SetItem(scope, new Compiled(policy));
            },
            cancellationToken);

    /// <summary>Takes in policies that were kept elsewhere, but for scopes that have one. Returns how many that were.
    /// </summary>
    public async Task<int> AdoptAsync(PolicyStore other, CancellationToken cancellationToken)
    {
        int adopted = 0;
        await ChangeAsync(
            before =>
            {
                KeyValuePair<string, Compiled>[] missing =
                    [.. other.policies.Where(entry => !before.ContainsKey(entry.Key))];
                adopted = missing.Length;
                return before.AddRange(missing);
            },
            cancellationToken);
        return adopted;
    }

    /// <summary>Writes what there is as it is.</summary>
    public Task RewriteAsync(CancellationToken cancellationToken) =>
        ChangeAsync(static same => same, cancellationToken);

    /// <summary>Takes in what others have changed.</summary>
    public async Task RefreshAsync(CancellationToken cancellationToken)
    {
        await writing.WaitAsync(cancellationToken);
        try
        {
            await ReadAsync(cancellationToken);
        }
        finally
        {
            writing.Release();
        }
    }

    public void Dispose() => writing.Dispose();

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

    /// <summary>Decides and writes, one at a time here, and anew after each change of another's.</summary>
    private async Task ChangeAsync(
        Func<ImmutableSortedDictionary<string, Compiled>, ImmutableSortedDictionary<string, Compiled>> change,
        CancellationToken cancellationToken)
    {
        await writing.WaitAsync(cancellationToken);
        try
        {
            for (int tries = 0; tries < Tries; tries++)
            {
                ImmutableSortedDictionary<string, Compiled> next = change(policies);
                if (next.Count > MaxPolicies)
                {
                    throw new BerthException(
                        ErrorCode.Conflict, $"There are {MaxPolicies} policies already: say more in fewer of them.");
                }

                byte[] content = JsonSerializer.SerializeToUtf8Bytes(
                    new PolicyFile(1, [.. next.Values.Select(p => p.Policy)]), PolicyJson.Default.PolicyFile);
                if (await document.TryWriteAsync(content, cancellationToken))
                {
                    policies = next;
                    return;
                }

                await ReadAsync(cancellationToken);
            }
        }
        finally
        {
            writing.Release();
        }

        throw new BerthException(
            ErrorCode.Conflict, $"Another server has changed the policies {Tries} times in a row: try again.");
    }

    private async Task ReadAsync(CancellationToken cancellationToken)
    {
        IReadOnlyList<RepositoryPolicy> read = [];
        if (await document.ReadAsync(cancellationToken) is { } content)
        {
            try
            {
                read = JsonSerializer.Deserialize(content, PolicyJson.Default.PolicyFile)?.Policies
                    ?? throw new JsonException("it is empty");
            }
            catch (JsonException e)
            {
                throw new BerthException(
                    ErrorCode.InvalidConfiguration,
                    $"{place} can't be read ({e.Message}). Restore it, or delete it to start without quotas, immutable "
                    + "tags and retention.", e);
            }
        }

        policies = read.ToImmutableSortedDictionary(p => p.Scope, p => new Compiled(p), StringComparer.Ordinal);
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
