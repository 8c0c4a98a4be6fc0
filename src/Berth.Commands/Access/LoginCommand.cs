using System.CommandLine;
using System.Text;
using Berth.Api.Client;
using Berth.Api.Nodes;
using Berth.Commands.Contexts;
using Berth.Commands.Terminals;
using Berth.Core.Errors;

namespace Berth.Commands.Access;

/// <summary><c>berth login</c>: tries a token and remembers it with its server as a context.</summary>
internal sealed class LoginCommand : Verb
{
    private readonly Argument<string?> host = new("host")
    {
        Description = $"Address of the server; {ServerTarget.DefaultAddress} if left out",
        Arity = ArgumentArity.ZeroOrOne,
    };

    private readonly Option<string?> name = new("--name", "-n")
    {
        HelpName = "NAME",
        Description = "Name of the context; the host's name if left out",
    };

    private readonly Option<bool> tokenStdin = new("--token-stdin")
    {
        Description = "Read the token from standard input",
    };

    public LoginCommand()
        : base(
            "login", "Remember a server and a token for it, and use them from now on",
            new("berth login", "The server on this machine, with its administrator's token"),
            new("berth login --name office --token-stdin https://berth.example.org < token", "Another server"))
    {
        Add(host);
        Add(name);
        Add(tokenStdin);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        Terminal terminal = session.Terminal;
        string asked = session.Result.GetValue(host) ?? terminal.Variable("BERTH_HOST") ?? ServerTarget.DefaultAddress;
        Uri address = ServerTarget.ParseAddress(asked, "the command line");
        string token = await FindTokenAsync(session, asked, cancellationToken);
        using (BerthClient client = new(address, token, terminal.Time, session.Handler))
        {
            VersionView version = await client.VersionAsync(cancellationToken);
            session.Say($"Logged in to {address} (Berth {version.Version}).");
        }

        ContextFile file = ContextFile.Of(terminal);
        ContextDocument document = file.Read();
        string key = session.Get(name) ?? address.Host;
        document.Contexts[key] = new ServerContext(address.GetLeftPart(UriPartial.Authority), token);
        file.Write(document with { Current = key });
        session.Say($"Saved as context '{key}' in {file.Path}.");
        return 0;
    }

    private async Task<string> FindTokenAsync(Session session, string address, CancellationToken cancellationToken)
    {
        Terminal terminal = session.Terminal;
        if (session.Get(tokenStdin))
        {
            using StreamReader reader = new(terminal.OpenInput());
            return Require(await reader.ReadToEndAsync(cancellationToken));
        }

        // Only tokens that are this server's: the one in the environment, or the administrator's of this machine.
        ServerTarget known = ServerTarget.Resolve(terminal, address, contextName: null);
        if (known.Token is not null && known.TokenSource != "the context")
        {
            session.Say($"Using the token from {known.TokenSource}.");
            return known.Token;
        }

        if (!terminal.InputIsTerminal)
        {
            throw new BerthException(ErrorCode.Unauthorized, "No token was given: use --token-stdin or BERTH_TOKEN.");
        }

        await terminal.Error.WriteAsync("Token (not shown): ");
        return Require(ReadSecret(terminal));
    }

    private static string Require(string token) => token.Trim() is { Length: > 0 } trimmed
        ? trimmed
        : throw new BerthException(ErrorCode.Unauthorized, "The token is empty.");

    private static string ReadSecret(Terminal terminal)
    {
        StringBuilder secret = new();
        while (Console.ReadKey(intercept: true) is { Key: not ConsoleKey.Enter } key)
        {
            if (key.Key == ConsoleKey.Backspace)
            {
                secret.Length = Math.Max(0, secret.Length - 1);
            }
            else if (!char.IsControl(key.KeyChar))
            {
                secret.Append(key.KeyChar);
            }
        }

        terminal.Error.WriteLine();
        return secret.ToString();
    }
}
