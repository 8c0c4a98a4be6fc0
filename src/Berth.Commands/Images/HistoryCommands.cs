using System.CommandLine;
using System.Text.Json.Serialization;
using Berth.Api.Images;
using Berth.Commands.Output;

namespace Berth.Commands.Images;

/// <summary><c>berth image history</c>: the steps that an image was made by.</summary>
internal sealed class HistoryCommand : Verb
{
    private const int Width = 60;

    private readonly Argument<string> reference = new("image") { Description = "Image, by tag or digest" };
    private readonly Option<bool> whole = new("--no-trunc") { Description = "Print the steps whole" };
    private readonly OutputOption output = new();

    public HistoryCommand()
        : base(
            "history", "Show the steps that an image was made by, the last first",
            new("berth image history demo/app", "For people"),
            new("berth image history -o json demo/app | jq '.[].createdBy'", "For programs"))
    {
        Add(reference);
        Add(whole);
        Add(output);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        ImageDetail detail = await session.Client.Images.GetAsync(session.Get(reference), cancellationToken);
        HistoryView[] steps = [.. (detail.History ?? []).Reverse()];
        if (session.Get(output) == "json")
        {
            JsonOutput.Write(session.Terminal, steps, HistoryJson.Default.HistoryViewArray);
            return 0;
        }

        DateTimeOffset now = session.Terminal.Time.GetUtcNow();
        Table table = new(new("LAYER"), new("CREATED"), new("SIZE", Right: true), new("CREATED BY"), new("COMMENT"));
        foreach (HistoryView step in steps)
        {
            string made = step.CreatedBy ?? "";
            table.Add(
                step.Layer is null ? "" : ImageListCommand.ShortDigest(step.Layer),
                DateTimeOffset.TryParse(step.Created, out DateTimeOffset at) ? Wording.Age(at, now) : step.Created,
                step.Layer is null ? "" : Wording.Bytes(step.Size),
                made.Length > Width && !session.Get(whole) ? made[..(Width - 1)] + "…" : made, step.Comment);
        }

        table.Write(session.Terminal);
        return 0;
    }
}

/// <summary><c>berth image diff</c>: what an image adds, changes and deletes.</summary>
internal sealed class DiffCommand : Verb
{
    private readonly Argument<string> reference = new("image") { Description = "Image, by tag or digest" };
    private readonly Argument<string?> below = new("base")
    {
        Description = "Image to compare it with; the layers below its last one if left out",
        Arity = ArgumentArity.ZeroOrOne,
    };

    private readonly Option<int?> layer = new("--layer")
    {
        HelpName = "N",
        Description = "What this layer does to those below it; 1 is the lowest",
    };

    private readonly OutputOption output = new();

    public DiffCommand()
        : base(
            "diff", "Show what an image adds (A), changes (C) and deletes (D)",
            new("berth image diff demo/app:2 demo/app:1", "To another image"),
            new("berth image diff demo/app", "Its last layer to those below"),
            new("berth image diff demo/app --layer 1", "Its lowest layer: all files of the base"))
    {
        Add(reference);
        Add(below);
        Add(layer);
        Add(output);
        layer.Validators.Add(result =>
        {
            if (!result.Implicit && result.GetResult(below) is { Tokens.Count: > 0 })
            {
                result.AddError("--layer and a base can't be used together: each says what to compare with.");
            }
        });
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        ImageDiff diff = await session.Client.Images.DiffAsync(
            session.Get(reference), session.Result.GetValue(below), session.Get(layer), cancellationToken);
        if (session.Get(output) == "json")
        {
            JsonOutput.Write(session.Terminal, diff, ImageJson.Default.ImageDiff);
            return 0;
        }

        foreach (FileChangeView change in diff.Changes)
        {
            await session.Terminal.Out.WriteLineAsync($"{char.ToUpperInvariant(change.Change[0])} /{change.Path}");
        }

        if (diff.Truncated)
        {
            session.Say($"There are more than these {diff.Changes.Count} changes.");
        }

        return 0;
    }
}

/// <summary><c>berth image prune</c>: removes what no tag names.</summary>
internal sealed class PruneCommand : Verb
{
    private readonly Option<string?> olderThan = new("--older-than")
    {
        HelpName = "TIME",
        Description = "Only images pushed longer ago than this, such as 24h",
    };

    private readonly Option<bool> dryRun = new("--dry-run") { Description = "Only print what would be removed" };
    private readonly OutputOption output = new();

    public PruneCommand()
        : base(
            "prune", "Remove images without a tag, and the content that only they had",
            new("berth image prune --dry-run", "What would go"),
            new("berth image prune --older-than 7d", "Not what was pushed this week"))
    {
        Add(olderThan);
        Add(dryRun);
        Add(output);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        PruneReport report = await session.Client.Images.PruneAsync(
            new PruneRequest(session.Get(olderThan), session.Get(dryRun)), cancellationToken);
        if (session.Get(output) == "json")
        {
            JsonOutput.Write(session.Terminal, report, ImageJson.Default.PruneReport);
            return 0;
        }

        foreach (PrunedImage image in report.Removed)
        {
            await session.Terminal.Out.WriteLineAsync($"{image.Repository}@{image.Digest}");
        }

        session.Say(report.DryRun
            ? $"{report.Removed.Count} images would be removed"
            : $"{report.Removed.Count} images removed, {Wording.Bytes(report.Bytes)} freed");
        return 0;
    }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(HistoryView[]))]
internal sealed partial class HistoryJson : JsonSerializerContext;
