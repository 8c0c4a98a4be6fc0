using System.CommandLine;
using System.Text.Json.Serialization;
using Berth.Commands.Contexts;
using Berth.Commands.Output;
using Berth.Core.Errors;

namespace Berth.Commands.Access;

/// <summary><c>berth context</c>: the servers that were logged in to, and which of them is used.</summary>
internal static class ContextCommands
{
    public static Noun All() => new(
        "context", "Switch between the servers you have logged in to",
        [new("berth context ls", "Which there are"), new("berth context use office", "Use another from now on")],
        new ContextListCommand(), new UseCommand(), new ContextRemoveCommand());

    public static BerthException Unknown(string name) =>
        new(ErrorCode.NotFound, $"There is no context '{name}': 'berth context ls' shows those there are.");
}

/// <summary>A context without its token.</summary>
internal sealed record ContextLine(string Name, string Host, bool Current);

internal sealed class ContextListCommand : Verb
{
    private readonly OutputOption output = new();
    private readonly QuietOption quiet = new("Print names only");

    public ContextListCommand()
        : base(
            "ls", "List the servers you have logged in to",
            new("berth context ls", "The one in use has a star"),
            new("berth context ls -o json", "For programs"))
    {
        Add(output);
        Add(quiet);
    }

    protected override Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        ContextDocument document = ContextFile.Of(session.Terminal).Read();
        ContextLine[] lines =
            [.. document.Contexts.Select(c => new ContextLine(c.Key, c.Value.Host, c.Key == document.Current))];
        if (session.Get(output) == "json")
        {
            JsonOutput.Write(session.Terminal, lines, ContextLineJson.Default.ContextLineArray);
            return Task.FromResult(0);
        }

        Table table = new(new("IN USE"), new("NAME"), new("SERVER"));
        foreach (ContextLine line in lines)
        {
            if (session.Get(quiet))
            {
                session.Terminal.Out.WriteLine(line.Name);
            }

            table.Add(line.Current ? "*" : "", line.Name, line.Host);
        }

        if (!session.Get(quiet))
        {
            table.Write(session.Terminal);
        }

        return Task.FromResult(0);
    }
}

internal sealed class UseCommand : Verb
{
    private readonly Argument<string> name = new("name") { Description = "Name of the context" };

    public UseCommand()
        : base("use", "Use another server from now on", new Example("berth context use office", "The one named office"))
        => Add(name);

    protected override Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        ContextFile file = ContextFile.Of(session.Terminal);
        ContextDocument document = file.Read();
        string wanted = session.Get(name);
        if (!document.Contexts.TryGetValue(wanted, out ServerContext? context))
        {
            throw ContextCommands.Unknown(wanted);
        }

        file.Write(document with { Current = wanted });
        session.Say($"Now using {context.Host}.");
        return Task.FromResult(0);
    }
}

internal sealed class ContextRemoveCommand : Verb
{
    private readonly Argument<string> name = new("name") { Description = "Name of the context" };

    public ContextRemoveCommand()
        : base(
            "rm", "Forget a server and its token; the token itself stays valid",
            new Example("berth context rm office", "Forget the one named office"))
        => Add(name);

    protected override Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        ContextFile file = ContextFile.Of(session.Terminal);
        ContextDocument document = file.Read();
        string unwanted = session.Get(name);
        if (!document.Contexts.Remove(unwanted))
        {
            throw ContextCommands.Unknown(unwanted);
        }

        file.Write(document with { Current = document.Current == unwanted ? null : document.Current });
        return Task.FromResult(0);
    }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(ContextLine[]))]
internal sealed partial class ContextLineJson : JsonSerializerContext;
