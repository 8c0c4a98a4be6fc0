using System.CommandLine;
using Berth.Api.Access;
using Berth.Commands.Output;

namespace Berth.Commands.Access;

/// <summary><c>berth token</c>: who may do what.</summary>
internal static class TokenCommands
{
    public static Noun All() => new(
        "token", "Make, list and remove tokens",
        [
            new(
                "berth token create --name ci --role user --expires 90d",
                "A token for a build server; it is shown once"),
            new("berth token ls", "Which there are"),
        ],
        new TokenCreateCommand(), new TokenListCommand(), new TokenRemoveCommand());
}

internal sealed class TokenCreateCommand : Verb
{
    private readonly Option<string> name = new("--name", "-n")
    {
        HelpName = "NAME",
        Description = "What the token is for",
        Required = true,
    };

    private readonly Option<string> role = new("--role", "-r")
    {
        HelpName = "admin|publisher|user|pull|robot",
        Description = "admin may do everything; publisher everything but tokens and garbage collection; user can't "
            + "replace or remove images either; pull only fetches images; robot does what --repository says",
        DefaultValueFactory = _ => "user",
    };

    private readonly Option<string?> expires = new("--expires")
    {
        HelpName = "TIME",
        Description = "How long it is valid, for instance 90d; for ever if left out",
    };

    private readonly Option<string[]> repositories = new("--repository")
    {
        HelpName = "PATTERN:ACTIONS",
        Description = "What a robot may do where, such as 'team/*:pull,push'; the actions are pull, push, overwrite "
            + "and delete; may be repeated",
    };

    private readonly OutputOption output = new();

    public TokenCreateCommand()
        : base(
            "create", "Make a token and print it; it can't be shown again",
            new("berth token create --name ci --expires 90d > ci.token", "For a build server"),
            new("berth token create --name release --role publisher", "For who may push a new image as latest"),
            new(
                "berth token create --name ci-app --role robot --repository 'team/app:pull,push'",
                "For a robot that pushes one repository"),
            new("berth token create --name edge --role pull", "For a machine that only fetches images"))
    {
        role.AcceptOnlyFromAmong("admin", "publisher", "user", "pull", "robot");
        Add(name);
        Add(role);
        Add(expires);
        Add(repositories);
        Add(output);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        TokenRequest request = new(
            session.Get(name)!, session.Get(role), session.Get(expires),
            session.Get(repositories) is { Length: > 0 } named ? named : null);
        TokenCreated created = await session.Client.Tokens.CreateAsync(request, cancellationToken);
        if (session.Get(output) == "json")
        {
            JsonOutput.Write(session.Terminal, created, AccessJson.Default.TokenCreated);
        }
        else
        {
            await session.Terminal.Out.WriteLineAsync(created.Secret);
        }

        return 0;
    }
}

internal sealed class TokenListCommand : Verb
{
    private readonly OutputOption output = new();
    private readonly QuietOption quiet = new("Print ids only");

    public TokenListCommand()
        : base(
            "ls", "List tokens; the tokens themselves are known to nobody but their owners",
            new("berth token ls", "Who has access"),
            new("berth token ls -o json", "For programs"))
    {
        Add(output);
        Add(quiet);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        IReadOnlyList<TokenView> tokens = await session.Client.Tokens.ListAsync(cancellationToken);
        if (session.Get(output) == "json")
        {
            JsonOutput.Write(session.Terminal, new TokenList(tokens), AccessJson.Default.TokenList);
            return 0;
        }

        DateTimeOffset now = session.Terminal.Time.GetUtcNow();
        Table table = new(
            new("ID"), new("NAME"), new("ROLE"), new("CREATED"), new("EXPIRES"), new("LAST USED"), new("MAY"));
        foreach (TokenView token in tokens)
        {
            if (session.Get(quiet))
            {
                await session.Terminal.Out.WriteLineAsync(token.Id);
            }

            string expires = token.ExpiresAt is { } end
                ? end <= now ? "expired" : "in " + Wording.Span(end - now)
                : "never";
            table.Add(
                token.Id, token.Name, token.Role, Wording.Age(token.CreatedAt, now), expires,
                Wording.Age(token.LastUsedAt, now), string.Join(' ', token.Repositories ?? []));
        }

        if (!session.Get(quiet))
        {
            table.Write(session.Terminal);
        }

        return 0;
    }
}

internal sealed class TokenRemoveCommand : SeveralCommand
{
    public TokenRemoveCommand()
        : base(
            new("id") { Description = "Ids of the tokens, as 'berth token ls' shows them" },
            "rm", "Remove tokens; whoever holds one is refused from now on",
            new Example("berth token rm k3v9x2", "One of them"))
    {
    }

    protected override async Task SeeToAsync(Session session, string id, CancellationToken cancellationToken)
    {
        await session.Client.Tokens.RemoveAsync(id, cancellationToken);
        session.Say($"Removed {id}");
    }
}
