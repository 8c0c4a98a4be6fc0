using System.CommandLine;
using Berth.Api.Repositories;
using Berth.Core.Errors;

namespace Berth.Commands.Repositories;

/// <summary><c>berth repository set</c>: changes what is said and leaves the rest of the policy as it is.</summary>
internal sealed class RepositorySetCommand : Verb
{
    private readonly Argument<string> scope = new("repository")
    {
        Description = "A repository, which means it and all below it, or * for all",
    };

    private readonly Option<string?> quota = new("--quota")
    {
        HelpName = "SIZE|none",
        Description = "The most content that all below may hold together, such as 10GiB",
    };

    private readonly Option<string[]> immutable = new("--immutable")
    {
        HelpName = "PATTERN|none",
        Description = "Tags that are neither moved nor removed, such as 'v*'; may be repeated",
    };

    private readonly Option<string?> anonymous = new("--anonymous-pull")
    {
        HelpName = "true|false|none",
        Description = "Whether everybody may pull, without a token",
    };

    private readonly Option<int?> keepLast = new("--keep-last")
    {
        HelpName = "N",
        Description = "Retention: keep the so many newest tags",
    };

    private readonly Option<string?> keepFor = new("--keep-for")
    {
        HelpName = "TIME",
        Description = "Retention: keep tags younger than this, such as 30d",
    };

    private readonly Option<string[]> keep = new("--keep")
    {
        HelpName = "PATTERN",
        Description = "Retention: keep tags that match, too; may be repeated",
    };

    private readonly Option<string[]> among = new("--among")
    {
        HelpName = "PATTERN",
        Description = "Retention: the tags that it is about; all if left out; may be repeated",
    };

    private readonly Option<bool> noRetention = new("--no-retention") { Description = "Remove the retention rules" };
    private readonly Option<string?> mirror = new("--mirror")
    {
        HelpName = "URL|none",
        Description = "Be a cache of another registry; pushing ends then",
    };

    private readonly Option<string?> mirrorUser = new("--mirror-username")
    {
        HelpName = "NAME",
        Description = "User name at that registry; the password is read from BERTH_REGISTRY_PASSWORD",
    };

    private readonly Option<string[]> webhooks = new("--webhook")
    {
        HelpName = "URL|none",
        Description = "Who is told of tags that are pushed and removed; may be repeated",
    };

    private readonly Option<bool> clear = new("--clear") { Description = "Remove the whole policy first" };
    private readonly OutputOption output = new();

    public RepositorySetCommand()
        : base(
            "set", "Set what is asked of a repository and all below it; what is not named stays as it is",
            new("berth repository set team --quota 10GiB", "The most that all of team's repositories hold together"),
            new("berth repository set team/app --immutable 'v*' --immutable release-*", "Tags that stay what they are"),
            new("berth repository set team/ci --keep-last 10 --keep 'v*'", "Remove all but these, every few minutes"),
            new("berth repository set public --anonymous-pull true", "Everybody may pull from public and below"),
            new("berth repository set team --webhook https://ci.example.org/pushed", "Tell another program of pushes"),
            new("berth repository set hub --mirror https://registry-1.docker.io", "hub/library/debian is Docker Hub's"),
            new("berth repository set team --clear", "No policy any more"))
    {
        Add(scope);
        anonymous.AcceptOnlyFromAmong("true", "false", "none");
        foreach (
            Option option in (Option[])[
                quota, immutable, anonymous, keepLast, keepFor, keep, among, noRetention, mirror, mirrorUser,
                webhooks, clear, output])
        {
            Add(option);
        }
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        string name = session.Get(scope);
        PolicyView policy = session.Get(clear)
            ? new PolicyView()
            : await CurrentAsync(session, name, cancellationToken);
        policy = Change(session, policy);
        RepositoryDetail detail = await session.Client.Repositories.SetAsync(name, policy, cancellationToken);
        RepositoryShowCommand.Write(session, detail, session.Get(output) == "json");
        return 0;
    }

    private static async Task<PolicyView> CurrentAsync(
        Session session, string scope, CancellationToken cancellationToken)
    {
        try
        {
            return (await session.Client.Repositories.GetAsync(scope, cancellationToken)).Policy ?? new PolicyView();
        }
        catch (BerthException e) when (e.Code == ErrorCode.NotFound)
        {
            // A policy may come before the first image.
            return new PolicyView();
        }
    }

    private PolicyView Change(Session session, PolicyView policy)
    {
        if (session.Get(quota) is { } size)
        {
            policy = policy with { Quota = size == "none" ? null : size };
        }

        if (session.Get(immutable) is { Length: > 0 } tags)
        {
            policy = policy with { ImmutableTags = tags is ["none"] ? null : tags };
        }

        if (session.Get(anonymous) is { } word)
        {
            policy = policy with { AnonymousPull = word == "none" ? null : word == "true" };
        }

        if (session.Get(mirror) is { } url)
        {
            policy = policy with
            {
                Upstream = url == "none" ? null : new UpstreamView(
                    url, session.Get(mirrorUser), session.Terminal.Variable("BERTH_REGISTRY_PASSWORD")),
            };
        }

        if (session.Get(webhooks) is { Length: > 0 } urls)
        {
            policy = policy with { Webhooks = urls is ["none"] ? null : urls };
        }

        return policy with { Retention = ChangeRetention(session, policy.Retention) };
    }

    private RetentionView? ChangeRetention(Session session, RetentionView? rules)
    {
        if (session.Get(noRetention))
        {
            return null;
        }

        int? count = session.Get(keepLast);
        string? time = session.Get(keepFor);
        string[] kept = session.Get(keep) ?? [];
        string[] concerned = session.Get(among) ?? [];
        if (count is null && time is null && kept.Length == 0 && concerned.Length == 0)
        {
            return rules;
        }

        rules ??= new RetentionView();
        return rules with
        {
            KeepLast = count ?? rules.KeepLast,
            KeepFor = time ?? rules.KeepFor,
            Keep = kept.Length > 0 ? kept : rules.Keep,
            Among = concerned.Length > 0 ? concerned : rules.Among,
        };
    }
}
