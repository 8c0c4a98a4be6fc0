using Berth.Core.Images;
using Berth.Core.Resources;
using Berth.Core.Runs;

namespace Berth.Server.Store;

/// <summary>Rows of the table <c>runs</c> as <see cref="Run"/> and back.</summary>
internal static class RunRows
{
    /// <summary>In the order that <see cref="Read"/> expects.</summary>
    public const string Columns =
        "id, kind, state, generation, attempts, cancel, caller, spec, created_at, ready_at, started_at, ended_at, "
        + "reason, "
        + "exit_code, signal, detail, node, cpu_user, cpu_system, peak_memory, bytes_in, bytes_out, queue_time, "
        + "prepare_time, "
        + "start_time, run_time, percent, progress, input_place, input_length, result_place, result_length, "
        + "result_expires_at, last_event, expires_at, http_status, content_type, dead";

    /// <summary>Of the first column after these.</summary>
    public const int Count = 38;

    /// <summary>What the index of waiting runs begins with: the lowest is served first.</summary>
    public static long Rank(Run run) => -run.Spec.Priority;

    public static long Micros(DateTimeOffset time) =>
        (time - DateTimeOffset.UnixEpoch).Ticks / TimeSpan.TicksPerMicrosecond;

    public static long? Micros(DateTimeOffset? time) => time is { } value ? Micros(value) : null;

    public static DateTimeOffset Time(long micros) =>
        DateTimeOffset.UnixEpoch.AddTicks(micros * TimeSpan.TicksPerMicrosecond);

    public static DateTimeOffset? Time(long? micros) => micros is { } value ? Time(value) : null;

    public static Run Read<TRow>(TRow row) where TRow : IStoreRow => new(
        RunId.Parse(row.Text(0)),
        (RunKind)row.Int64(1),
        RunSpecDocument.Read(row.Blob(7)),
        row.Text(6),
        (RunState)row.Int64(2),
        (int)row.Int64(3),
        (int)row.Int64(4),
        row.Int64(5) != 0,
        Time(row.Int64(8)),
        Time(row.Int64(9)),
        Time(row.NullableInt64(34)),
        Time(row.NullableInt64(10)),
        Time(row.NullableInt64(11)),
        ReadEnd(row),
        row.NullableText(16),
        new RunTimings(Span(row, 22), Span(row, 23), Span(row, 24), Span(row, 25)),
        row.NullableDouble(26) is { } percent ? new RunProgress(percent, row.NullableText(27)) : null,
        new StoredBody((BodyPlace)row.Int64(28), row.Int64(29)),
        new StoredBody((BodyPlace)row.Int64(30), row.Int64(31)),
        Time(row.NullableInt64(32)),
        row.Int64(33),
        row.Int64(37) != 0);

    /// <summary>Binds what a run's life changes, in the order of <see cref="ChangingColumns"/>.</summary>
    public static TStatement BindChanging<TStatement>(this TStatement statement, Run run)
        where TStatement : IStoreParameters<TStatement>
    {
        RunEnd? end = run.End;
        RunUsage? usage = end?.Usage;
        bool hasBodies = run.Input.Place is BodyPlace.Inline or BodyPlace.Spooled
            || run.Result.Place is BodyPlace.Inline or BodyPlace.Spooled;
        return statement
            .Bind((long)run.State).Bind(run.Generation).Bind(run.Attempts)
            .Bind(Micros(run.ReadyAt)).Bind(Micros(run.StartedAt)).Bind(Micros(run.EndedAt))
            .Bind((long?)end?.Reason).Bind((long?)end?.ExitCode).Bind((long?)end?.Signal).Bind(end?.Detail).Bind(
                run.Node)
            .Bind(Micros(usage?.CpuUser)).Bind(Micros(usage?.CpuSystem)).Bind(usage?.PeakMemory.Bytes)
            .Bind(usage?.BytesIn).Bind(usage?.BytesOut)
            .Bind(Micros(run.Timings.Queue)).Bind(Micros(run.Timings.Prepare))
            .Bind(Micros(run.Timings.Start)).Bind(Micros(run.Timings.Run))
            .Bind(run.Progress?.Percent).Bind(run.Progress?.Message)
            .Bind((long)run.Result.Place).Bind(run.Result.Length)
            .Bind(Micros(run.ResultExpiresAt)).Bind(hasBodies ? Micros(run.ResultExpiresAt) : null)
            .Bind((long?)end?.Answer?.Status).Bind(end?.Answer?.ContentType)
            .Bind(run.IsDeadLetter ? 1 : 0);
    }

    public const string ChangingColumns =
        "state, generation, attempts, ready_at, started_at, ended_at, reason, exit_code, signal, detail, node, "
        + "cpu_user, "
        + "cpu_system, peak_memory, bytes_in, bytes_out, queue_time, prepare_time, start_time, run_time, percent, "
        + "progress, "
        + "result_place, result_length, result_expires_at, bodies_due, http_status, content_type, dead";

    public const int ChangingCount = 29;

    /// <summary>The states, as bits, from which a run may come into <paramref name="next"/>.</summary>
    public static long LegalOrigins(RunState next)
    {
        long origins = 0;
        foreach (RunState from in Enum.GetValues<RunState>())
        {
            if (RunTransitions.IsLegal(from, next) || (from == next && !next.IsTerminal()))
            {
                origins |= 1L << (int)from;
            }
        }

        return origins;
    }

    private static RunEnd? ReadEnd<TRow>(TRow row) where TRow : IStoreRow => row.NullableInt64(12) is not { } reason
        ? null
        : new RunEnd(
            (EndReason)reason, (int?)row.NullableInt64(13), (int?)row.NullableInt64(14), row.NullableText(15),
            new RunUsage(Span(row, 17), Span(row, 18), ByteSize.FromBytes(row.Int64(19)), row.Int64(20),
                row.Int64(21)),
            row.NullableInt64(35) is { } status ? new ServiceAnswer((int)status, row.NullableText(36)) : null);

    private static TimeSpan Span<TRow>(TRow row, int column) where TRow : IStoreRow =>
        TimeSpan.FromMicroseconds(row.Int64(column));

    private static long? Micros(TimeSpan? span) => span?.Ticks / TimeSpan.TicksPerMicrosecond;
}
