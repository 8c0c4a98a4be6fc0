using System.CommandLine;
using Berth.Api.Functions;

namespace Berth.Commands.Functions;

/// <summary>The options of a deployment about who gets the new revision's calls beside its share, and whose are let in.
/// </summary>
internal sealed class TrafficSettings
{
    private readonly Option<string[]> match = new("--match")
    {
        HelpName = "RULE",
        Description = "Calls with this header:NAME=VALUE or cookie:NAME=VALUE get the new revision (repeatable)",
    };

    private readonly Option<bool> sticky = new("--sticky")
    {
        Description = "Let callers keep their place in the shares, by a cookie",
    };

    private readonly Option<string[]> host = new("--host")
    {
        HelpName = "NAME",
        Description = "Host name of the function's own, for instance shop.example.org (repeatable); for administrators",
    };

    private readonly Option<bool> isPublic = new("--public")
    {
        Description = "Let anybody call it, without a token; for administrators",
    };

    public void AddTo(Command command)
    {
        command.Add(match);
        command.Add(sticky);
        command.Add(host);
        command.Add(isPublic);
    }

    public FunctionRequest Add(Session session, FunctionRequest request) => request with
    {
        Matches = session.Get(match) is { Length: > 0 } rules ? rules : null,
        Sticky = session.Get(sticky) ? true : null,
        Hosts = session.Get(host) is { Length: > 0 } hosts ? hosts : null,
        Public = session.Get(isPublic) ? true : null,
    };
}
