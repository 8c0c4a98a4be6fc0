using Berth.Api.Nodes;
using Berth.Commands.Output;

namespace Berth.Commands.Nodes;

internal sealed class NodeTokenListCommand : Verb
{
    private readonly OutputOption output = new();
    private readonly QuietOption quiet = new("Print ids only");

    public NodeTokenListCommand()
        : base(
            "ls", "List tokens for joining; their secrets are not kept",
            new Example("berth node token ls", "Who made them, and who has used them"))
    {
        Add(output);
        Add(quiet);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        IReadOnlyList<JoinTokenView> tokens = await session.Client.Nodes.TokensAsync(cancellationToken);
        if (session.Get(output) == "json")
        {
            JsonOutput.Write(session.Terminal, new JoinTokenList(tokens), NodeJson.Default.JoinTokenList);
            return 0;
        }

        if (session.Get(quiet))
        {
            foreach (JoinTokenView token in tokens)
            {
                await session.Terminal.Out.WriteLineAsync(token.Id);
            }

            return 0;
        }

        DateTimeOffset now = session.Terminal.Time.GetUtcNow();
        Table table = new(
            new("TOKEN"), new("STATE"), new("CREATED"), new("EXPIRES"), new("BY"), new("USED BY"));
        foreach (JoinTokenView token in tokens)
        {
            string end = token.State == "valid" ? "in " + Wording.Span(token.ExpiresAt - now) : "";
            table.Add(
                token.Id, token.State, Wording.Age(token.CreatedAt, now), end, token.Caller, token.UsedBy ?? "");
        }

        table.Write(session.Terminal);
        return 0;
    }
}

internal sealed class NodeTokenRemoveCommand : SeveralCommand
{
    public NodeTokenRemoveCommand()
        : base(
            new("token") { Description = "Ids of tokens, as 'berth node token ls' lists them" },
            "rm", "Take tokens for joining back; nodes that have joined stay",
            new Example("berth node token rm e9f5857e6b01", "One"))
    {
    }

    protected override async Task SeeToAsync(Session session, string name, CancellationToken cancellationToken)
    {
        await session.Client.Nodes.RemoveTokenAsync(name, cancellationToken);
        await session.Terminal.Out.WriteLineAsync(name);
    }
}
