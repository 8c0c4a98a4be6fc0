using System.Net;
using Berth.Commands.Terminals;
using Berth.Core.Callbacks;
using Berth.Core.Errors;

namespace Berth.Commands.Contexts;

/// <summary>Which server a command talks to, with which token, and why; the reasons are told with --verbose.</summary>
internal sealed record ServerTarget(Uri Address, string AddressSource, string? Token, string TokenSource)
{
    public const string DefaultAddress = "http://127.0.0.1:7070";

    public const string DefaultDataFolder = "/var/lib/berth";

    /// <summary>
    /// Address: --host, BERTH_HOST, --context or BERTH_CONTEXT, the current context, 127.0.0.1:7070. Token:
    /// BERTH_TOKEN, the context's, else, for a server on this machine, the administrator's of its data folder if
    /// that can be read.
    /// </summary>
    public static ServerTarget Resolve(Terminal terminal, string? host, string? contextName)
    {
        ContextDocument contexts = ContextFile.Of(terminal).Read();
        (string text, string source, ServerContext? context) = FindAddress(terminal, host, contextName, contexts);
        Uri address = ParseAddress(text, source);
        (string? token, string tokenSource) = FindToken(terminal, address, context);
        return new ServerTarget(address, source, token, tokenSource);
    }

    /// <summary>Accepts <c>host</c>, <c>host:port</c> and URLs; the scheme is http where none is given.</summary>
    public static Uri ParseAddress(string text, string source)
    {
        string url = text.Contains("://", StringComparison.Ordinal) ? text : "http://" + text;
        if (!WebAddress.TryParse(url, out Uri? address) || address.Host.Length == 0)
        {
            throw new BerthException(
                ErrorCode.InvalidRequest,
                $"'{text}' (from {source}) is not a server's address: write http://host:port.");
        }

        // "berth.example" alone means the port that berth listens on, not port 80.
        bool namesPort = url.AsSpan(
            url.IndexOf("//", StringComparison.Ordinal) + 2).TrimEnd('/').EndsWith($":{address.Port}");
        return address.Scheme == Uri.UriSchemeHttp && address.IsDefaultPort && !namesPort
            ? new UriBuilder(address) { Port = 7070 }.Uri
            : address;
    }

    private static (string Text, string Source, ServerContext? Context) FindAddress(
        Terminal terminal, string? host, string? contextName, ContextDocument contexts)
    {
        if (host is not null)
        {
            return (host, "--host", ByHost(contexts, host, "--host"));
        }

        if (contextName is null && terminal.Variable("BERTH_HOST") is { Length: > 0 } variable)
        {
            return (variable, "BERTH_HOST", ByHost(contexts, variable, "BERTH_HOST"));
        }

        string? name = contextName ?? terminal.Variable("BERTH_CONTEXT") ?? contexts.Current;
        if (string.IsNullOrEmpty(name))
        {
            return (DefaultAddress, "the default", null);
        }

        return contexts.Contexts.TryGetValue(name, out ServerContext? context)
            ? (context.Host, $"the context '{name}'", context)
            : throw new BerthException(
                ErrorCode.NotFound,
                $"There is no context '{name}': 'berth context ls' shows those there are, 'berth login' makes one.");
    }

    // A token belongs to the server that it was made by and is never sent to another.
    private static ServerContext? ByHost(ContextDocument contexts, string host, string source) =>
        contexts.Contexts.Values.FirstOrDefault(
            c => ParseAddress(c.Host, "the contexts") == ParseAddress(host, source));

    private static (string? Token, string Source) FindToken(Terminal terminal, Uri address, ServerContext? context)
    {
        if (terminal.Variable("BERTH_TOKEN") is { Length: > 0 } variable)
        {
            return (variable.Trim(), "BERTH_TOKEN");
        }

        if (context?.Token is not null)
        {
            return (context.Token, "the context");
        }

        string file = Path.Combine(terminal.Variable("BERTH_DATA") ?? DefaultDataFolder, "admin.token");
        bool local = address.Host == "localhost"
            || (IPAddress.TryParse(address.DnsSafeHost, out IPAddress? ip) && IPAddress.IsLoopback(ip));
        try
        {
            return local ? (File.ReadAllText(file).Trim(), file) : (null, "nowhere");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return (null, "nowhere");
        }
    }
}
