using System.CommandLine;
using Berth.Api.Functions;
using Berth.Commands.Runs;
using Berth.Core.Errors;

namespace Berth.Commands.Functions;

/// <summary><c>berth function scale</c>: how many instances there are, at once and without a new revision.</summary>
internal sealed class ScaleCommand : Verb
{
    private readonly FunctionArgument function = new();
    private readonly Option<string?> min = Named("--min", "N", "Instances that are kept without calls");
    private readonly Option<string?> max = Named("--max", "N", "Instances at most");
    private readonly Option<string?> target = Named(
        "--target", "PERCENT", "Of the concurrency, at which another instance is started");

    private readonly Option<string?> idle = Named(
        "--idle", "TIME", "Without calls, after which the last instance ends");

    private readonly Option<string?> delay = Named(
        "--scale-down-delay", "TIME", "How long fewer instances must do before there are fewer");

    private readonly WarmOption warm = new();
    private readonly Option<bool> notWarm = new("--no-warm") { Description = "Remove all windows of --warm" };

    private readonly Option<string?> revision = Named(
        "--revision", "N", "Of this revision; of all that calls are routed to if not given");

    public ScaleCommand()
        : base(
            "scale", "Change how many instances a function has; none is restarted, and no revision made",
            new("berth function scale --min 2 --max 10 shop", "Between these from now on"),
            new("berth function scale --min 0 --idle 1m shop", "None soon after the last call"),
            new(
                "berth function scale --warm 'start=0 8 * * 1-5; end=0 18 * * 1-5; zone=Europe/Berlin; min=3' shop",
                "Three in office hours, whoever calls"))
    {
        foreach (Option option in (Option[])[min, max, target, idle, delay, warm, notWarm, revision])
        {
            Add(option);
        }

        Add(function);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        ScaleRequest request = new(
            RunSettings.Parse(session, min, RunSettings.ParseCount),
            RunSettings.Parse(session, max, RunSettings.ParseNumber),
            RunSettings.Parse(session, target, RunSettings.ParseNumber), session.Get(idle), session.Get(delay),
            RunSettings.Parse(session, revision, RunSettings.ParseNumber), Windows(session));
        if (request with { Revision = null } == new ScaleRequest())
        {
            throw new BerthException(
                ErrorCode.InvalidRequest, "Nothing to change was given: add for instance '--min 1' or '--max 10'.");
        }

        FunctionView view = await session.Client.Functions.ScaleAsync(
            session.Get(function), request, cancellationToken);
        await FunctionWhyCommand.WriteAsync(session, view);
        return 0;
    }

    private IReadOnlyList<WarmSpan>? Windows(Session session) => (warm.Read(session), session.Get(notWarm)) switch
    {
        (not null, true) => throw new BerthException(
            ErrorCode.InvalidRequest, "--warm and --no-warm can't be given together."),
        (null, true) => [],
        (var given, _) => given,
    };

    private static Option<string?> Named(string name, string value, string description) =>
        new(name) { HelpName = value, Description = description };
}
