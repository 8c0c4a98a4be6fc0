using System.CommandLine;
using Berth.Api.Runs;
using Berth.Commands.Output;
using Berth.Commands.Runs;

namespace Berth.Commands.Tasks;

/// <summary><c>berth dlq</c>: tasks that failed for good.</summary>
internal static class DeadLetterCommands
{
    public static Noun All() => new(
        "dlq", "See to dead letters: tasks that failed and are not tried again",
        [
            new("berth dlq ls --function thumbnail", "What failed, newest first"),
            new("berth dlq ls -q | xargs -r berth dlq redrive", "Send all again"),
        ],
        new DeadLetterListCommand(), WhyCommand.OfDeadLetter(), new RedriveCommand(), new PurgeCommand());
}

internal sealed class DeadLetterListCommand : Verb
{
    private readonly OutputOption output = new();
    private readonly QuietOption quiet = new("Print ids only");
    private readonly Option<string?> function = new("--function")
    {
        HelpName = "FUNCTION",
        Description = "Only calls of this function",
    };

    private readonly Option<string?> limit = new("--limit", "-n")
    {
        HelpName = "N",
        Description = "At most this many (default 50)",
    };

    public DeadLetterListCommand()
        : base(
            "ls", "List dead letters, newest first",
            new("berth dlq ls --function thumbnail", "Of one function"),
            new("berth dlq ls -o json | jq -r .message", "Why they failed"))
    {
        foreach (Option option in (Option[])[output, quiet, function, limit])
        {
            Add(option);
        }
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        int most = RunSettings.Parse(session, limit, RunSettings.ParseNumber) ?? 50;
        IAsyncEnumerable<RunView> runs = session.Client.Runs.DeadLettersAsync(
            session.Get(function), most, cancellationToken);
        if (session.Get(output) == "json")
        {
            await JsonOutput.WriteAsync(session.Terminal, runs, RunJson.Default.RunView, cancellationToken);
            return 0;
        }

        Table table = RunText.NewTable();
        await foreach (RunView run in runs)
        {
            if (session.Get(quiet))
            {
                await session.Terminal.Out.WriteLineAsync(run.Id);
            }

            RunText.AddTo(table, run, session.Terminal.Time.GetUtcNow());
        }

        if (!session.Get(quiet))
        {
            table.Write(session.Terminal);
        }

        return 0;
    }
}

internal sealed class RedriveCommand : SeveralCommand
{
    public RedriveCommand()
        : base(
            new("id") { Description = "Ids of the dead letters" },
            "redrive", "Send dead letters again, as new tasks of what their function is now, and print the tasks' ids",
            new("berth dlq redrive 01jd3v8k2m7q9x4r5t6w0y1z2b", "One of them"),
            new("berth dlq ls -q --function thumbnail | xargs -r berth dlq redrive", "All of a function"))
    {
    }

    protected override async Task SeeToAsync(Session session, string id, CancellationToken cancellationToken)
    {
        RunView run = await session.Client.Runs.RedriveAsync(id, cancellationToken);
        await session.Terminal.Out.WriteLineAsync(run.Id);
    }
}

internal sealed class PurgeCommand : SeveralCommand
{
    public PurgeCommand()
        : base(
            new("id") { Description = "Ids of the dead letters" },
            "purge", "Strike dead letters off and delete their inputs; their records stay",
            new("berth dlq purge 01jd3v8k2m7q9x4r5t6w0y1z2b", "One of them"),
            new("berth dlq ls -q | xargs -r berth dlq purge", "All"))
    {
    }

    protected override async Task SeeToAsync(Session session, string id, CancellationToken cancellationToken)
    {
        await session.Client.Runs.PurgeAsync(id, cancellationToken);
        await session.Terminal.Out.WriteLineAsync(id);
    }
}
