using System.CommandLine;
using Berth.Commands;
using Berth.Server.Configuration;

namespace Berth.Cli.Servers;

/// <summary>The flags of <c>berth serve</c>, made from the server's own table of settings.</summary>
internal sealed class ServeSettings
{
    private readonly List<(
        ConfigurationKey Key, Option<string[]> Option)> flags = [.. ConfigurationKeys.All.Select(NewFlag)];

    private readonly Option<string?> file = new("--config")
    {
        HelpName = "PATH",
        Description =
            $"Configuration file (else {ConfigurationSources.FileVariable}, else {ConfigurationSources.DefaultFile})",
    };

    public void AddTo(Command command)
    {
        command.Add(file);
        foreach ((_, Option<string[]> option) in flags)
        {
            command.Add(option);
        }
    }

    /// <summary>Flags, environment, file and defaults, checked. Throws BerthException naming the setting.</summary>
    public ServerOptions Read(Session session)
    {
        Dictionary<string, IReadOnlyList<string>> given = [];
        foreach ((ConfigurationKey key, Option<string[]> option) in flags)
        {
            if (session.Result.GetResult(option) is { Implicit: false } result)
            {
                // A switch alone says yes.
                given[key.Name] = result.Tokens.Count == 0 ? ["true"] : [.. result.Tokens.Select(t => t.Value)];
            }
        }

        return ConfigurationReader.Read(ConfigurationSources.FromMachine(given, session.Get(file)));
    }

    private static (ConfigurationKey Key, Option<string[]> Option) NewFlag(ConfigurationKey key)
    {
        string fallback = key.Default.Length == 0 ? "" : $" (default {key.Default})";
        return (key, new Option<string[]>(key.Flag)
        {
            HelpName = key.Kind == ValueKind.Switch ? "[true|false]" : key.Kind.ToString().ToUpperInvariant(),
            Description = key.Description.TrimEnd('.') + fallback + (key.IsList ? " (repeatable)" : ""),
            Arity = key.Kind == ValueKind.Switch ? ArgumentArity.ZeroOrOne : ArgumentArity.OneOrMore,
            AllowMultipleArgumentsPerToken = false,
        });
    }
}
