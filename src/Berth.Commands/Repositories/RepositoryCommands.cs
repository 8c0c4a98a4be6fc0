using System.CommandLine;
using Berth.Api.Repositories;
using Berth.Commands.Output;
using Berth.Commands.Terminals;

namespace Berth.Commands.Repositories;

/// <summary><c>berth repository</c>: what the registry holds, and what is asked of it.</summary>
internal static class RepositoryCommands
{
    public static Noun All() => new(
        "repository", "See repositories; set quotas, immutable tags, retention and anonymous pulling",
        [
            new("berth repository ls", "Which there are and how large they are"),
            new("berth repository set team --quota 10GiB --immutable 'v*'", "For team and all below it"),
            new("berth repository retention --dry-run", "Which tags retention would remove"),
        ],
        new RepositoryListCommand(), new RepositoryShowCommand(), new RepositorySetCommand(), new RetentionCommand(),
        new RepositoryRemoveCommand());

    /// <summary>A policy as one line.</summary>
    public static string Line(PolicyView? policy)
    {
        List<string> parts = [];
        if (policy?.Quota is { } quota)
        {
            parts.Add($"quota {quota}");
        }

        if (policy?.ImmutableTags is { Count: > 0 } immutable)
        {
            parts.Add($"immutable {string.Join(' ', immutable)}");
        }

        if (policy?.AnonymousPull is { } anonymous)
        {
            parts.Add(anonymous ? "anonymous pull" : "no anonymous pull");
        }

        if (policy?.Upstream is { } upstream)
        {
            parts.Add($"cache of {upstream.Url}");
        }

        if (policy?.Webhooks is { Count: > 0 } webhooks)
        {
            parts.Add($"tells {string.Join(' ', webhooks)}");
        }

        if (policy?.Retention is { } retention)
        {
            parts.Add(Line(retention));
        }

        return string.Join("; ", parts);
    }

    private static string Line(RetentionView retention)
    {
        List<string> kept = [];
        if (retention.KeepLast is { } count)
        {
            kept.Add($"the newest {count}");
        }

        if (retention.KeepFor is { } time)
        {
            kept.Add($"those younger than {time}");
        }

        if (retention.Keep is { Count: > 0 } names)
        {
            kept.Add(string.Join(' ', names));
        }

        string among = retention.Among is { Count: > 0 } concerned ? $" of {string.Join(' ', concerned)}" : "";
        return $"keep {string.Join(" and ", kept)}{among}";
    }
}

internal sealed class RepositoryListCommand : Verb
{
    private readonly OutputOption output = new();
    private readonly QuietOption quiet = new("Print names only");

    public RepositoryListCommand()
        : base(
            "ls", "List repositories, and the policies there are",
            new("berth repository ls", "As a table"),
            new("berth repository ls -o json | jq '.[].repositories[].bytes'", "For programs"))
    {
        Add(output);
        Add(quiet);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        Terminal terminal = session.Terminal;
        IAsyncEnumerable<RepositoryPage> pages = session.Client.Repositories.ListAsync(cancellationToken);
        if (session.Get(output) == "json")
        {
            await JsonOutput.WriteAsync(terminal, pages, RepositoryJson.Default.RepositoryPage, cancellationToken);
            return 0;
        }

        Table table = new(new("REPOSITORY"), new("TAGS", Right: true), new("SIZE", Right: true));
        Table policies = new(new("SCOPE"), new("POLICY"));
        bool first = true;
        await foreach (RepositoryPage page in pages)
        {
            foreach (RepositoryView repository in page.Repositories)
            {
                if (session.Get(quiet))
                {
                    await terminal.Out.WriteLineAsync(repository.Name);
                }

                table.Add(repository.Name, $"{repository.Tags}", Wording.Bytes(repository.Bytes));
            }

            foreach (ScopedPolicy policy in first ? page.Policies : [])
            {
                policies.Add(policy.Scope, RepositoryCommands.Line(policy.Policy));
            }

            first = false;
        }

        if (!session.Get(quiet))
        {
            table.Write(terminal);
            await terminal.Out.WriteLineAsync();
            policies.Write(terminal);
        }

        return 0;
    }
}

internal sealed class RepositoryShowCommand : Verb
{
    private readonly Argument<string> scope = new("repository")
    {
        Description = "A repository, what is above some, or * for all",
    };

    private readonly OutputOption output = new();

    public RepositoryShowCommand()
        : base(
            "show", "Show a repository: its size, its policy, and how much of its quotas is used",
            new("berth repository show team/app", "One repository"),
            new("berth repository show '*'", "All together"))
    {
        Add(scope);
        Add(output);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        RepositoryDetail detail = await session.Client.Repositories.GetAsync(session.Get(scope), cancellationToken);
        Write(session, detail, session.Get(output) == "json");
        return 0;
    }

    public static void Write(Session session, RepositoryDetail detail, bool json)
    {
        Terminal terminal = session.Terminal;
        if (json)
        {
            JsonOutput.Write(terminal, detail, RepositoryJson.Default.RepositoryDetail);
            return;
        }

        terminal.Out.WriteLine($"Scope         {detail.Scope}");
        terminal.Out.WriteLine($"Repositories  {detail.Repositories}");
        terminal.Out.WriteLine($"Tags          {detail.Tags}");
        terminal.Out.WriteLine($"Size          {Wording.Bytes(detail.Bytes)}");
        terminal.Out.WriteLine($"Own policy    {OrNone(RepositoryCommands.Line(detail.Policy))}");
        terminal.Out.WriteLine($"In force      {OrNone(RepositoryCommands.Line(detail.Effective))}");
        foreach (QuotaView quota in detail.Quotas)
        {
            terminal.Out.WriteLine(
                $"Quota         {Wording.Bytes(quota.Used)} of {Wording.Bytes(quota.Bytes)} used by {quota.Scope}");
        }
    }

    private static string OrNone(string line) => line.Length == 0 ? "none" : line;
}

internal sealed class RepositoryRemoveCommand : SeveralCommand
{
    public RepositoryRemoveCommand()
        : base(
            new("repository") { Description = "Repositories whose images are removed" },
            "rm", "Remove all images of a repository; its policy stays",
            new Example("berth repository rm team/old", "All tags and what they name"))
    {
    }

    protected override async Task SeeToAsync(Session session, string repository, CancellationToken cancellationToken)
    {
        await session.Client.Repositories.RemoveAsync(repository, cancellationToken);
        session.Say($"Removed {repository}");
    }
}

internal sealed class RetentionCommand : Verb
{
    private readonly Argument<string?> scope = new("repository")
    {
        Description = "A repository and all below it; all of them if left out",
        Arity = ArgumentArity.ZeroOrOne,
    };

    private readonly Option<bool> dryRun = new("--dry-run") { Description = "Only print what would be removed" };
    private readonly OutputOption output = new();

    public RetentionCommand()
        : base(
            "retention", "Remove the tags that no retention rule keeps; the server also does it by itself",
            new("berth repository retention --dry-run", "What would go"),
            new("berth repository retention team", "Now, for team and all below it"))
    {
        Add(scope);
        Add(dryRun);
        Add(output);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        RetentionReport report = await session.Client.Repositories.RetainAsync(
            new RetentionRequest(session.Result.GetValue(scope), session.Get(dryRun)), cancellationToken);
        if (session.Get(output) == "json")
        {
            JsonOutput.Write(session.Terminal, report, RepositoryJson.Default.RetentionReport);
            return 0;
        }

        foreach (RetiredTag tag in report.Removed)
        {
            await session.Terminal.Out.WriteLineAsync($"{tag.Repository}:{tag.Tag}");
        }

        session.Say($"{report.Removed.Count} tags {(report.DryRun ? "would be removed" : "removed")}");
        return 0;
    }
}
