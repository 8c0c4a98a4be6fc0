using System.CommandLine;
using System.Globalization;
using Berth.Api.Functions;
using Berth.Commands.Runs;
using Berth.Core.Errors;

namespace Berth.Commands.Functions;

/// <summary><c>berth function traffic</c>.</summary>
internal sealed class TrafficCommand : Verb
{
    private readonly FunctionArgument function = new();
    private readonly Argument<string[]> shares = new("share")
    {
        Description = "REVISION=PERCENT, 100 together; as they are if not given",
        Arity = ArgumentArity.ZeroOrMore,
    };

    private readonly Option<string[]> tags = new("--tag")
    {
        HelpName = "TAG=REVISION",
        Description = "Let a tag reach a revision (repeatable)",
    };

    private readonly Option<string[]> untag = new("--untag")
    {
        HelpName = "TAG",
        Description = "Remove a tag (repeatable)",
    };

    private readonly Option<string[]> matches = new("--match")
    {
        HelpName = "REVISION=RULE",
        Description = "Calls with this header:NAME=VALUE or cookie:NAME=VALUE get the revision (repeatable); looked at "
            + "before the rules there are",
    };

    private readonly Option<string[]> unmatch = new("--unmatch")
    {
        HelpName = "RULE",
        Description = "Remove a rule (repeatable)",
    };

    private readonly Option<bool> sticky = new("--sticky")
    {
        Description = "Let callers keep their place in the shares, by a cookie",
    };

    private readonly Option<bool> notSticky = new("--no-sticky") { Description = "Draw for each call" };

    private readonly Option<string[]> hosts = new("--host")
    {
        HelpName = "NAME",
        Description = "Add a host name of the function's own (repeatable); for administrators",
    };

    private readonly Option<string[]> unhost = new("--unhost")
    {
        HelpName = "NAME",
        Description = "Remove one (repeatable)",
    };

    private readonly Option<bool> isPublic = new("--public")
    {
        Description = "Let anybody call it, without a token; for administrators",
    };

    private readonly Option<bool> isPrivate = new("--private") { Description = "Ask every caller for a token" };

    public TrafficCommand()
        : base(
            "traffic", "Say who gets the calls of a function, and whose are let in",
            new("berth function traffic thumbnail 3=95 4=5", "5 of 100 to revision 4"),
            new("berth function traffic --untag next thumbnail 4=100", "All of them, and the tag is gone"),
            new("berth function traffic --match 4=header:X-Beta=1 thumbnail", "Those with this header to revision 4"),
            new("berth function traffic --public --host shop.example.org shop", "Anybody, at an address of its own"))
    {
        foreach (Option option in (Option[])[
            tags, untag, matches, unmatch, sticky, notSticky, hosts, unhost, isPublic, isPrivate])
        {
            Add(option);
        }

        Add(function);
        Add(shares);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        string name = session.Get(function);
        TrafficView traffic = (await session.Client.Functions.GetAsync(name, cancellationToken)).Traffic;
        string[] given = session.Get(shares);
        FunctionView view = await session.Client.Functions.RouteAsync(
            name,
            new TrafficView(
                given.Length == 0 ? traffic.Shares : [.. given.Select(Parse)], Tags(session, name, traffic),
                Matches(session, name, traffic), Flag(session, sticky, notSticky), Hosts(session, name, traffic),
                Flag(session, isPublic, isPrivate)),
            cancellationToken);
        session.Say($"Function {view.Name}: {FunctionCommands.Shares(view.Traffic)}.");
        return 0;
    }

    private Dictionary<string, int> Tags(Session session, string name, TrafficView traffic)
    {
        Dictionary<string, int> names = new(traffic.Tags ?? new Dictionary<string, int>());
        foreach (string tag in session.Get(untag) ?? [])
        {
            if (!names.Remove(tag))
            {
                throw new BerthException(ErrorCode.NotFound, $"Function '{name}' has no tag '{tag}'.");
            }
        }

        foreach ((string tag, string revision) in (session.Get(tags) ?? []).Select(t => RunSettings.Pair(t, "--tag")))
        {
            names[tag] = RunSettings.ParseNumber(revision);
        }

        return names;
    }

    /// <summary>Null where nothing is to change.</summary>
    private List<MatchView>? Matches(Session session, string name, TrafficView traffic)
    {
        string[] added = session.Get(matches) ?? [];
        string[] removed = session.Get(unmatch) ?? [];
        if (added.Length == 0 && removed.Length == 0)
        {
            return null;
        }

        List<MatchView> rules = [.. traffic.Matches ?? []];
        foreach (string rule in removed)
        {
            if (rules.RemoveAll(r => r.Rule == rule) == 0)
            {
                throw new BerthException(ErrorCode.NotFound, $"Function '{name}' has no rule '{rule}'.");
            }
        }

        MatchView[] first =
        [
            .. added.Select(m => RunSettings.Pair(m, "--match")).Select(
                m => new MatchView(m.Value, RunSettings.ParseNumber(m.Key))),
        ];
        rules.RemoveAll(r => first.Any(f => f.Rule == r.Rule));
        return [.. first, .. rules];
    }

    /// <summary>Null where nothing is to change.</summary>
    private List<string>? Hosts(Session session, string name, TrafficView traffic)
    {
        string[] added = session.Get(hosts) ?? [];
        string[] removed = session.Get(unhost) ?? [];
        if (added.Length == 0 && removed.Length == 0)
        {
            return null;
        }

        List<string> names = [.. traffic.Hosts ?? []];
        foreach (string host in removed)
        {
            if (!names.Remove(host))
            {
                throw new BerthException(ErrorCode.NotFound, $"Function '{name}' has no host '{host}'.");
            }
        }

        return [.. names, .. added.Except(names)];
    }

    private static bool? Flag(Session session, Option<bool> yes, Option<bool> no) => session.Get(yes) && session.Get(no)
        ? throw new BerthException(ErrorCode.InvalidRequest, $"{yes.Name} and {no.Name} can't be given together.")
        : session.Get(yes) ? true
        : session.Get(no) ? false
        : null;

    private static ShareView Parse(string text)
    {
        string[] parts = text.TrimEnd('%').Split('=');
        return parts.Length == 2
            && int.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out int revision)
            && int.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out int percent)
            ? new ShareView(revision, percent)
            : throw new BerthException(
                ErrorCode.InvalidRequest, $"'{text}' is no share: write REVISION=PERCENT, for instance 4=5.");
    }
}

