using System.CommandLine;
using System.Globalization;
using Berth.Api.Client;
using Berth.Api.Containers;
using Berth.Commands.Runs;
using Berth.Core.Errors;
using Berth.Core.Resources;

namespace Berth.Commands.Containers;

/// <summary>The options that make a run a container: something with a name that lasts. 'run' and 'create' share them.
/// </summary>
internal sealed class ContainerSettings
{
    private readonly Option<string?> name = Named(
        "--name", null, "NAME", "Name of the container; made up if not given");


    private readonly Option<bool> terminal = Switch("--tty", "-t", "Run the program at a terminal");
    private readonly Option<string[]> volumes = Repeated(
        "--volume", "-v", "[SOURCE:]PATH[:ro]", "Mount a named volume, or a folder of the server's machine");

    private readonly Option<string[]> mounts = Repeated(
        "--mount", null, "type=TYPE,…", "The same in words: type=volume|bind|tmpfs,source=…,target=…[,readonly]");

    private readonly Option<string[]> temporary = Repeated(
        "--tmpfs", null, "PATH[:size=SIZE]", "Mount an empty folder in memory");

    private readonly Option<bool> readOnly = Switch("--read-only", null, "Nothing but the mounts can be written");
    private readonly Option<string?> restart = Named(
        "--restart", null, "POLICY", "What follows the program's end: no, on-failure[:N], always, unless-stopped");

    private readonly Option<string?> hostName = Named("--hostname", null, "NAME", "What it sees as its machine's name");
    private readonly Option<string?> stopSignal = Named(
        "--stop-signal", null, "SIGNAL", "Signal that asks the program to end");

    private readonly Option<string?> stopTimeout = Named(
        "--stop-timeout", null, "TIME", "How long it may take to end before it is killed");

    private readonly Option<string?> healthCommand = Named(
        "--health-cmd", null, "LINE", "Shell line that succeeds while all is well");

    private readonly Option<string?> healthInterval = Named("--health-interval", null, "TIME", "Time between checks");
    private readonly Option<string?> healthTimeout = Named("--health-timeout", null, "TIME", "Longest time of a check");
    private readonly Option<string?> healthStart = Named(
        "--health-start-period", null, "TIME", "How long failed checks don't count after the start");

    private readonly Option<string?> healthRetries = Named(
        "--health-retries", null, "N", "Failed checks in a row that make it unhealthy");

    private readonly Option<bool> noHealth = Switch("--no-healthcheck", null, "Don't run the image's health check");

    private readonly Option<string[]> ports = Repeated(
        "--publish", "-p", "[IP:]PORT:PORT[/udp]", "Let a port of its machine lead to one of the container");

    private readonly Option<string?> address = Named("--ip", null, "ADDRESS", "Its address in the network");
    private readonly Option<string[]> aliases = Repeated(
        "--network-alias", null, "NAME", "Another name in the network, besides its own");

    public void AddTo(Command command)
    {
        Option[] options =
        [
            name, terminal, volumes, mounts, temporary, readOnly, restart, hostName, stopSignal, stopTimeout,
            healthCommand, healthInterval, healthTimeout, healthStart, healthRetries, noHealth,
            ports, address, aliases,
        ];
        foreach (Option option in options)
        {
            command.Add(option);
        }
    }

    /// <summary>Whether any of it was asked for.</summary>
    public bool IsAsked(Session session) => session.Get(name) is not null || session.Get(terminal)
        || session.Get(readOnly) || session.Get(noHealth)
        || new[] { volumes, mounts, temporary, ports, aliases }.Any(o => session.Get(o) is [_, ..])
        || new[]
        {
            restart, hostName, stopSignal, stopTimeout, healthCommand, healthInterval, healthTimeout, healthStart,
            healthRetries, address,
        }.Any(o => session.Get(o) is not null);

    public bool Terminal(Session session) => session.Get(terminal);

    /// <param name="interactive">Standard input stays open.</param>
    public ContainerRequest Read(Session session, RunSettings settings, bool interactive, bool remove)
    {
        RunOptions run = settings.Read(session);
        (string, bool)[] foreign =
        [
            ("--timeout", run.Timeout is not null), ("--output-limit", run.OutputLimit is not null),
            ("--content-type", run.ContentType is not null),
        ];
        if (foreign.FirstOrDefault(f => f.Item2).Item1 is { } option)
        {
            throw new BerthException(
                ErrorCode.InvalidRequest,
                $"{option} belongs to calls and tasks; a container runs until it ends.");
        }

        return new ContainerRequest(
            settings.Image(session), session.Get(name),
            run.Command.Count == 0 ? null : run.Command, run.Arguments.Count == 0 ? null : run.Arguments,
            run.Environment, run.User, run.WorkingDirectory, Bytes(run.Memory), run.Cpus?.ToString(), run.Pids,
            Bytes(run.Disk), run.Network, session.Get(terminal), interactive, session.Get(readOnly),
            Mounts(session), session.Get(hostName), session.Get(restart), remove, session.Get(stopSignal),
            session.Get(stopTimeout) is { } time ? SecondsOf("--stop-timeout", time) : null, Health(session),
            run.Labels, run.Runtime, Given(session.Get(ports), PortText.Read), Given(session.Get(aliases), a => a),
            session.Get(address), run.Constraints.Count == 0 ? null : run.Constraints,
            run.Tolerations.Count == 0 ? null : run.Tolerations, run.Spread);
    }

    internal static string? Bytes(ByteSize? size) => size?.Bytes.ToString(CultureInfo.InvariantCulture);

    /// <summary>Docker's plain numbers are seconds.</summary>
    internal static string SecondsOf(string option, string text)
    {
        string time = text.All(char.IsAsciiDigit) ? text + "s" : text;
        return Duration.TryParse(time, out _)
            ? time
            : throw new BerthException(
                ErrorCode.InvalidRequest, $"{option}: '{text}' is no length of time: write seconds, or such as 1m.");
    }

    private static IReadOnlyList<T>? Given<T>(string[]? texts, Func<string, T> read) =>
        texts is null or [] ? null : [.. texts.Select(read)];

    private MountView[] Mounts(Session session) =>
    [
        .. (session.Get(volumes) ?? []).Select(MountText.OfVolume),
        .. (session.Get(mounts) ?? []).Select(MountText.OfMount),
        .. (session.Get(temporary) ?? []).Select(MountText.OfTemporary),
    ];

    private HealthCheckRequest? Health(Session session)
    {
        if (session.Get(noHealth))
        {
            return new HealthCheckRequest([]);
        }

        string? line = session.Get(healthCommand);
        Option<string?>[] details = [healthInterval, healthTimeout, healthStart, healthRetries];
        if (line is null)
        {
            return details.FirstOrDefault(o => session.Get(o) is not null) is { } lone
                ? throw new BerthException(
                    ErrorCode.InvalidRequest, $"{lone.Name} says how --health-cmd is run: give that too.")
                : null;
        }

        return new HealthCheckRequest(
            ["/bin/sh", "-c", line], session.Get(healthInterval), session.Get(healthTimeout), session.Get(healthStart),
            RunSettings.Parse(session, healthRetries, RunSettings.ParseNumber));
    }

    private static Option<string?> Named(string name, string? alias, string value, string description) =>
        new(name, alias is null ? [] : [alias]) { HelpName = value, Description = description };

    private static Option<bool> Switch(string name, string? alias, string description) =>
        new(name, alias is null ? [] : [alias]) { Description = description };

    private static Option<string[]> Repeated(string name, string? alias, string value, string description) =>
        new(name, alias is null ? [] : [alias])
        {
            HelpName = value,
            Description = description + " (repeatable)",
            AllowMultipleArgumentsPerToken = false,
        };
}
