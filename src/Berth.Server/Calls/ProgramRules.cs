using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Networks;
using Berth.Core.Resources;
using Berth.Core.Runs;
using Berth.Server.Configuration;

namespace Berth.Server.Calls;

/// <summary>
/// What may be asked of a program that is to run: the one place of each rule, for calls, tasks, containers and further
/// programs in them. Everything is checked against the operator's limits, and refused by naming where it stood, the
/// value and the knob.
/// </summary>
internal static partial class ProgramRules
{
    /// <summary>More of them would come near the kernel's limit for arguments and environment together.</summary>
    public const int MaxArguments = 1024;

    /// <summary>The kernel's limit for one argument (MAX_ARG_STRLEN), without its end.</summary>
    private const int MaxWordBytes = (128 * 1024) - 1;

    public const int MaxVariables = 512;
    public const int MaxLabels = 64;
    public const int MaxLabelLength = 255;

    private const int LeastPids = 4;
    private const int MaxPathLength = 4095;

    private static readonly ByteSize LeastMemory = ByteSize.MiB(4);

    /// <param name="leastDisk">What a writable layer of the kind that is asked for takes at least.</param>
    public static SandboxLimits Limits(
        Asked memory, Asked cpus, Asked pids, Asked disk, ByteSize leastDisk, ServerOptions server)
    {
        SandboxLimits most = server.MaxLimits;
        SandboxLimits usual = server.DefaultLimits;
        CpuQuota cpu = usual.Cpu;
        if (cpus.Text is not null
            && !(CpuQuota.TryParse(cpus.Text, out cpu) && cpu.Millicores <= most.Cpu.Millicores))
        {
            throw cpus.Refuse($"expected 10m to {most.Cpu} (the operator's max-cpus), written such as 0.5, 2 or 500m");
        }

        return new SandboxLimits(
            Size(memory, LeastMemory, most.Memory, "max-memory") ?? usual.Memory,
            cpu,
            Number(pids, LeastPids, most.Pids, "max-pids") ?? usual.Pids,
            Size(disk, leastDisk, most.WritableLayer, "max-disk") ?? usual.WritableLayer);
    }

    public static NetworkMode Network(Asked network, ServerOptions server) => network.Text switch
    {
        null or "none" => NetworkMode.None,
        "host" when server.AllowHostNetwork => NetworkMode.Host,
        "host" => throw new BerthException(
            ErrorCode.Forbidden,
            $"{network.Place} = 'host' is not allowed on this server: the operator's allow-host-network decides."),
        { } name when NetworkName.IsValid(name) => NetworkMode.Bridge,
        _ => throw network.Refuse("expected none, host, or the name of a network"),
    };

    /// <summary>The network by its name, where that is what was meant; who may use it is asked afterwards.</summary>
    public static NetworkUse? Bridge(Asked network) =>
        network.Text is null or "none" or "host" ? null : new NetworkUse("", network.Text);

    /// <summary>Null for the node's own runtime, which has a name too.</summary>
    public static string? Runtime(Asked runtime, ServerOptions server)
    {
        if (runtime.Text is null or RegisteredRuntime.Own)
        {
            return null;
        }

        IEnumerable<string> names = server.Runtimes.Select(r => r.Name);
        return names.Contains(runtime.Text)
            ? runtime.Text
            : throw runtime.Refuse(
                $"this server has {string.Join(", ", names.Prepend(RegisteredRuntime.Own))}; the operator's setting "
                + "'runtime' registers more");
    }

    /// <summary>Throws where arguments are given beside a whole command line.</summary>
    /// <param name="command">Where that stands.</param>
    public static void RequireOneOf(
        string command, IReadOnlyList<string>? commandWords, Asked arguments, IReadOnlyList<string>? argumentWords)
    {
        if (commandWords is { Count: > 0 } && argumentWords is { Count: > 0 })
        {
            throw arguments.Refuse(
                argumentWords[0],
                $"{command} is given too, and it replaces the whole command line: put the arguments there");
        }
    }

    public static IReadOnlyList<string> Words(Asked words, IReadOnlyList<string> given)
    {
        if (given.Count > MaxArguments)
        {
            throw words.Refuse("…", $"at most {MaxArguments} can be given");
        }

        if (given.FirstOrDefault(word => Encoding.UTF8.GetByteCount(word ?? "") > MaxWordBytes) is { } longest)
        {
            throw words.Refuse(longest, $"one may have {MaxWordBytes} bytes");
        }

        return given.All(word => word is not null && !word.Contains('\0', StringComparison.Ordinal))
            ? given
            : throw words.Refuse("…", "each must be a text without NUL characters");
    }

    public static Dictionary<string, string> Environment(Asked environment, IEnumerable<Named> given)
    {
        Dictionary<string, string> variables = new(StringComparer.Ordinal);
        foreach ((string text, string name, string? value) in given)
        {
            if (!VariableName().IsMatch(name))
            {
                throw environment.Refuse(
                    text, "a name has letters, digits, '_', '.' and '-' and does not start with a digit");
            }

            if (value is null || value.Contains('\0', StringComparison.Ordinal))
            {
                throw environment.Refuse(text, "a value is a text without NUL characters");
            }

            if (name.StartsWith("BERTH_", StringComparison.Ordinal))
            {
                throw environment.Refuse(text, "names that start with BERTH_ are Berth's own");
            }

            if (!variables.TryAdd(name, value))
            {
                throw environment.Refuse(text, $"{name} is given more than once");
            }
        }

        return variables.Count <= MaxVariables
            ? variables
            : throw environment.Refuse("…", $"at most {MaxVariables} variables can be given");
    }

    /// <param name="most">At most <see cref="MaxLabels"/>; fewer where Berth adds its own.</param>
    public static Dictionary<string, string> Labels(Asked labels, IEnumerable<Named> given, int most)
    {
        Dictionary<string, string> read = new(StringComparer.Ordinal);
        foreach ((string text, string name, string? value) in given)
        {
            if (value is null || value.Length > MaxLabelLength || !LabelName().IsMatch(name))
            {
                throw labels.Refuse(
                    text,
                    $"a name has 1 to 63 letters, digits, '_', '.', '/' and '-', "
                    + $"a value at most {MaxLabelLength} characters");
            }

            if (!read.TryAdd(name, value))
            {
                throw labels.Refuse(text, $"{name} is given more than once");
            }
        }

        return read.Count <= most ? read : throw labels.Refuse("…", $"at most {most} labels can be given");
    }

    /// <summary><c>uid[:gid]</c>, or names.</summary>
    public static string? User(Asked user) =>
        user.Text is null || (UserText().IsMatch(user.Text) && user.Text.Split(':').All(IsNameOrId))
            ? user.Text
            : throw user.Refuse(
                "expected uid, uid:gid, or names of the image's own users and groups; "
                + "ids are at most 2147483647");

    public static string? WorkingDirectory(Asked folder)
    {
        bool valid = folder.Text is not { } path || (path.StartsWith('/') && path.Length <= MaxPathLength
            && path != "/proc" && !path.StartsWith("/proc/", StringComparison.Ordinal)
            && !path.Contains('\0', StringComparison.Ordinal) && !path.Split('/').Contains(".."));
        return valid
            ? folder.Text
            : throw folder.Refuse("expected an absolute path without '..' that is not in /proc");
    }

    /// <param name="setting">The operator's that decides how much.</param>
    public static ByteSize? Size(Asked size, ByteSize least, ByteSize most, string setting) => size.Text is null ? null
        : ByteSize.TryParse(size.Text, out ByteSize read) && read >= least && read <= most ? read
        : throw size.Refuse(
            $"expected {least} to {most} (the operator's {setting}), written such as 256Mi or 1.5Gi");

    /// <param name="setting">The operator's that decides how much; null where none does.</param>
    public static int? Number(Asked number, int least, int most, string? setting) => number.Text is null ? null
        : int.TryParse(
            number.Text, least < 0 ? NumberStyles.AllowLeadingSign : NumberStyles.None, CultureInfo.InvariantCulture,
            out int read)
            && read >= least && read <= most ? read
        : throw number.Refuse($"expected a whole number from {least} to {most}{Decider(setting)}");

    /// <param name="setting">The operator's that decides how long; null where none does.</param>
    public static TimeSpan? Time(Asked time, TimeSpan least, TimeSpan most, string? setting) => time.Text is null ? null
        : Duration.TryParse(time.Text, out TimeSpan read) && read >= least && read <= most ? read
        : throw time.Refuse(
            $"expected {Duration.Format(least)} to {Duration.Format(most)}{Decider(setting)}, "
            + "written such as 500ms, 60s or 5m");

    private static string Decider(string? setting) => setting is null ? "" : $" (the operator's {setting})";

    // A number past int.MaxValue must not be taken for a name that the image may happen to have.
    private static bool IsNameOrId(string part) =>
        part.AsSpan().ContainsAnyExcept("0123456789")
        || int.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out _);

    [GeneratedRegex(@"\A[A-Za-z_][A-Za-z0-9_.-]{0,254}\z", RegexOptions.NonBacktracking)]
    private static partial Regex VariableName();

    [GeneratedRegex(@"\A[A-Za-z0-9][A-Za-z0-9_./-]{0,62}\z", RegexOptions.NonBacktracking)]
    private static partial Regex LabelName();

    [GeneratedRegex(
        @"\A[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}\$?(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}\$?)?\z",
        RegexOptions.NonBacktracking)]
    private static partial Regex UserText();
}

/// <summary>A variable or a label as it was given.</summary>
/// <param name="Text">What a refusal shows.</param>
internal readonly record struct Named(string Text, string Name, string? Value)
{
    /// <summary>The members of a document; none where it has none.</summary>
    public static IEnumerable<Named> Of(IReadOnlyDictionary<string, string>? members) =>
        (members ?? new Dictionary<string, string>()).Select(m => new Named(m.Key, m.Key, m.Value));
}
