using System.Globalization;
using Berth.Api.Errors;
using Berth.Api.Runs;
using Berth.Core.Errors;

namespace Berth.Api.Client;

/// <summary>How a synchronous call ended.</summary>
/// <param name="RunId">As <see cref="Call.RunId"/>.</param>
/// <param name="Reason">In snake case of <c>EndReason</c>; <c>completed</c> is success.</param>
/// <param name="Problem">What the server says about a failure; its <c>Stderr</c> is the tail of standard error.</param>
/// <param name="DurationMs">From the request's arrival to the program's end, by the server's clock.</param>
public sealed record CallOutcome(
    string RunId, string Reason, int? ExitCode, double? CpuMs, long? PeakMemoryBytes, double? DurationMs,
    Problem? Problem)
{
    public bool Succeeded => Problem is null && Reason == "completed";
}

/// <summary>
/// A synchronous call under way. Read <see cref="Output"/> to its end, then <see cref="CompleteAsync"/> says how it
/// ended. Disposing it before that ends the program.
/// </summary>
public sealed class Call : IAsyncDisposable
{
    /// <summary>A problem document is smaller, its tail of standard error included.</summary>
    private const int MaxProblemBytes = 1024 * 1024;

    private readonly CallConnection connection;
    private readonly ResponseHead head;
    private readonly CallBody body;
    private readonly RunsClient runs;
    private readonly Problem? problem;

    private Call(CallConnection connection, ResponseHead head, CallBody body, RunsClient runs, Problem? problem)
    {
        this.connection = connection;
        this.head = head;
        this.body = body;
        this.runs = runs;
        this.problem = problem;
    }

    /// <summary>Empty where the call is no run of its own, but a request that an instance of a function serves.
    /// </summary>
    public string RunId => head["Berth-Run-Id"] ?? problem?.RunId ?? "";

    /// <summary>
    /// The program's standard output as it comes. Throws IOException when the program failed after it had written: what
    /// came until then is not a whole result. Empty when it failed before.
    /// </summary>
    public Stream Output => problem is null ? body : Stream.Null;

    /// <summary>How it ended. To be asked once the output was read, to its end or to its IOException.</summary>
    public async Task<CallOutcome> CompleteAsync(CancellationToken cancellationToken)
    {
        if (connection.InputFault is { } fault)
        {
            throw new BerthException(ErrorCode.InvalidRequest, $"The input could not be read: {fault.Message}", fault);
        }

        string? reason = Find("Berth-Reason");
        if (problem is not null)
        {
            return OutcomeOf(problem, reason);
        }

        if (RunId.Length == 0)
        {
            return body.IsWhole
                ? new CallOutcome(RunId, "completed", null, null, null, null, null)
                : throw new BerthException(ErrorCode.Upstream, "The answer broke off before its end.");
        }

        // Cut off without a word: the record has the truth, shortly after the program's end.
        return reason is null || !body.IsWhole
            ? await AskAsync(cancellationToken)
            : new CallOutcome(
                RunId, reason, (int?)Number("Berth-Exit-Code"), Number("Berth-Cpu-Ms"), (long?)Number(
                    "Berth-Memory-Bytes"),
                Number("Berth-Duration-Ms"), null);
    }

    public ValueTask DisposeAsync() => connection.DisposeAsync();

    /// <summary>Waits for the answer's head. Throws BerthException when no run came of the request.</summary>
    internal static async Task<Call> ReceiveAsync(
        CallConnection connection, RunsClient runs, CancellationToken cancellationToken)
    {
        ResponseHead head = await connection.ReadHeadAsync(cancellationToken);
        CallBody body = new(connection, head);
        if (head.Status is >= 200 and < 300)
        {
            return new Call(connection, head, body, runs, null);
        }

        byte[] document = await ReadAllAsync(body, cancellationToken);
        TimeSpan? retryAfter = int.TryParse(head["Retry-After"], CultureInfo.InvariantCulture, out int seconds)
            ? TimeSpan.FromSeconds(seconds)
            : null;
        return ApiExchange.ParseProblem(document) is { RunId: not null } problem
            ? new Call(connection, head, body, runs, problem)
            : throw ApiExchange.ErrorOf(head.Status, document, retryAfter);
    }

    internal static async Task<byte[]> ReadAllAsync(Stream body, CancellationToken cancellationToken)
    {
        using MemoryStream all = new();
        byte[] block = new byte[16 * 1024];
        for (int read; (read = await body.ReadAsync(block, cancellationToken)) > 0 && all.Length < MaxProblemBytes;)
        {
            all.Write(block, 0, read);
        }

        return all.ToArray();
    }

    private async Task<CallOutcome> AskAsync(CancellationToken cancellationToken)
    {
        RunView run;
        try
        {
            run = await runs.WaitAsync(RunId, TimeSpan.FromSeconds(5), cancellationToken);
        }
        catch (BerthException e) when (e.Code is ErrorCode.RunNotFound or ErrorCode.Upstream)
        {
            throw new BerthException(ErrorCode.Upstream, $"The connection broke before run {RunId} had answered.", e);
        }

        double? cpu = run.Usage is { } u ? u.CpuUserMs + u.CpuSystemMs : null;
        CallOutcome outcome = new(
            run.Id, run.Reason
                ?? "platform_fault", run.ExitCode, cpu, run.Usage?.PeakMemoryBytes, run.Timings?.TotalMs, null);
        if (outcome.Reason == "completed" && body.IsWhole)
        {
            return outcome;
        }

        // The program may well have succeeded, but its output did not arrive.
        ErrorEntry entry = ErrorCatalog.Find(
            outcome.Reason == "completed" ? ErrorCode.Upstream : CodeOf(outcome.Reason));
        string detail = run.Message ?? SentenceOf(run);
        return outcome with
        {
            Problem = new Problem("about:blank", entry.Title, entry.Status, detail, entry.Code, run.Id, run.ExitCode),
        };
    }

    private static string SentenceOf(RunView run) => run.Reason switch
    {
        "exit_code" => string.Create(CultureInfo.InvariantCulture, $"{run.Image} exited with code {run.ExitCode}."),
        "signal" => string.Create(CultureInfo.InvariantCulture, $"{run.Image} was ended by signal {run.Signal}."),
        "canceled" => $"Run {run.Id} was cancelled.",
        _ => "The answer broke off before its end.",
    };

    private CallOutcome OutcomeOf(Problem failure, string? reason) => new(
        RunId, reason ?? failure.Code, failure.ExitCode ?? (int?)Number("Berth-Exit-Code"),
        failure.Usage is { } usage ? usage.CpuUserMs + usage.CpuSystemMs : Number("Berth-Cpu-Ms"),
        failure.Usage?.PeakMemoryBytes ?? (long?)Number("Berth-Memory-Bytes"), Number("Berth-Duration-Ms"), failure);

    /// <summary>The error that an end reason is told as.</summary>
    internal static ErrorCode CodeOf(string reason) => reason switch
    {
        "exit_code" or "signal" or "no_answer" or "bad_status" => ErrorCode.RunFailed,
        "out_of_memory" => ErrorCode.RunOutOfMemory,
        "timed_out" or "expired" => ErrorCode.RunTimedOut,
        "output_limit" => ErrorCode.RunOutputLimit,
        "entry_point_missing" => ErrorCode.RunEntryPointMissing,
        "not_runnable" => ErrorCode.RunNotRunnable,
        "canceled" or "client_gone" => ErrorCode.RunCanceled,
        _ => ErrorCode.NodeFault,
    };

    private string? Find(string name) => body.Trailers.GetValueOrDefault(name) ?? head[name];

    private double? Number(string name) =>
        double.TryParse(Find(name), NumberStyles.Float, CultureInfo.InvariantCulture, out double number)
            ? number
            : null;
}
