using System.CommandLine;
using Berth.Api.Triggers;

namespace Berth.Commands.Triggers;

/// <summary><c>berth trigger create</c>.</summary>
internal sealed class TriggerCreateCommand : Verb
{
    private readonly Argument<string> name = new("trigger")
    {
        Description = "Name of the trigger: small letters, digits and '-'",
    };

    private readonly Argument<string> function = new("function") { Description = "Name of the function to call" };

    private readonly Option<string?> cron = Named(
        "--cron", "LINE",
        "Times: 'MINUTE HOUR DAY MONTH WEEKDAY', with SECOND before them if wanted, or @hourly, @daily");

    private readonly Option<string?> zone = Named(
        "--zone", "ZONE", "Whose clock, for instance Europe/Berlin (default UTC)");

    private readonly Option<string?> concurrency = Named(
        "--concurrency", "allow|forbid|replace",
        "While the run before goes on: another beside it (default), none, or another in its place");

    private readonly Option<string?> missed = Named(
        "--missed", "skip|once", "Times at which no server ran: nothing (default), or the last is made up for");

    private readonly Option<string?> catchUp = Named(
        "--catch-up", "TIME", "How long ago a time may be that is made up for (default 24h)");

    private readonly Option<string?> body = Named(
        "--body", "TEXT", "Body of a clock's calls; JSON of the time if not given");

    private readonly Option<string?> contentType = Named("--content-type", "TYPE", "Media type of that");

    private readonly Option<string?> webhook = Named(
        "--webhook", "github|timestamped|plain",
        "Requests to /v1/hooks/TRIGGER that are signed as GitHub, Stripe or others do");

    private readonly Option<string?> secret = Named("--secret", "SECRET", "That a webhook's sender signs with");

    private readonly Option<string?> header = Named("--header", "NAME", "Header that has a webhook's signature");

    private readonly Option<string?> window = Named(
        "--window", "TIME", "How old a timestamped request may be (default 5m)");

    private readonly Option<bool> events = new("--events")
    {
        Description = "CloudEvents to /v1/events/TRIGGER; with --webhook, what its bodies are",
    };

    private readonly Option<string[]> types = new("--type")
    {
        HelpName = "TYPE",
        Description = "Take events of this type alone; 'com.example.*' stands for all that begin so; may be repeated",
    };

    private readonly Option<string[]> sources = new("--source")
    {
        HelpName = "SOURCE",
        Description = "Take events of this source alone, likewise; may be repeated",
    };

    private readonly Option<string?> volume = Named("--volume", "VOLUME", "Files that come into this named volume");

    private readonly Option<string?> prefix = Named(
        "--prefix", "PATH", "How the paths of such files begin; all of the volume's if not given");

    public TriggerCreateCommand()
        : base(
            "create", "Make a trigger, or give it other settings, and print its name",
            new("berth trigger create --cron '0 3 * * *' --zone Europe/Berlin nightly report", "Every night at three"),
            new("berth trigger create --cron=@hourly --concurrency forbid sync fetch", "Every hour, one at a time"),
            new("berth trigger create --webhook github --secret hook-key push build", "What GitHub sends"),
            new("berth trigger create --events --type 'com.example.order.*' orders shop", "CloudEvents of one kind"))
    {
        foreach (Option option in (Option[])[
            cron, zone, concurrency, missed, catchUp, body, contentType, webhook, secret, header, window, events,
            types, sources, volume, prefix])
        {
            Add(option);
        }

        Add(name);
        Add(function);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        TriggerRequest request = new(
            session.Get(function), session.Get(cron), session.Get(zone), session.Get(concurrency), session.Get(missed),
            session.Get(catchUp), session.Get(body), session.Get(contentType), session.Get(webhook),
            session.Get(secret), session.Get(header), session.Get(window), session.Get(events) ? true : null,
            List(session, types), List(session, sources), session.Get(volume), session.Get(prefix));
        TriggerView made = await session.Client.Triggers.PutAsync(session.Get(name), request, cancellationToken);
        if (made.Next is [var next, ..])
        {
            session.Say($"It fires next at {TriggerText.Moment(next)}.");
        }

        if (made.Kind is "webhook" or "events")
        {
            string room = made.Kind == "webhook" ? "hooks" : "events";
            session.Say($"Senders use {session.Client.Address}v1/{room}/{made.Name}");
        }

        await session.Terminal.Out.WriteLineAsync(made.Name);
        return 0;
    }

    private static string[]? List(Session session, Option<string[]> option) =>
        session.Get(option) is { Length: > 0 } given ? given : null;

    private static Option<string?> Named(string name, string value, string description) =>
        new(name) { HelpName = value, Description = description };
}
