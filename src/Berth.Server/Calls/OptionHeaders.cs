using System.Collections.Frozen;
using Berth.Core.Errors;
using Berth.Core.Runs;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Primitives;

namespace Berth.Server.Calls;

/// <summary>The <c>Berth-*</c> headers of one request, each known, and given no more often than it may be.</summary>
internal sealed class OptionHeaders
{
    public const string Prefix = "Berth-";

    public const string Argument = "Berth-Arg";
    public const string Command = "Berth-Command";
    public const string Variable = "Berth-Env";
    public const string Memory = "Berth-Memory";
    public const string Cpus = "Berth-Cpus";
    public const string Pids = "Berth-Pids";
    public const string Disk = "Berth-Disk";
    public const string Timeout = "Berth-Timeout";
    public const string User = "Berth-User";
    public const string WorkingDirectory = "Berth-Workdir";
    public const string Network = "Berth-Network";
    public const string Runtime = "Berth-Runtime";
    public const string Volume = "Berth-Volume";
    public const string Temporary = "Berth-Tmpfs";
    public const string Label = "Berth-Label";
    public const string Constraint = "Berth-Constraint";
    public const string Tolerate = "Berth-Tolerate";
    public const string Spread = "Berth-Spread";
    public const string OutputLimit = "Berth-Output-Limit";
    public const string ContentType = "Berth-Content-Type";
    public const string Stream = "Berth-Stream";
    public const string Callback = "Berth-Callback";
    public const string MaxAge = "Berth-Max-Age";
    public const string Priority = "Berth-Priority";
    public const string Attempts = "Berth-Attempts";
    public const string RetryFailures = "Berth-Retry-Failures";
    public const string IdempotencyKey = "Idempotency-Key";

    private static readonly FrozenSet<string> Repeatable =
        FrozenSet.ToFrozenSet(
            [Argument, Command, Variable, Volume, Temporary, Label, Constraint, Tolerate],
            StringComparer.OrdinalIgnoreCase);

    private static readonly FrozenSet<string> TaskOnly = FrozenSet.ToFrozenSet(
        [Callback, MaxAge, Priority, Attempts, RetryFailures, IdempotencyKey], StringComparer.OrdinalIgnoreCase);

    private static readonly FrozenSet<string> CallOnly =
        FrozenSet.ToFrozenSet([Stream], StringComparer.OrdinalIgnoreCase);

    private static readonly string[] Options =
    [
        Argument, Command, Variable, Memory, Cpus, Pids, Disk, Timeout, User, WorkingDirectory, Network, Runtime,
        Volume, Temporary, Label, Constraint, Tolerate, Spread, OutputLimit, ContentType, Stream, Callback, MaxAge,
        Priority, Attempts, RetryFailures,
    ];

    private static readonly FrozenSet<string> Known = Options.ToFrozenSet(StringComparer.OrdinalIgnoreCase);

    private static readonly OptionHeaders None = new([]);

    private readonly Dictionary<string, StringValues> given;

    private OptionHeaders(Dictionary<string, StringValues> given) => this.given = given;

    /// <summary>Every option header there is, for documents and tests.</summary>
    public static IReadOnlyList<string> All => Options;

    /// <summary>
    /// Collects the options; throws <c>InvalidRequest</c> for one that is unknown, repeated or of tasks only.
    /// </summary>
    public static OptionHeaders Read(IHeaderDictionary headers, RunKind kind)
    {
        Dictionary<string, StringValues>? given = null;
        foreach ((string name, StringValues values) in headers)
        {
            if (name.StartsWith(Prefix, StringComparison.OrdinalIgnoreCase)
                || name.Equals(IdempotencyKey, StringComparison.OrdinalIgnoreCase))
            {
                Check(name, values, kind);
                (given ??= new(StringComparer.OrdinalIgnoreCase)).Add(name, values);
            }
        }

        return given is null ? None : new OptionHeaders(given);
    }

    /// <summary>Those that are given, without the idempotency key, which is not Berth's own.</summary>
    public IEnumerable<string> Names => given.Keys.Where(
        n => !n.Equals(IdempotencyKey, StringComparison.OrdinalIgnoreCase));

    public string? Find(string name) => given.TryGetValue(name, out StringValues values) ? values[0] : null;

    /// <summary>The values of an option that may be given several times, in order. Lines of one name mean the same as
    /// one line with their values separated by commas (RFC 9110, section 5.3), which many clients and proxies send; a
    /// comma within a value is written <c>%2C</c>.</summary>
    public IReadOnlyList<string> FindAll(string name) =>
        [.. given.GetValueOrDefault(name).SelectMany(line => line!.Split(',', StringSplitOptions.TrimEntries))];

    /// <summary>An option as it was given.</summary>
    public Asked Ask(string name) => new(PlaceOf(name), Find(name));

    /// <summary>A refusal that names the header and its value.</summary>
    public static BerthException Refuse(string name, string? value, string why) =>
        new Asked(PlaceOf(name), value).Refuse(why);

    private static string PlaceOf(string name) => $"The header {name}";

    private static void Check(string name, StringValues values, RunKind kind)
    {
        if (!Known.Contains(name) && !name.Equals(IdempotencyKey, StringComparison.OrdinalIgnoreCase))
        {
            throw new BerthException(
                ErrorCode.InvalidRequest, $"There is no option {name}; the options are {string.Join(", ", Options)}.");
        }

        if (values.Count != 1 && !Repeatable.Contains(name))
        {
            throw Refuse(name, values.ToString(), "it is given more than once, and only one can hold");
        }

        if (kind == RunKind.Task && CallOnly.Contains(name))
        {
            throw Refuse(name, values[0], "it belongs to calls; a task's result is read when it has ended");
        }

        if (kind == RunKind.Call && TaskOnly.Contains(name))
        {
            throw Refuse(
                name, values[0],
                "it belongs to tasks; add 'Prefer: respond-async' to make this one");
        }
    }
}
