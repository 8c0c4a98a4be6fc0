using System.CommandLine;
using System.Globalization;
using Berth.Api.Functions;
using Berth.Commands.Output;

namespace Berth.Commands.Functions;

/// <summary><c>berth function</c>.</summary>
internal static class FunctionCommands
{
    public static Noun All() => new(
        "function", "Give an image a name and settings that callers need not know, and change them safely",
        [
            new("berth function deploy thumbnail demo/thumbnail 400", "Make a function, or its next revision"),
            new("berth function invoke thumbnail < photo.jpg > thumbnail.jpg", "Call it"),
            new("berth function rollback thumbnail", "Take the last change back"),
        ],
        new DeployCommand(), new FunctionListCommand(), new FunctionGetCommand(), new FunctionWhyCommand(),
        new InvokeCommand(), new FunctionLogsCommand(), new ScaleCommand(),
        new RevisionsCommand(), new FunctionDiffCommand(), new TrafficCommand(), new RollbackCommand(),
        new FunctionRemoveCommand());

    /// <summary>For instance <c>95% 3, 5% 4</c>.</summary>
    public static string Shares(TrafficView traffic) => traffic.Shares is [{ Percent: 100 } only]
        ? string.Create(CultureInfo.InvariantCulture, $"all to {only.Revision}")
        : string.Join(", ", traffic.Shares.Select(
            s => string.Create(CultureInfo.InvariantCulture, $"{s.Percent}% to {s.Revision}")));
}

/// <summary>The name of one function.</summary>
internal sealed class FunctionArgument : Argument<string>
{
    public FunctionArgument()
        : base("function") => Description = "Name of the function, as 'berth function ls' shows it";
}

internal sealed class FunctionListCommand : Verb
{
    private readonly OutputOption output = new();
    private readonly QuietOption quiet = new("Print names only");

    public FunctionListCommand()
        : base("ls", "List functions", new Example("berth function ls", "All of them"))
    {
        Add(output);
        Add(quiet);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        IReadOnlyList<FunctionView> functions = await session.Client.Functions.ListAsync(cancellationToken);
        if (session.Get(output) == "json")
        {
            JsonOutput.Write(session.Terminal, new FunctionList(functions), FunctionJson.Default.FunctionList);
            return 0;
        }

        Table table = new(new("FUNCTION"), new("IMAGE"), new("REVISION", Right: true), new("TRAFFIC"), new("DEPLOYED"));
        foreach (FunctionView function in functions)
        {
            if (session.Get(quiet))
            {
                await session.Terminal.Out.WriteLineAsync(function.Name);
            }

            table.Add(
                function.Name, function.Image, function.Revision.ToString(CultureInfo.InvariantCulture),
                FunctionCommands.Shares(function.Traffic),
                Wording.Age(function.DeployedAt, session.Terminal.Time.GetUtcNow()));
        }

        if (!session.Get(quiet))
        {
            table.Write(session.Terminal);
        }

        return 0;
    }
}

internal sealed class FunctionGetCommand : Verb
{
    private readonly FunctionArgument function = new();

    public FunctionGetCommand()
        : base("get", "Print all about a function", new Example("berth function get thumbnail", "As JSON"))
        => Add(function);

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        FunctionView view = await session.Client.Functions.GetAsync(session.Get(function), cancellationToken);
        JsonOutput.Write(session.Terminal, view, FunctionJson.Default.FunctionView);
        return 0;
    }
}

internal sealed class FunctionWhyCommand : Verb
{
    private readonly FunctionArgument function = new();

    public FunctionWhyCommand()
        : base(
            "why", "Tell how many instances a function has, and why so many",
            new Example("berth function why shop", "With the numbers of the last decision"))
        => Add(function);

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        FunctionView view = await session.Client.Functions.GetAsync(session.Get(function), cancellationToken);
        await WriteAsync(session, view);
        return 0;
    }

    /// <summary>How many instances there are, and why.</summary>
    public static async Task WriteAsync(Session session, FunctionView view)
    {
        TextWriter output = session.Terminal.Out;
        if (view.Scaling is null)
        {
            await output.WriteLineAsync(
                $"Each call of function {view.Name} is a program of its own: 'berth why RUN' tells about one.");
            return;
        }

        if (view.Scaling.Count == 0)
        {
            await output.WriteLineAsync(
                $"Function {view.Name} has no instances: nothing was called since the server started.");
        }

        foreach (ScalingView scaling in view.Scaling)
        {
            await output.WriteLineAsync(
                $"Revision {scaling.Revision}: {scaling.Ready} ready, {scaling.Starting} starting, "
                + $"{scaling.Running} calls running, {scaling.Waiting} waiting; "
                + $"{scaling.Min} to {scaling.Max} allowed.");
            await output.WriteLineAsync("  " + scaling.Why);
            if (scaling.Warm is { } warm)
            {
                await output.WriteLineAsync("  " + warm);
            }

            if (scaling.Trouble is { } trouble)
            {
                await output.WriteLineAsync("  " + trouble);
            }
        }
    }
}

internal sealed class FunctionRemoveCommand : SeveralCommand
{
    public FunctionRemoveCommand()
        : base(
            new("function") { Description = "Names of the functions" },
            "rm", "Remove functions with their revisions; calls under way go on",
            new Example("berth function rm thumbnail", "One"))
    {
    }

    protected override async Task SeeToAsync(Session session, string name, CancellationToken cancellationToken)
    {
        await session.Client.Functions.RemoveAsync(name, cancellationToken);
        await session.Terminal.Out.WriteLineAsync(name);
    }
}
