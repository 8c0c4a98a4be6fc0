using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using Berth.Api.Functions;
using Berth.Commands.Images;
using Berth.Commands.Runs;
using Berth.Commands.Output;
using Berth.Core.Errors;

namespace Berth.Commands.Functions;

internal sealed class RevisionsCommand : Verb
{
    private readonly FunctionArgument function = new();
    private readonly OutputOption output = new();

    public RevisionsCommand()
        : base(
            "revisions", "List the revisions of a function that are kept, newest first",
            new("berth function revisions thumbnail", "And what of the calls each gets"),
            new("berth function revisions -o json thumbnail", "With all their settings"))
    {
        Add(output);
        Add(function);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        IReadOnlyList<RevisionView> revisions = await session.Client.Functions.RevisionsAsync(
            session.Get(function), cancellationToken);
        if (session.Get(output) == "json")
        {
            JsonOutput.Write(session.Terminal, new RevisionList(revisions), FunctionJson.Default.RevisionList);
            return 0;
        }

        Table table = new(
            new("REVISION", Right: true), new("TRAFFIC", Right: true), new("TAGS"), new("CALLS", Right: true),
            new("FAILED", Right: true), new("P95", Right: true), new("IMAGE"), new("DIGEST"),
            new("BY"), new("CREATED"));
        foreach (RevisionView revision in revisions)
        {
            table.Add(
                revision.Number.ToString(CultureInfo.InvariantCulture),
                revision.Percent.ToString(CultureInfo.InvariantCulture) + "%", string.Join(", ", revision.Tags),
                revision.Calls?.Calls.ToString("N0", CultureInfo.InvariantCulture),
                revision.Calls?.Failed.ToString("N0", CultureInfo.InvariantCulture),
                Wording.Milliseconds(revision.Calls?.P95Ms),
                revision.Spec.Image ?? "", ImageListCommand.ShortDigest(revision.ImageDigest), revision.Caller,
                Wording.Age(revision.CreatedAt, session.Terminal.Time.GetUtcNow()));
        }

        table.Write(session.Terminal);
        return 0;
    }
}

internal sealed class FunctionDiffCommand : Verb
{
    private readonly FunctionArgument function = new();
    private readonly Argument<int?> from = new("from")
    {
        Description = "Number of the older revision; the one before the newest if not given",
        Arity = ArgumentArity.ZeroOrOne,
    };

    private readonly Argument<int?> to = new("to")
    {
        Description = "Number of the newer revision; the newest if not given",
        Arity = ArgumentArity.ZeroOrOne,
    };

    public FunctionDiffCommand()
        : base(
            "diff", "Show what differs between two revisions",
            new("berth function diff thumbnail", "What the last change was"),
            new("berth function diff thumbnail 3 5", "Between these"))
    {
        Add(function);
        Add(from);
        Add(to);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        string name = session.Get(function);
        IReadOnlyList<RevisionView> revisions = await session.Client.Functions.RevisionsAsync(name, cancellationToken);
        int newer = session.Result.GetValue(to) ?? revisions[0].Number;
        int older = session.Result.GetValue(from)
            ?? revisions.FirstOrDefault(r => r.Number < newer)?.Number
            ?? throw new BerthException(
                ErrorCode.NotFound, $"Function '{name}' has no revision before {newer} that is kept.");
        JsonObject left = SettingsOf(name, revisions, older);
        JsonObject right = SettingsOf(name, revisions, newer);
        Table table = new(
            new("SETTING"), new(string.Create(CultureInfo.InvariantCulture, $"REVISION {older}")),
            new(string.Create(CultureInfo.InvariantCulture, $"REVISION {newer}")));
        foreach (string member in left.Select(m => m.Key).Union(right.Select(m => m.Key)))
        {
            if (!JsonNode.DeepEquals(left[member], right[member]))
            {
                table.Add(member, SettingTable.Text(left[member]), SettingTable.Text(right[member]));
            }
        }

        table.Write(session.Terminal);
        return 0;
    }

    private static JsonObject SettingsOf(string name, IReadOnlyList<RevisionView> revisions, int number)
    {
        RevisionView revision = revisions.FirstOrDefault(r => r.Number == number)
            ?? throw new BerthException(
                ErrorCode.NotFound,
                $"Function '{name}' has no revision {number}: it has "
                + $"{string.Join(", ", revisions.Select(r => r.Number).Order())}.");
        return SettingTable.Of(revision.Spec, revision.ImageDigest);
    }
}

internal sealed class RollbackCommand : Verb
{
    private readonly FunctionArgument function = new();
    private readonly Argument<int?> revision = new("revision")
    {
        Description = "Number of the revision that gets all calls; what was before the last change if not given",
        Arity = ArgumentArity.ZeroOrOne,
    };

    public RollbackCommand()
        : base(
            "rollback", "Send the calls where they went before the last change",
            new("berth function rollback thumbnail", "Done again, it takes itself back"),
            new("berth function rollback thumbnail 3", "To this revision"))
    {
        Add(function);
        Add(revision);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        FunctionView view = await session.Client.Functions.RollBackAsync(
            session.Get(function), session.Result.GetValue(revision), cancellationToken);
        session.Say($"Function {view.Name}: {FunctionCommands.Shares(view.Traffic)}.");
        return 0;
    }
}
