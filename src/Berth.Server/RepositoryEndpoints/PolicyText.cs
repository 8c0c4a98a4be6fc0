using Berth.Api.Repositories;
using Berth.Core.Errors;
using Berth.Core.Resources;
using Berth.Registry.Mirrors;
using Berth.Registry.Policies;

namespace Berth.Server.RepositoryEndpoints;

/// <summary>A policy as it is kept, and as people write it.</summary>
internal static class PolicyText
{
    /// <param name="before">What is replaced: a password that is not sent stays.</param>
    public static RepositoryPolicy Read(string scope, PolicyView view, RepositoryPolicy? before)
    {
        RetentionView? retention = view.Retention;
        if (retention is { KeepLast: null, KeepFor: null })
        {
            throw new BerthException(
                ErrorCode.InvalidRequest,
                "A retention needs keepLast or keepFor: names to keep alone would remove whatever is pushed next.");
        }

        return new RepositoryPolicy(
            scope, view.ImmutableTags, view.Quota is null ? null : ByteSize.Parse(view.Quota).Bytes, view.AnonymousPull,
            retention is null ? null : new RetentionPolicy(
                retention.KeepLast, retention.KeepFor is null ? null : Duration.Parse(retention.KeepFor),
                retention.Keep, retention.Among),
            view.Upstream is { } upstream
                ? new UpstreamPolicy(
                    upstream.Url ?? "", upstream.Username, upstream.Password ?? PasswordOf(upstream, before?.Upstream))
                : null,
            view.Webhooks);
    }

    public static PolicyView Write(RepositoryPolicy policy) => new(
        policy.ImmutableTags,
        policy.QuotaBytes is { } bytes ? Exact(bytes) : null,
        policy.AnonymousPull,
        policy.Retention is { } retention
            ? new RetentionView(
                retention.KeepLast, retention.KeepFor is { } time ? Duration.Format(time) : null, retention.Keep,
                retention.Among)
            : null,
        policy.Upstream is { } upstream ? new UpstreamView(upstream.Url, upstream.Username) : null,
        policy.Webhooks);

    private static string? PasswordOf(UpstreamView asked, UpstreamPolicy? before) =>
        before is not null && before.Url == asked.Url && before.Username == asked.Username ? before.Password : null;

    /// <summary>In the largest unit that takes nothing off it.</summary>
    private static string Exact(long bytes)
    {
        (string, long)[] units = [("TiB", 1L << 40), ("GiB", 1L << 30), ("MiB", 1L << 20), ("KiB", 1L << 10)];
        foreach ((string name, long size) in units)
        {
            if (bytes > 0 && bytes % size == 0)
            {
                return $"{bytes / size}{name}";
            }
        }

        return $"{bytes}B";
    }
}
