using System.CommandLine;
using System.Globalization;
using Berth.Api.Triggers;
using Berth.Commands.Output;

namespace Berth.Commands.Triggers;

/// <summary><c>berth trigger</c>: what calls functions by itself.</summary>
internal static class TriggerCommands
{
    public static Noun All() => new(
        "trigger", "Call functions by the clock, by webhooks and by events",
        [
            new("berth trigger create --cron '0 3 * * *' --zone Europe/Berlin nightly report", "Every night at three"),
            new("berth trigger get nightly", "When it fires next, and what became of the last times"),
        ],
        new TriggerCreateCommand(), new TriggerListCommand(), new TriggerGetCommand(), new TriggerRemoveCommand(),
        new TriggerPauseCommand(), new TriggerResumeCommand(), new TriggerFireCommand());
}

internal sealed class TriggerListCommand : Verb
{
    private readonly OutputOption output = new();
    private readonly QuietOption quiet = new("Print names only");

    public TriggerListCommand()
        : base(
            "ls", "List triggers",
            new("berth trigger ls", "Which there are, and when they fire next"),
            new("berth trigger ls -o json", "For programs"))
    {
        Add(output);
        Add(quiet);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        IReadOnlyList<TriggerView> triggers = await session.Client.Triggers.ListAsync(cancellationToken);
        if (session.Get(output) == "json")
        {
            JsonOutput.Write(session.Terminal, new TriggerList(triggers), TriggerJson.Default.TriggerList);
            return 0;
        }

        Table table = new(new("TRIGGER"), new("KIND"), new("FUNCTION"), new("WHEN"), new("NEXT"));
        foreach (TriggerView trigger in triggers)
        {
            if (session.Get(quiet))
            {
                await session.Terminal.Out.WriteLineAsync(trigger.Name);
            }

            table.Add(
                trigger.Name, trigger.Kind, trigger.Function, TriggerText.When(trigger.Spec),
                trigger.Paused ? "paused" : trigger.Next is [var next, ..] ? TriggerText.Moment(next) : "-");
        }

        if (!session.Get(quiet))
        {
            table.Write(session.Terminal);
        }

        return 0;
    }
}

internal sealed class TriggerGetCommand : Verb
{
    private readonly Argument<string> name = new("trigger") { Description = "Name of the trigger" };

    public TriggerGetCommand()
        : base(
            "get", "Print all about a trigger: its settings, its next times, what became of the last ones",
            new Example("berth trigger get nightly", "As JSON"))
        => Add(name);

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        TriggerView view = await session.Client.Triggers.GetAsync(session.Get(name), cancellationToken);
        JsonOutput.Write(session.Terminal, view, TriggerJson.Default.TriggerView);
        return 0;
    }
}

internal sealed class TriggerRemoveCommand : SeveralCommand
{
    public TriggerRemoveCommand()
        : base(
            new("trigger") { Description = "Names of the triggers" },
            "rm", "Remove triggers; runs that they made go on", new Example("berth trigger rm nightly", "One"))
    {
    }

    protected override async Task SeeToAsync(Session session, string name, CancellationToken cancellationToken)
    {
        await session.Client.Triggers.RemoveAsync(name, cancellationToken);
        await session.Terminal.Out.WriteLineAsync(name);
    }
}

internal sealed class TriggerPauseCommand : SeveralCommand
{
    public TriggerPauseCommand()
        : base(
            new("trigger") { Description = "Names of the triggers" },
            "pause", "Let triggers not fire; what they would have fired for is not made up for",
            new Example("berth trigger pause nightly", "Until it is resumed"))
    {
    }

    protected override async Task SeeToAsync(Session session, string name, CancellationToken cancellationToken)
    {
        await session.Client.Triggers.PauseAsync(name, cancellationToken);
        await session.Terminal.Out.WriteLineAsync(name);
    }
}

internal sealed class TriggerResumeCommand : SeveralCommand
{
    public TriggerResumeCommand()
        : base(
            new("trigger") { Description = "Names of the triggers" },
            "resume", "Let paused triggers fire again", new Example("berth trigger resume nightly", "From now on"))
    {
    }

    protected override async Task SeeToAsync(Session session, string name, CancellationToken cancellationToken)
    {
        await session.Client.Triggers.ResumeAsync(name, cancellationToken);
        await session.Terminal.Out.WriteLineAsync(name);
    }
}

internal sealed class TriggerFireCommand : SeveralCommand
{
    public TriggerFireCommand()
        : base(
            new("trigger") { Description = "Names of the triggers" },
            "fire", "Fire triggers once, now, and print the runs' ids",
            new Example("berth trigger fire nightly", "To see whether it works"))
    {
    }

    protected override async Task SeeToAsync(Session session, string name, CancellationToken cancellationToken)
    {
        FiringView fired = await session.Client.Triggers.FireAsync(name, cancellationToken);
        await session.Terminal.Out.WriteLineAsync(fired.Run);
    }
}

/// <summary>Triggers for people.</summary>
internal static class TriggerText
{
    public static string When(TriggerRequest spec) =>
        spec.Cron is not null ? $"{spec.Cron} {spec.Zone}"
        : spec.Webhook is not null ? $"{spec.Webhook}, signed with {spec.Secret}"
        : spec.Volume is not null ? $"files in {spec.Volume}/{spec.Prefix}"
        : spec.Types is { Count: > 0 } types ? string.Join(", ", types)
        : "any event";

    /// <summary>In the zone that it is told in.</summary>
    public static string Moment(DateTimeOffset at) =>
        at.ToString("yyyy-MM-dd HH:mm:sszzz", CultureInfo.InvariantCulture);
}
