using System.Globalization;
using Berth.Api.Runs;
using Berth.Commands.Output;
using Berth.Commands.Terminals;

namespace Berth.Commands.Runs;

/// <summary>A run as people read it.</summary>
internal static class RunText
{
    public static Table NewTable() =>
        new(
            new("ID"), new("KIND"), new("STATE"), new("IMAGE"), new("CREATED"), new("TIME", Right: true),
            new("DETAIL"));

    public static void AddTo(Table table, RunView run, DateTimeOffset now) => table.Add(
        run.Id, run.Kind, run.State, run.Image, Wording.Age(run.CreatedAt, now), Wording.Milliseconds(
            run.Timings?.TotalMs),
        DetailOf(run));

    /// <summary>One run, a line for each thing known.</summary>
    /// <param name="waiting">Why it waits; null for no word.</param>
    public static void WriteDetail(Terminal terminal, RunView run, string? waiting = null)
    {
        void Line(string name, string? value)
        {
            if (!string.IsNullOrEmpty(value))
            {
                terminal.Out.WriteLine($"{name,-12} {value}");
            }
        }

        Line("Run", run.Id);
        Line("Kind", run.Kind);
        Line("State", run.State + ReasonOf(run));
        Line("Exit code", run.ExitCode?.ToString(CultureInfo.InvariantCulture));
        Line("Signal", run.Signal?.ToString(CultureInfo.InvariantCulture));
        Line("Message", run.Message ?? waiting);
        Line(
            "Progress",
            run.Percent is null
                ? null
                : string.Create(CultureInfo.InvariantCulture, $"{run.Percent:0.#} % {run.ProgressMessage}"));
        Line("Image", run.Image);
        Line("Digest", run.ImageDigest);
        Line("Node", run.Node);
        Line("Attempts", run.Attempts.ToString(CultureInfo.InvariantCulture));
        Line("Created", Wording.Time(run.CreatedAt));
        Line("Started", run.StartedAt is { } started ? Wording.Time(started) : null);
        Line("Ended", run.EndedAt is { } ended ? Wording.Time(ended) : null);
        if (run.Timings is { } t)
        {
            Line(
                "Time",
                $"{Wording.Milliseconds(t.TotalMs)}: queue {Wording.Milliseconds(t.QueueMs)}, "
                + $"prepare {Wording.Milliseconds(t.PrepareMs)}, start {Wording.Milliseconds(t.StartMs)}, "
                + $"run {Wording.Milliseconds(t.RunMs)}");
        }

        if (run.Usage is { } u)
        {
            Line("CPU", $"{Wording.Milliseconds(u.CpuUserMs)} user, {Wording.Milliseconds(u.CpuSystemMs)} system");
            Line("Memory", Wording.Bytes(u.PeakMemoryBytes) + " at most");
            Line("Traffic", $"{Wording.Bytes(u.BytesIn)} in, {Wording.Bytes(u.BytesOut)} out");
        }

        Line("Labels", string.Join(", ", run.Labels.Select(l => $"{l.Key}={l.Value}")));
        Line("Result", run.ResultBytes is null ? null : Wording.Bytes(run.ResultBytes)
            + (run.ResultExpiresAt is { } until ? $", kept until {Wording.Time(until)}" : ""));
    }

    private static string ReasonOf(RunView run) =>
        run.Reason is null or "completed" || run.Reason == run.State ? "" : $" ({run.Reason.Replace('_', ' ')})";

    private static string DetailOf(RunView run) => run switch
    {
        { State: "running", Percent: { } percent } =>
            string.Create(CultureInfo.InvariantCulture, $"{percent:0.#} % {run.ProgressMessage}"),
        { ExitCode: > 0 } => $"exit code {run.ExitCode}",
        { Reason: not null and not "completed" } => run.Reason.Replace('_', ' '),
        _ => "",
    };
}
