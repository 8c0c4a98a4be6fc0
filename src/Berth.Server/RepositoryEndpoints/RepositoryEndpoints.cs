using Berth.Api.Repositories;
using Berth.Core.Callbacks;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Oci.Repositories;
using Berth.Registry.Policies;
using Berth.Server.Hosting;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.RepositoryEndpoints;

/// <summary>Lists repositories, says and changes what is asked of them, and applies retention.</summary>
internal sealed class RepositoryEndpoints(
    RepositoryStore repositories, PolicyStore policies, RetentionPass retention, CallbackPolicy callbacks)
{
    private const int DefaultLimit = 100;
    private const int MaxLimit = 1000;

    public async Task ListAsync(HttpContext context)
    {
        QueryText query = new(context.Request, "limit", "cursor");
        int limit = query.Number("limit", 1, MaxLimit, DefaultLimit);
        string[] names = [.. repositories.Names(query.Find("cursor")).Take(limit + 1)];
        RepositoryPage page = new(
            [.. names.Take(limit).Select(n => new RepositoryView(n, TagsOf(n), repositories.BytesOf(n)))],
            [.. policies.All().Select(p => new ScopedPolicy(p.Scope, PolicyText.Write(p)))],
            names.Length > limit ? names[limit - 1] : null);
        await JsonBody.WriteAsync(context, page, RepositoryJson.Default.RepositoryPage);
    }

    public Task GetAsync(HttpContext context)
    {
        RepositoryDetail detail = Describe(ScopeOf(context));
        return detail is { Repositories: 0, Policy: null }
            ? throw Unknown(detail.Scope)
            : JsonBody.WriteAsync(context, detail, RepositoryJson.Default.RepositoryDetail);
    }

    public async Task SetAsync(HttpContext context)
    {
        string scope = ScopeOf(context);
        PolicyView wanted = await JsonBody.ReadAsync(context, RepositoryJson.Default.PolicyView);
        foreach (string webhook in wanted.Webhooks ?? [])
        {
            callbacks.Check(
                WebAddress.TryParse(webhook, out Uri? url)
                    ? url
                    : throw new BerthException(
                        ErrorCode.CallbackForbidden, $"The webhook '{webhook}' is not an absolute http or https URL."));
        }

        await policies.SetAsync(
            scope, before => PolicyText.Read(scope, wanted, before), context.RequestAborted);
        await JsonBody.WriteAsync(context, Describe(scope), RepositoryJson.Default.RepositoryDetail);
    }

    public Task DeleteAsync(HttpContext context)
    {
        string repository = ScopeOf(context);
        if (!repositories.Exists(repository))
        {
            throw Unknown(repository);
        }

        // All or, with an immutable tag, nothing: which they are is asked before the first goes.
        if (repositories.Tags(repository, null, int.MaxValue - 1)?.Entries
            .FirstOrDefault(t => policies.IsImmutable(repository, t.Tag)) is { } kept)
        {
            throw new BerthException(
                ErrorCode.TagImmutable,
                $"The tag {repository}:{kept.Tag} is immutable, so the repository can't be removed: change the policy "
                + "first with 'berth repository set'.");
        }

        foreach (ManifestLink manifest in repositories.Manifests(repository))
        {
            repositories.DeleteManifest(repository, manifest.Digest);
        }

        context.Response.StatusCode = StatusCodes.Status204NoContent;
        return Task.CompletedTask;
    }

    public async Task RetainAsync(HttpContext context)
    {
        RetentionRequest request = await JsonBody.ReadAsync(context, RepositoryJson.Default.RetentionRequest);
        IReadOnlyList<RetentionRemoval> removed = request.DryRun
            ? retention.Plan(request.Scope)
            : await retention.RunAsync(request.Scope, context.RequestAborted);
        RetentionReport report = new(
            request.DryRun,
            [.. removed.Select(r => new RetiredTag(r.Repository, r.Tag, r.Digest.Text, r.TaggedAt))]);
        await JsonBody.WriteAsync(context, report, RepositoryJson.Default.RetentionReport);
    }

    private static string ScopeOf(HttpContext context)
    {
        string scope = (string)context.Request.RouteValues["scope"]!;
        return scope == PolicyStore.Everything || ImageReference.IsRepository(scope)
            ? scope
            : throw new BerthException(
                ErrorCode.InvalidReference, $"'{scope}' is neither a repository's name nor '*', all of them.");
    }

    private static BerthException Unknown(string scope) => new(
        ErrorCode.NotFound,
        $"There is no repository '{scope}', and no policy for it: 'berth repository ls' lists what there is.");

    private int TagsOf(string repository) =>
        repositories.Tags(repository, null, int.MaxValue - 1)?.Entries.Count ?? 0;

    private RepositoryDetail Describe(string scope)
    {
        RepositoryQuota below = new(scope, 0);
        string[] held = [.. repositories.Names().Where(below.Covers)];
        RepositoryPolicy? own = policies.Find(scope);
        return new RepositoryDetail(
            scope, held.Length, held.Sum(TagsOf), held.Sum(repositories.BytesOf),
            own is null ? null : PolicyText.Write(own), PolicyText.Write(policies.EffectiveOf(scope)),
            [.. policies.QuotasOf(scope).Select(q => new QuotaView(q.Scope, q.Bytes, repositories.BytesOf(q)))]);
    }
}
