using System.Globalization;
using Berth.Core.Errors;
using Berth.Core.Resources;

namespace Berth.Api.Client;

/// <summary>When the answer of a synchronous call begins.</summary>
public enum AnswerStart
{
    /// <summary>When the program has ended, or has written more than 64 KiB.</summary>
    Held,

    /// <summary>With the first byte of output.</summary>
    FirstByte,

    /// <summary>With the program, so that <see cref="Call.RunId"/> is known while it runs.</summary>
    Program,
}

/// <summary>How an image is to be run. What is null is left to the image or to the server's defaults.</summary>
public sealed record RunOptions
{
    public static RunOptions None { get; } = new();

    /// <summary>Replaces the image's ENTRYPOINT and CMD.</summary>
    public IReadOnlyList<string> Command { get; init; } = [];

    /// <summary>Replaces the image's CMD.</summary>
    public IReadOnlyList<string> Arguments { get; init; } = [];

    public IReadOnlyDictionary<string, string> Environment { get; init; } = new Dictionary<string, string>();

    public IReadOnlyDictionary<string, string> Labels { get; init; } = new Dictionary<string, string>();

    public ByteSize? Memory { get; init; }

    public CpuQuota? Cpus { get; init; }

    public int? Pids { get; init; }

    /// <summary>Size of the writable layer.</summary>
    public ByteSize? Disk { get; init; }

    public TimeSpan? Timeout { get; init; }

    public string? User { get; init; }

    public string? WorkingDirectory { get; init; }

    /// <summary><c>none</c> or <c>host</c>.</summary>
    public string? Network { get; init; }

    /// <summary>Name of an OCI runtime that the operator has registered.</summary>
    public string? Runtime { get; init; }

    /// <summary>Named volumes as NAME:/path, folders of its machine as /folder:/path; :ro for reading only.</summary>
    public IReadOnlyList<string> Volumes { get; init; } = [];

    /// <summary>Empty folders in memory, as /path or /path:size=64Mi.</summary>
    public IReadOnlyList<string> TemporaryFolders { get; init; } = [];

    /// <summary>What its node must be like, for instance <c>zone=cellar</c>.</summary>
    public IReadOnlyList<string> Constraints { get; init; } = [];

    /// <summary>Taints of nodes that it bears.</summary>
    public IReadOnlyList<string> Tolerations { get; init; } = [];

    /// <summary>Label of nodes over whose values runs are spread evenly.</summary>
    public string? Spread { get; init; }

    public ByteSize? OutputLimit { get; init; }

    /// <summary>Media type of the input, told to the program.</summary>
    public string? ContentType { get; init; }

    /// <summary>Media type that the answer or result is given.</summary>
    public string? ResultContentType { get; init; }

    /// <summary>Calls only. A failure after the answer's beginning cuts it off instead of being its status.</summary>
    public AnswerStart Answer { get; init; }

    /// <summary>Tasks only: a second submission with the same key is the same task.</summary>
    public string? IdempotencyKey { get; init; }

    /// <summary>Tasks only: told by POST when the task has ended.</summary>
    public Uri? Callback { get; init; }

    /// <summary>Tasks only: given up when it has not begun by then.</summary>
    public TimeSpan? MaxAge { get; init; }

    /// <summary>Tasks only: from -100 to 100, the higher is served the sooner; below 0 it gives its place up to others;
    /// null for 0.</summary>
    public int? Priority { get; init; }

    /// <summary>Tasks only: how many times it is tried at most.</summary>
    public int? Attempts { get; init; }

    /// <summary>Tasks only: whether the program's own failure is tried again too.</summary>
    public bool RetryFailures { get; init; }

    /// <summary>The request headers that say this, one pair a line. Throws BerthException(InvalidRequest).</summary>
    internal IEnumerable<(string Name, string Value)> Headers()
    {
        foreach ((string name, string value) in AllHeaders())
        {
            // A line break would begin another header.
            if (
                value.AsSpan().ContainsAnyInRange('\0', '\x1f')
                    || value.AsSpan().ContainsAnyExceptInRange('\0', '\x7e'))
            {
                throw new BerthException(
                    ErrorCode.InvalidRequest, $"'{value}' can't be sent as {name}: use printable ASCII characters.");
            }

            yield return (name, value);
        }
    }

    private IEnumerable<(string Name, string Value)> AllHeaders() =>
    [
        .. Command.Select(c => ("Berth-Command", Uri.EscapeDataString(c))),
        .. Arguments.Select(a => ("Berth-Arg", Uri.EscapeDataString(a))),
        .. Environment.Select(e => ("Berth-Env", Uri.EscapeDataString(e.Key) + "=" + Uri.EscapeDataString(e.Value))),
        .. Labels.Select(l => ("Berth-Label", Uri.EscapeDataString(l.Key) + "=" + Uri.EscapeDataString(l.Value))),
        .. One("Berth-Memory", Memory is { } m ? Number(m.Bytes) : null),
        .. One("Berth-Cpus", Cpus?.ToString()),
        .. One("Berth-Pids", Pids is { } p ? Number(p) : null),
        .. One("Berth-Disk", Disk is { } d ? Number(d.Bytes) : null),
        .. One("Berth-Timeout", Timeout is { } t ? Duration.Format(t) : null),
        .. One("Berth-User", User),
        .. One("Berth-Workdir", WorkingDirectory),
        .. One("Berth-Network", Network),
        .. One("Berth-Runtime", Runtime),
        .. Volumes.Select(v => ("Berth-Volume", Uri.EscapeDataString(v))),
        .. TemporaryFolders.Select(t => ("Berth-Tmpfs", Uri.EscapeDataString(t))),
        .. Constraints.Select(c => ("Berth-Constraint", Uri.EscapeDataString(c))),
        .. Tolerations.Select(t => ("Berth-Tolerate", Uri.EscapeDataString(t))),
        .. One("Berth-Spread", Spread),
        .. One("Berth-Output-Limit", OutputLimit is { } o ? Number(o.Bytes) : null),
        .. One("Content-Type", ContentType),
        .. One("Berth-Content-Type", ResultContentType),
        .. One("Berth-Stream", Answer switch
        {
            AnswerStart.FirstByte => "true",
            AnswerStart.Program => "start",
            _ => null,
        }),
        .. One("Idempotency-Key", IdempotencyKey),
        .. One("Berth-Callback", Callback?.AbsoluteUri),
        .. One("Berth-Max-Age", MaxAge is { } age ? Duration.Format(age) : null),
        .. One("Berth-Priority", Priority is { } priority ? Number(priority) : null),
        .. One("Berth-Attempts", Attempts is { } attempts ? Number(attempts) : null),
        .. One("Berth-Retry-Failures", RetryFailures ? "true" : null),
    ];

    private static string Number(long number) => number.ToString(CultureInfo.InvariantCulture);

    private static (string, string)[] One(string name, string? value) => value is null ? [] : [(name, value)];
}
