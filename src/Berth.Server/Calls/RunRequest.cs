using System.Net.Http.Headers;
using Berth.Core.Callbacks;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Core.Placement;
using Berth.Core.Resources;
using Berth.Core.Runs;
using Berth.Server.Access;
using Berth.Server.Configuration;
using Berth.Server.Functions;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.Calls;

/// <summary>
/// Turns the headers of a request into what is to be run: the one place where options are read, for calls and
/// tasks alike. Everything is checked against the operator's limits, and refused by naming the header, the
/// value and the knob.
/// </summary>
internal static class RunRequest
{
    public const int MaxAttempts = 100;
    private const int MaxTypeLength = 255;
    private const int MaxCallbackLength = 2048;

    public static ByteSize LeastDisk { get; } = ByteSize.MiB(1);
    public static ByteSize LeastOutput { get; } = ByteSize.FromBytes(1);
    public static TimeSpan LeastTime { get; } = TimeSpan.FromMilliseconds(10);
    public static TimeSpan MostAge { get; } = TimeSpan.FromDays(30);

    public static RunSpec Parse(
        HttpRequest request, OptionHeaders options, RunKind kind, ImageReference image, Digest digest,
        ServerOptions limits)
    {
        bool task = kind == RunKind.Task;
        IReadOnlyList<string>? command = Texts(options, OptionHeaders.Command);
        IReadOnlyList<string>? arguments = Texts(options, OptionHeaders.Argument);
        ProgramRules.RequireOneOf(
            OptionHeaders.Command, command, options.Ask(OptionHeaders.Argument), arguments);
        ByteSize mostOutput = task ? limits.ResultLimit : limits.OutputLimit;
        return new RunSpec(
            image.ToString(), digest,
            ProgramRules.Limits(
                options.Ask(OptionHeaders.Memory), options.Ask(OptionHeaders.Cpus), options.Ask(OptionHeaders.Pids),
                options.Ask(OptionHeaders.Disk), LeastDisk, limits),
            ProgramRules.Network(options.Ask(OptionHeaders.Network), limits),
            command, arguments,
            Environment(options, request),
            ProgramRules.User(options.Ask(OptionHeaders.User)), WorkingDirectory(options),
            Timeout(options, task, limits),
            limits.Grace,
            Retry(options),
            ProgramRules.Time(options.Ask(OptionHeaders.MaxAge), LeastTime, MostAge, null),
            ProgramRules.Size(
                options.Ask(OptionHeaders.OutputLimit), LeastOutput, mostOutput,
                task ? "result-limit" : "output-limit") ?? mostOutput,
            ContentType(options.Ask(OptionHeaders.ContentType)),
            Callback(options),
            Labels(options),
            ProgramRules.Runtime(options.Ask(OptionHeaders.Runtime), limits),
            Placement: PlacementRules.Parse(
                Decoded(options, OptionHeaders.Constraint), Decoded(options, OptionHeaders.Tolerate),
                Spread(options)),
            Priority: Priority(request, options),
            Bridge: ProgramRules.Bridge(options.Ask(OptionHeaders.Network)),
            Mounts: MountOrder.Read(
                options.Ask(OptionHeaders.Volume), Decoded(options, OptionHeaders.Volume),
                options.Ask(OptionHeaders.Temporary), Decoded(options, OptionHeaders.Temporary), limits));
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

    private static Dictionary<string, string> Environment(OptionHeaders options, HttpRequest request)
    {
        Dictionary<string, string> environment = CgiVariables.Of(request);
        Dictionary<string, string> own = ProgramRules.Environment(
            options.Ask(OptionHeaders.Variable), Pairs(options, OptionHeaders.Variable));
        foreach ((string name, string value) in own)
        {
            environment[name] = value;
        }

        return environment;
    }

    private static Dictionary<string, string> Labels(OptionHeaders options)
    {
        Asked asked = options.Ask(OptionHeaders.Label);
        Dictionary<string, string> labels = ProgramRules.Labels(
            asked, Pairs(options, OptionHeaders.Label), ProgramRules.MaxLabels);
        // By them a revision's calls are known and judged: nobody else can put a failure down to it.
        foreach (string own in (string[])[FunctionLabels.Function, FunctionLabels.Revision])
        {
            if (labels.TryGetValue(own, out string? value))
            {
                throw asked.Refuse($"{own}={value}", "Berth itself labels the calls of functions so");
            }
        }

        return labels;
    }

    private static IEnumerable<Named> Pairs(OptionHeaders options, string header)
    {
        foreach (string text in options.FindAll(header))
        {
            int equals = text.IndexOf('=', StringComparison.Ordinal);
            yield return equals > 0
                ? new Named(
                    text, PercentText.Decode(header, text[..equals]), PercentText.Decode(header, text[(equals + 1)..]))
                : throw OptionHeaders.Refuse(header, text, "write NAME=VALUE");
        }
    }

    private static IReadOnlyList<string>? Texts(OptionHeaders options, string header)
    {
        IReadOnlyList<string> values = options.FindAll(header);
        return values.Count == 0
            ? null
            : ProgramRules.Words(options.Ask(header), [.. values.Select(v => PercentText.Decode(header, v))]);
    }

    private static IReadOnlyList<string> Decoded(OptionHeaders options, string header) =>
        [.. options.FindAll(header).Select(v => PercentText.Decode(header, v))];

    private static string? WorkingDirectory(OptionHeaders options)
    {
        Asked given = options.Ask(OptionHeaders.WorkingDirectory);
        return ProgramRules.WorkingDirectory(
            given.Text is null
                ? given
                : given with { Text = PercentText.Decode(OptionHeaders.WorkingDirectory, given.Text) });
    }

    private static TimeSpan Timeout(OptionHeaders options, bool task, ServerOptions limits)
    {
        Asked timeout = options.Ask(OptionHeaders.Timeout);
        return task
            ? ProgramRules.Time(timeout, LeastTime, limits.MaxTaskTimeout, "max-task-timeout") ?? limits.TaskTimeout
            : ProgramRules.Time(timeout, LeastTime, limits.MaxCallTimeout, "max-call-timeout") ?? limits.CallTimeout;
    }

    private static string? Spread(OptionHeaders options)
    {
        string? label = options.Find(OptionHeaders.Spread);
        return label is null || PlacementRules.IsSpread(label)
            ? label
            : throw OptionHeaders.Refuse(
                OptionHeaders.Spread, label, "expected the name of a label that nodes have, such as zone");
    }

    private static int Priority(HttpRequest request, OptionHeaders options)
    {
        Asked asked = options.Ask(OptionHeaders.Priority);
        int priority = ProgramRules.Number(asked, RunPriority.Least, RunPriority.Most, null) ?? RunPriority.Usual;
        return priority <= RunPriority.Usual || Caller.Of(request.HttpContext).Role == Role.Admin
            ? priority
            : throw new BerthException(
                ErrorCode.Forbidden,
                $"{OptionHeaders.Priority} = '{asked.Text}': only administrators put tasks ahead of others; use "
                + $"{RunPriority.Least} to {RunPriority.Usual}, or leave it out.");
    }

    private static RetryPolicy Retry(OptionHeaders options) => new(
        ProgramRules.Number(options.Ask(OptionHeaders.Attempts), 1, MaxAttempts, null)
            ?? RetryPolicy.Default.MaxAttempts,
        Flag(options, OptionHeaders.RetryFailures));

    private static bool Flag(OptionHeaders options, string header) => options.Find(header) switch
    {
        null or "false" => false,
        "true" => true,
        { } other => throw OptionHeaders.Refuse(header, other, "expected true or false"),
    };

    /// <summary>A media type, <c>application/octet-stream</c> where none is given.</summary>
    public static string ContentType(Asked type) =>
        type.Text is null || (type.Text.Length <= MaxTypeLength && MediaTypeHeaderValue.TryParse(type.Text, out _))
            ? type.Text ?? "application/octet-stream"
            : throw type.Refuse("expected a media type such as image/jpeg");

    private static Uri? Callback(OptionHeaders options)
    {
        string? text = options.Find(OptionHeaders.Callback);
        bool valid = WebAddress.TryParse(text, out Uri? uri) && text.Length <= MaxCallbackLength
            && uri.UserInfo.Length == 0 && uri.Fragment.Length == 0;
        return text is null || valid
            ? uri
            : throw OptionHeaders.Refuse(
                OptionHeaders.Callback, text,
                "expected an absolute http or https address without user name and fragment");
    }
}
