using System.CommandLine;
using System.Globalization;
using Berth.Api.Client;
using Berth.Api.Runs;
using Berth.Commands.Containers;
using Berth.Commands.Output;
using Berth.Commands.Terminals;
using Berth.Core.Resources;
using Berth.Core.Runs;

namespace Berth.Commands.Runs;

/// <summary><c>berth logs</c> and <c>berth task logs</c>: what a container wrote, or a run to standard error.
/// </summary>
internal sealed class LogsCommand : Verb
{
    private readonly Argument<string> id = new("id")
    {
        Description = "Name or id of a container, or id of a run",
    };

    private readonly Option<bool> follow = new("--follow", "-f") { Description = "Go on until it has ended" };
    private readonly Option<string?> tail = new("--tail", "-n")
    {
        HelpName = "LINES",
        Description = "Only the last lines",
    };

    private readonly Option<bool> timestamps = new("--timestamps", "-t")
    {
        Description = "Put the time before each line",
    };

    private readonly Option<string?> since = new("--since")
    {
        HelpName = "TIME",
        Description = "Only what was written in this last length of time, for instance 10m",
    };

    /// <param name="path">The words that lead to the command, for its examples.</param>
    public LogsCommand(string path)
        : base(
            "logs", "Print what a container wrote, or a run to standard error, while it runs or later",
            new($"berth {path} -f web", "A container's, and what follows"),
            new($"berth {path} 01jd3v8k2m7q9x4r5t6w0y1z2b", "The whole log"),
            new($"berth {path} -f --tail 20 01jd3v8k2m7q9x4r5t6w0y1z2b", "The last 20 lines and what follows"))
    {
        Add(id);
        Add(follow);
        Add(tail);
        Add(since);
        Add(timestamps);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        TimeSpan? back = RunSettings.Parse(session, since, Duration.Parse);
        LogOptions options = new(
            session.Get(follow), RunSettings.Parse(session, tail, RunSettings.ParseCount),
            back is null ? null : session.Terminal.Time.GetUtcNow() - back.Value, session.Get(timestamps));
        string name = session.Get(id);
        await session.WhileReadAsync(
            async token =>
            {
                if (RunId.TryParse(name, out _))
                {
                    await using Stream log = await session.Client.Runs.OpenLogsAsync(name, options, token);
                    await log.CopyToAsync(session.Terminal.Output, token);
                    return;
                }

                await using Stream framed = await session.Client.Containers.OpenLogsAsync(name, options, token);
                await FramedLog.CopyAsync(framed, session.Terminal, token);
            },
            cancellationToken);
        return 0;
    }
}

/// <summary><c>berth why</c>: what happened to a run, in order, with times and reasons.</summary>
internal sealed class WhyCommand : Verb
{
    private readonly RunIdArgument id = new();
    private readonly OutputOption output = new();

    public WhyCommand()
        : this(
            "why", "Tell what happened to a run: every step with its time and reason",
            new("berth why 01jd3v8k2m7q9x4r5t6w0y1z2b", "Why it failed, waited or was tried again"),
            new("berth why -o json 01jd3v8k2m7q9x4r5t6w0y1z2b", "The same for programs"))
    {
    }

    private WhyCommand(string name, string description, params Example[] examples)
        : base(name, description, examples)
    {
        Add(id);
        Add(output);
    }

    /// <summary><c>berth dlq show</c>.</summary>
    public static WhyCommand OfDeadLetter() => new(
        "show", "Show a dead letter: what was tried, when, and why it failed",
        new("berth dlq show 01jd3v8k2m7q9x4r5t6w0y1z2b", "For people"),
        new("berth dlq show -o json 01jd3v8k2m7q9x4r5t6w0y1z2b", "The same for programs"));

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        RunWhy why = await session.Client.Runs.WhyAsync(session.Get(id), cancellationToken);
        if (session.Get(output) == "json")
        {
            JsonOutput.Write(session.Terminal, why, RunJson.Default.RunWhy);
            return 0;
        }

        RunPage page = new([why.Run], null);
        RunText.WriteDetail(session.Terminal, page.Runs[0]);
        await session.Terminal.Out.WriteLineAsync();
        Table table = new(new("TIME"), new("AFTER", Right: true), new("TRY", Right: true), new("WHAT"), new("DETAIL"));
        foreach (RunEventView happening in why.Events)
        {
            table.Add(
                Wording.Time(happening.At), Wording.Milliseconds((happening.At - why.Run.CreatedAt).TotalMilliseconds),
                happening.Attempt > 0
                    ? happening.Attempt.ToString(CultureInfo.InvariantCulture)
                    : "", happening.Type, happening.Detail);
        }

        table.Write(session.Terminal);
        return 0;
    }
}

/// <summary><c>berth events</c>: things as they happen, to one run or to all.</summary>
internal sealed class EventsCommand : Verb
{
    private readonly Argument<string?> id = new("id")
    {
        Description = "Id of a run; without it, all runs",
        Arity = ArgumentArity.ZeroOrOne,
    };

    private readonly OutputOption output = new();

    public EventsCommand()
        : base(
            "events", "Print what happens as it happens",
            new("berth events", "Everything, until Ctrl-C"),
            new("berth events 01jd3v8k2m7q9x4r5t6w0y1z2b", "One run, until it has ended"),
            new("berth events -o json | jq .type", "One JSON document a line"))
    {
        Add(id);
        Add(output);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        await session.WhileReadAsync(token => PrintAsync(session, token), cancellationToken);
        return 0;
    }

    private async Task PrintAsync(Session session, CancellationToken cancellationToken)
    {
        Terminal terminal = session.Terminal;
        bool json = session.Get(output) == "json";
        await foreach (
            RunEventView happening in session.Client.Runs.EventsAsync(session.Result.GetValue(id), cancellationToken))
        {
            if (json)
            {
                JsonOutput.WriteLine(terminal, happening, RunJson.Default.RunEventView);
                continue;
            }

            await terminal.Out.WriteLineAsync(
                $"{Wording.Time(happening.At)}  {happening.Run}  {happening.Type,-10}  {happening.Detail}");
            await terminal.Out.FlushAsync(cancellationToken);
        }
    }
}
