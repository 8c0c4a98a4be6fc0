using System.CommandLine;
using Berth.Api.Client;
using Berth.Commands.Runs;
using Berth.Core.Resources;

namespace Berth.Commands.Functions;

/// <summary><c>berth function logs</c>: what a function's instances and newest calls wrote, by time.</summary>
internal sealed class FunctionLogsCommand : Verb
{
    private readonly FunctionArgument function = new();
    private readonly Option<bool> follow = new("--follow", "-f") { Description = "Go on until Ctrl-C" };
    private readonly Option<string?> tail = new("--tail", "-n")
    {
        HelpName = "LINES",
        Description = "Only the last lines",
    };

    private readonly Option<string?> since = new("--since")
    {
        HelpName = "TIME",
        Description = "Only what was written in this last length of time, for instance 10m",
    };

    private readonly Option<bool> timestamps = new("--timestamps", "-t")
    {
        Description = "Put the time before each line",
    };

    private readonly Option<string?> revision = new("--revision")
    {
        HelpName = "N",
        Description = "Only of this revision",
    };

    public FunctionLogsCommand()
        : base(
            "logs", "Print what all instances and the newest calls of a function wrote, each line behind its run's id",
            new("berth function logs -f shop", "What there is, and what follows"),
            new("berth function logs --since 10m --tail 100 --revision 3 shop", "A part of it"))
    {
        Add(follow);
        Add(tail);
        Add(since);
        Add(timestamps);
        Add(revision);
        Add(function);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        TimeSpan? back = RunSettings.Parse(session, since, Duration.Parse);
        LogOptions options = new(
            session.Get(follow), RunSettings.Parse(session, tail, RunSettings.ParseCount),
            back is null ? null : session.Terminal.Time.GetUtcNow() - back.Value, session.Get(timestamps));
        int? number = RunSettings.Parse(session, revision, RunSettings.ParseNumber);
        await session.WhileReadAsync(
            async token =>
            {
                await using Stream log = await session.Client.Functions.OpenLogsAsync(
                    session.Get(function), number, options, token);
                await log.CopyToAsync(session.Terminal.Output, token);
            },
            cancellationToken);
        return 0;
    }
}
