using System.Globalization;
using System.Net.Http.Headers;
using System.Text.RegularExpressions;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Core.Resources;
using Berth.Core.Runs;
using Berth.Server.Configuration;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.Calls;

/// <summary>
/// Turns the headers of a request into what is to be run: the one place where options are read, for calls and
/// tasks alike. Everything is checked against the operator's limits, and refused by naming the header, the
/// value and the knob.
/// </summary>
internal static partial class RunRequest
{
    /// <summary>More of them would come near the kernel's limit for arguments and environment together.</summary>
    public const int MaxArguments = 1024;

    public const int MaxVariables = 512;
    public const int MaxLabels = 64;
    public const int MaxLabelLength = 255;
    public const int MaxAttempts = 100;
    private const int MaxPathLength = 4095;

    private static readonly ByteSize LeastMemory = ByteSize.MiB(4);
    private static readonly ByteSize LeastDisk = ByteSize.MiB(1);
    private static readonly ByteSize LeastOutput = ByteSize.FromBytes(1);
    private static readonly TimeSpan LeastTime = TimeSpan.FromMilliseconds(10);
    private static readonly TimeSpan MostAge = TimeSpan.FromDays(30);

    public static RunSpec Parse(
        HttpRequest request, OptionHeaders options, RunKind kind, ImageReference image, Digest digest,
        ServerOptions limits)
    {
        bool task = kind == RunKind.Task;
        List<string>? command = Texts(options, OptionHeaders.Command);
        List<string>? arguments = Texts(options, OptionHeaders.Argument);
        if (command is not null && arguments is not null)
        {
            throw OptionHeaders.Refuse(
                OptionHeaders.Argument, arguments[0],
                $"{OptionHeaders.Command} is given too, and it replaces the whole command line: "
                + "put the arguments there");
        }

        return new RunSpec(
            image.ToString(), digest,
            Limits(options, limits),
            Network(options, limits),
            command, arguments,
            Environment(options, request),
            User(options), WorkingDirectory(options),
            Time(options, OptionHeaders.Timeout, LeastTime, task ? limits.MaxTaskTimeout : limits.MaxCallTimeout,
                task ? "max-task-timeout" : "max-call-timeout") ?? (task ? limits.TaskTimeout : limits.CallTimeout),
            limits.Grace,
            Retry(options),
            Time(options, OptionHeaders.MaxAge, LeastTime, MostAge, null),
            Size(options, OptionHeaders.OutputLimit, LeastOutput, task ? limits.ResultLimit : limits.OutputLimit,
                task ? "result-limit" : "output-limit") ?? (task ? limits.ResultLimit : limits.OutputLimit),
            ContentType(options),
            Callback(options),
            Labels(options));
    }

    /// <summary>The header <c>Berth-Stream</c>.</summary>
    public static AnswerStart AnswerStartOf(OptionHeaders options) => options.Find(OptionHeaders.Stream) switch
    {
        null or "false" => AnswerStart.Held,
        "true" => AnswerStart.FirstByte,
        "start" => AnswerStart.Program,
        { } other => throw OptionHeaders.Refuse(OptionHeaders.Stream, other, "expected true, false or start"),
    };

    /// <summary>The header <c>Idempotency-Key</c>: 1 to 255 visible characters; null when there is none.</summary>
    public static string? IdempotencyKey(OptionHeaders options)
    {
        string? key = options.Find(OptionHeaders.IdempotencyKey);
        return key is null || (key.Length is > 0 and <= 255 && key.All(c => c is > ' ' and < '\u007f'))
            ? key
            : throw OptionHeaders.Refuse(
                OptionHeaders.IdempotencyKey, key, "1 to 255 visible ASCII characters make a key");
    }

    public static bool IsVariableName(string name) => VariableName().IsMatch(name);

    public static bool IsLabel(string name, string value) =>
        LabelName().IsMatch(name) && value.Length <= MaxLabelLength;

    /// <summary><c>uid[:gid]</c>, or names.</summary>
    public static bool IsUser(string user) => UserText().IsMatch(user) && user.Split(':').All(IsNameOrId);

    public static bool IsWorkingDirectory(string path) => path.StartsWith('/') && path.Length <= MaxPathLength
        && path != "/proc" && !path.StartsWith("/proc/", StringComparison.Ordinal) && !path.Split('/').Contains("..");

    private static SandboxLimits Limits(OptionHeaders options, ServerOptions server)
    {
        SandboxLimits most = server.MaxLimits;
        SandboxLimits usual = server.DefaultLimits;
        CpuQuota cpu = usual.Cpu;
        if (options.Find(OptionHeaders.Cpus) is { } cpus
            && !(CpuQuota.TryParse(cpus, out cpu) && cpu.Millicores <= most.Cpu.Millicores))
        {
            throw OptionHeaders.Refuse(
                OptionHeaders.Cpus, cpus,
                $"expected 10m to {most.Cpu} (the operator's max-cpus), written such as 0.5, 2 or 500m");
        }

        return new SandboxLimits(
            Size(options, OptionHeaders.Memory, LeastMemory, most.Memory, "max-memory") ?? usual.Memory,
            cpu,
            Number(options, OptionHeaders.Pids, 4, most.Pids, "max-pids") ?? usual.Pids,
            Size(options, OptionHeaders.Disk, LeastDisk, most.WritableLayer, "max-disk") ?? usual.WritableLayer);
    }

    private static NetworkMode Network(OptionHeaders options, ServerOptions server) =>
        options.Find(OptionHeaders.Network) switch
        {
            null or "none" => NetworkMode.None,
            "host" when server.AllowHostNetwork => NetworkMode.Host,
            "host" => throw new BerthException(
                ErrorCode.Forbidden,
                $"The header {OptionHeaders.Network} = 'host' is not allowed on this server: "
                + "the operator's allow-host-network decides."),
            { } other => throw OptionHeaders.Refuse(OptionHeaders.Network, other, "expected none or host"),
        };

    private static Dictionary<string, string> Environment(OptionHeaders options, HttpRequest request)
    {
        Dictionary<string, string> environment = CgiVariables.Of(request);
        HashSet<string> own = [];
        foreach (string header in options.FindAll(OptionHeaders.Variable))
        {
            (string name, string value) = Pair(OptionHeaders.Variable, header);
            if (!IsVariableName(name))
            {
                throw OptionHeaders.Refuse(
                    OptionHeaders.Variable, header,
                    "a name has letters, digits, '_', '.' and '-' and does not start with a digit");
            }

            if (name.StartsWith("BERTH_", StringComparison.Ordinal))
            {
                throw OptionHeaders.Refuse(
                    OptionHeaders.Variable, header, "names that start with BERTH_ are Berth's own");
            }

            if (!own.Add(name))
            {
                throw OptionHeaders.Refuse(OptionHeaders.Variable, header, $"{name} is given more than once");
            }

            environment[name] = value;
        }

        return own.Count <= MaxVariables
            ? environment
            : throw OptionHeaders.Refuse(OptionHeaders.Variable, "…", $"at most {MaxVariables} variables can be given");
    }

    private static Dictionary<string, string> Labels(OptionHeaders options)
    {
        Dictionary<string, string> labels = [];
        foreach (string header in options.FindAll(OptionHeaders.Label))
        {
            (string name, string value) = Pair(OptionHeaders.Label, header);
            if (!IsLabel(name, value))
            {
                throw OptionHeaders.Refuse(
                    OptionHeaders.Label, header,
                    $"a name has 1 to 63 letters, digits, '_', '.', '/' and '-', "
                    + $"a value at most {MaxLabelLength} characters");
            }

            if (!labels.TryAdd(name, value))
            {
                throw OptionHeaders.Refuse(OptionHeaders.Label, header, $"{name} is given more than once");
            }
        }

        return labels.Count <= MaxLabels
            ? labels
            : throw OptionHeaders.Refuse(OptionHeaders.Label, "…", $"at most {MaxLabels} labels can be given");
    }

    private static (string Name, string Value) Pair(string header, string text)
    {
        int equals = text.IndexOf('=', StringComparison.Ordinal);
        return equals > 0
            ? (PercentText.Decode(header, text[..equals]), PercentText.Decode(header, text[(equals + 1)..]))
            : throw OptionHeaders.Refuse(header, text, "write NAME=VALUE");
    }

    private static List<string>? Texts(OptionHeaders options, string header)
    {
        IReadOnlyList<string> values = options.FindAll(header);
        if (values.Count > MaxArguments)
        {
            throw OptionHeaders.Refuse(header, "…", $"at most {MaxArguments} can be given");
        }

        return values.Count == 0 ? null : [.. values.Select(v => PercentText.Decode(header, v))];
    }

    private static string? User(OptionHeaders options)
    {
        string? user = options.Find(OptionHeaders.User);
        return user is null || IsUser(user)
            ? user
            : throw OptionHeaders.Refuse(
                OptionHeaders.User, user,
                "expected uid, uid:gid, or names of the image's own users and groups; "
                + "ids are at most 2147483647");
    }

    // A number past int.MaxValue must not be taken for a name that the image may happen to have.
    private static bool IsNameOrId(string part) =>
        part.AsSpan().ContainsAnyExcept("0123456789")
        || int.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out _);

    private static string? WorkingDirectory(OptionHeaders options)
    {
        if (options.Find(OptionHeaders.WorkingDirectory) is not { } text)
        {
            return null;
        }

        string path = PercentText.Decode(OptionHeaders.WorkingDirectory, text);
        return IsWorkingDirectory(path)
            ? path
            : throw OptionHeaders.Refuse(
                OptionHeaders.WorkingDirectory, text, "expected an absolute path without '..' that is not in /proc");
    }

    private static RetryPolicy Retry(OptionHeaders options) => new(
        Number(options, OptionHeaders.Attempts, 1, MaxAttempts, null) ?? RetryPolicy.Default.MaxAttempts,
        Flag(options, OptionHeaders.RetryFailures));

    private static bool Flag(OptionHeaders options, string header) => options.Find(header) switch
    {
        null or "false" => false,
        "true" => true,
        { } other => throw OptionHeaders.Refuse(header, other, "expected true or false"),
    };

    private static string ContentType(OptionHeaders options)
    {
        string? type = options.Find(OptionHeaders.ContentType);
        return type is null || (type.Length <= MaxLabelLength && MediaTypeHeaderValue.TryParse(type, out _))
            ? type ?? "application/octet-stream"
            : throw OptionHeaders.Refuse(OptionHeaders.ContentType, type, "expected a media type such as image/jpeg");
    }

    private static Uri? Callback(OptionHeaders options)
    {
        string? text = options.Find(OptionHeaders.Callback);
        bool valid = Uri.TryCreate(text, UriKind.Absolute, out Uri? uri) && text!.Length <= 2048
            && (uri.Scheme == Uri.UriSchemeHttp || uri.Scheme == Uri.UriSchemeHttps)
            && uri.UserInfo.Length == 0 && uri.Fragment.Length == 0;
        return text is null || valid
            ? uri
            : throw OptionHeaders.Refuse(
                OptionHeaders.Callback, text,
                "expected an absolute http or https address without user name and fragment");
    }

    private static ByteSize? Size(OptionHeaders options, string header, ByteSize least, ByteSize most, string setting)
    {
        if (options.Find(header) is not { } text)
        {
            return null;
        }

        return ByteSize.TryParse(text, out ByteSize size) && size >= least && size <= most
            ? size
            : throw OptionHeaders.Refuse(
                header, text, $"expected {least} to {most} (the operator's {setting}), written such as 256Mi or 1.5Gi");
    }

    private static int? Number(OptionHeaders options, string header, int least, int most, string? setting)
    {
        if (options.Find(header) is not { } text)
        {
            return null;
        }

        return int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int number)
            && number >= least && number <= most
            ? number
            : throw OptionHeaders.Refuse(
                header, text,
                $"expected a whole number from {least} to {most}"
                + (setting is null ? "" : $" (the operator's {setting})"));
    }

    private static TimeSpan? Time(OptionHeaders options, string header, TimeSpan least, TimeSpan most, string? setting)
    {
        if (options.Find(header) is not { } text)
        {
            return null;
        }

        return Duration.TryParse(text, out TimeSpan time) && time >= least && time <= most
            ? time
            : throw OptionHeaders.Refuse(
                header, text,
                $"expected {Duration.Format(least)} to {Duration.Format(most)}"
                + (setting is null ? "" : $" (the operator's {setting})") + ", written such as 500ms, 60s or 5m");
    }

    [GeneratedRegex(@"\A[A-Za-z_][A-Za-z0-9_.-]{0,254}\z", RegexOptions.NonBacktracking)]
    private static partial Regex VariableName();

    [GeneratedRegex(@"\A[A-Za-z0-9][A-Za-z0-9_./-]{0,62}\z", RegexOptions.NonBacktracking)]
    private static partial Regex LabelName();

    [GeneratedRegex(
        @"\A[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}\$?(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}\$?)?\z",
        RegexOptions.NonBacktracking)]
    private static partial Regex UserText();
}
