using System.CommandLine;
using Berth.Api.Client;
using Berth.Core.Errors;
using Berth.Core.Resources;

namespace Berth.Commands.Runs;

/// <summary>The options that say how an image is run; 'run' and 'task submit' share them.</summary>
internal sealed class RunSettings
{
    private readonly EnvironmentOptions environment = new();
    private readonly PlacementOptions placement = new();
    private readonly Option<string?> memory = Named("--memory", "-m", "SIZE", "Memory limit, for instance 512Mi");
    private readonly Option<string?> cpus = Named("--cpus", null, "N", "CPU limit in cores, for instance 0.5 or 2");
    private readonly Option<string?> pids = Named("--pids-limit", null, "N", "Most processes and threads at once");
    private readonly Option<string?> disk = Named(
        "--disk", null, "SIZE", "Size of the writable layer, for instance 1Gi");
    private readonly Option<string?> timeout = Named(
        "--timeout", null, "TIME", "End the program after this time, for instance 90s or 10m");
    private readonly Option<string?> user = Named(
        "--user", "-u", "USER[:GROUP]", "Run as this user instead of the image's");
    private readonly Option<string?> workdir = Named(
        "--workdir", "-w", "PATH", "Working directory instead of the image's");
    private readonly Option<string?> network = Named(
        "--network", null, "none|host|NAME", "What the program can reach: none, the default; the machine's; a network");
    private readonly Option<string?> runtime = Named(
        "--runtime", null, "NAME", "OCI runtime to use, of those that the server's operator has registered");
    private readonly Option<string?> entrypoint = Named(
        "--entrypoint", null, "PROGRAM", "Program to run instead of the image's entry point");
    private readonly Option<string[]> labels = Repeated(
        "--label", "-l", "KEY=VALUE", "Label of the run, to find it by");
    private readonly Option<string?> outputLimit = Named(
        "--output-limit", null, "SIZE", "End the program when it has written more than this");
    private readonly Option<string?> contentType = Named(
        "--content-type", null, "TYPE", "Media type of the input, told to the program");
    private readonly Argument<string> image = new("image")
    {
        Description = "Image to run, for instance demo/thumbnail:latest",
    };

    private readonly Argument<string[]> arguments = new("args")
    {
        Description = "Arguments for the program; everything after IMAGE is passed on as it is",
        Arity = ArgumentArity.ZeroOrMore,
    };

    /// <summary>Takes the options into the command. IMAGE and its arguments come last.</summary>
    /// <param name="lasting">The command makes containers only, which have no time limit and no result.</param>
    public void AddTo(Command command, bool lasting = false)
    {
        image.Validators.Add(ForeignOptions.RefusePath);
        foreach (
            Option option in (Option[])[
                memory, cpus, pids, disk, user, workdir, network, runtime, entrypoint, labels,
                .. lasting ? [] : new[] { timeout, outputLimit, contentType }])
        {
            command.Add(option);
        }

        environment.AddTo(command);
        placement.AddTo(command);
        command.Add(image);
        command.Add(arguments);
    }

    public string Image(Session session) => session.Get(image);

    public RunOptions Read(Session session)
    {
        string[] words = session.Get(arguments);
        string? program = session.Get(entrypoint);
        return placement.Add(session, new RunOptions
        {
            Command = program is null ? [] : [program, .. words],
            Arguments = program is null ? words : [],
            Environment = environment.Read(session),
            Labels = (session.Get(labels) ?? []).Select(l => Pair(l, "--label")).ToDictionary(p => p.Key, p => p.Value),
            Memory = Parse(session, memory, ByteSize.Parse),
            Cpus = Parse(session, cpus, CpuQuota.Parse),
            Pids = Parse(session, pids, ParseNumber),
            Disk = Parse(session, disk, ByteSize.Parse),
            Timeout = Parse(session, timeout, Duration.Parse),
            OutputLimit = Parse(session, outputLimit, ByteSize.Parse),
            User = session.Get(user),
            WorkingDirectory = session.Get(workdir),
            Network = session.Get(network),
            Runtime = session.Get(runtime),
            ContentType = session.Get(contentType),
        });
    }

    internal static T? Parse<T>(Session session, Option<string?> option, Func<string, T> parse)
        where T : struct
    {
        string? text = session.Get(option);
        try
        {
            return text is null ? null : parse(text);
        }
        catch (BerthException e)
        {
            throw new BerthException(e.Code, $"{option.Name}: {e.Message}", e);
        }
    }

    internal static int ParseNumber(string text) => int.TryParse(text, out int number) && number > 0
        ? number
        : throw new BerthException(ErrorCode.InvalidRequest, $"'{text}' is not a whole number above 0.");

    internal static int ParseCount(string text) => int.TryParse(text, out int number) && number >= 0
        ? number
        : throw new BerthException(ErrorCode.InvalidRequest, $"'{text}' is not a whole number.");

    internal static int ParseSigned(string text) => int.TryParse(text, out int number)
        ? number
        : throw new BerthException(ErrorCode.InvalidRequest, $"'{text}' is not a whole number.");

    internal static (string Key, string Value) Pair(string text, string option)
    {
        int equals = text.IndexOf('=', StringComparison.Ordinal);
        return equals > 0
            ? (text[..equals], text[(equals + 1)..])
            : throw new BerthException(ErrorCode.InvalidRequest, $"{option}: '{text}' is not of the form KEY=VALUE.");
    }

    private static Option<string?> Named(string name, string? alias, string value, string description) =>
        new(name, alias is null ? [] : [alias]) { HelpName = value, Description = description };

    private static Option<string[]> Repeated(string name, string alias, string value, string description) =>
        new(name, alias)
        {
            HelpName = value,
            Description = description + " (repeatable)",
            AllowMultipleArgumentsPerToken = false,
        };
}
