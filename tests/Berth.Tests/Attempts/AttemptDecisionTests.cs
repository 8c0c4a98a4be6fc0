using Berth.Api.Nodes;
using Berth.Core.Images;
using Berth.Core.Resources;
using Berth.Core.Runs;
using Berth.Node.Attempts;
using Berth.Node.Cgroups;
using Berth.Node.Engines;
using Berth.Node.Init;
using Berth.Oci.Images;
using Xunit;

namespace Berth.Tests.Attempts;

public sealed class AttemptDecisionTests
{
    private static readonly SandboxLimits Limits = SandboxLimits.Default;

    [Theory]
    [InlineData(0, 0, 0, EndReason.Completed)]
    [InlineData(3, 0, 0, EndReason.ExitCode)]
    [InlineData(0, 11, 0, EndReason.Signal)]
    [InlineData(0, 9, 1, EndReason.OutOfMemory)]
    [InlineData(137, 0, 1, EndReason.OutOfMemory)]
    [InlineData(0, 0, 1, EndReason.Completed)]
    public void The_reason_follows_from_exit_and_memory(int code, int signal, long kills, EndReason expected)
    {
        (EndReason reason, _) = AttemptVerdict.Decide(null, Exit(code, signal), kills, Limits);

        Assert.Equal(expected, reason);
    }

    [Fact]
    public void An_init_that_went_without_a_word_is_a_fault_unless_memory_ran_out()
    {
        Assert.Equal(EndReason.PlatformFault, AttemptVerdict.Decide(null, null, 0, Limits).Reason);
        Assert.Equal(EndReason.OutOfMemory, AttemptVerdict.Decide(null, null, 1, Limits).Reason);
    }

    [Fact]
    public void Whoever_stopped_it_before_its_end_names_the_reason()
    {
        (EndReason reason, string? detail) = AttemptVerdict.Decide(EndReason.TimedOut, Exit(0, 9), 1, Limits);

        Assert.Equal(EndReason.TimedOut, reason);
        Assert.Contains("--timeout", detail, StringComparison.Ordinal);
    }

    [Fact]
    public void The_memory_sentence_names_limit_and_knob()
    {
        string detail = AttemptVerdict.Decide(null, Exit(0, 9), 1, Limits).Detail!;

        Assert.Contains("256 MiB", detail, StringComparison.Ordinal);
        Assert.Contains("Berth-Memory", detail, StringComparison.Ordinal);
    }

    [Fact]
    public void The_groups_exact_sum_is_split_as_the_init_measured()
    {
        var usage = new SandboxUsage(
            new CgroupUsage(TimeSpan.FromMilliseconds(10), TimeSpan.Zero, TimeSpan.Zero, ByteSize.MiB(3)), 0);
        ProgramExit exit =
            Exit(0, 0) with { UserTime = TimeSpan.FromMilliseconds(6), SystemTime = TimeSpan.FromMilliseconds(2) };

        RunUsage used = AttemptVerdict.UsageOf(usage, exit, 5, 7);

        Assert.Equal(TimeSpan.FromMilliseconds(7.5), used.CpuUser);
        Assert.Equal(TimeSpan.FromMilliseconds(2.5), used.CpuSystem);
        Assert.Equal((5, 7), (used.BytesIn, used.BytesOut));
    }

    [Fact]
    public void A_program_too_short_for_the_inits_measure_is_split_as_the_group_is()
    {
        var usage = new SandboxUsage(
            new CgroupUsage(
                TimeSpan.FromMilliseconds(4), TimeSpan.FromMilliseconds(1), TimeSpan.FromMilliseconds(3),
                ByteSize.MiB(3)),
            0);

        RunUsage used = AttemptVerdict.UsageOf(usage, Exit(0, 0), 0, 0);

        Assert.Equal(TimeSpan.FromMilliseconds(1), used.CpuUser);
        Assert.Equal(TimeSpan.FromMilliseconds(3), used.CpuSystem);
    }

    [Theory]
    [InlineData("40", 40, null)]
    [InlineData("12.5 almost there", 12.5, "almost there")]
    [InlineData("  100%  done ", 100, "done")]
    public void Progress_lines_are_a_number_and_words(string line, double percent, string? message)
    {
        Assert.Equal(new ProgressReport(percent, message), ProgressReader.Parse(line));
    }

    [Theory]
    [InlineData("")]
    [InlineData("half")]
    [InlineData("101")]
    [InlineData("-1")]
    [InlineData("NaN")]
    public void Other_lines_are_no_progress(string line) => Assert.Null(ProgressReader.Parse(line));

    [Fact]
    public void Messages_are_cut_and_cleaned()
    {
        ProgressReport report = ProgressReader.Parse("5 a\u001b[31m" + new string('x', 500))!;

        Assert.Equal(200, report.Message!.Length);
        Assert.DoesNotContain('\u001b', report.Message);
    }

    [Fact]
    public void Orders_win_over_the_image()
    {
        AttemptSpec order = Order() with
        {
            Environment = new Dictionary<string, string> { ["A"] = "order" },
            User = "alice",
            Arguments = ["given"],
        };

        ProgramStart program = ProgramMerge.Merge(order, Image(), "box", null)!;

        Assert.Equal(["entry", "given"], program.Arguments);
        Assert.Equal("order", program.Environment["A"]);
        Assert.Equal("image", program.Environment["B"]);
        Assert.Equal("box", program.Environment["HOSTNAME"]);
        Assert.Equal("alice", program.User);
        Assert.Equal("/srv", program.WorkingDirectory);
    }

    [Fact]
    public void A_program_is_told_its_deadline_and_where_to_report_progress()
    {
        var ends = DateTimeOffset.FromUnixTimeMilliseconds(1_800_000_000_123);

        ProgramStart program = ProgramMerge.Merge(Order(), Image(), "box", ends)!;

        Assert.Equal("1800000000123", program.Environment["BERTH_DEADLINE"]);
        Assert.Equal("3", program.Environment["BERTH_PROGRESS_FD"]);
    }

    [Fact]
    public void A_command_replaces_ENTRYPOINT_and_CMD()
    {
        Assert.Equal(["other"], ProgramMerge.Merge(
            Order() with { Command = ["other"] }, Image(), "box", null)!.Arguments);
        Assert.Equal(["entry", "cmd"], ProgramMerge.Merge(Order(), Image(), "box", null)!.Arguments);
        Assert.Null(ProgramMerge.Merge(Order(), Image() with { Config = null }, "box", null));
    }

    private static ProgramExit Exit(int code, int signal) => new(code, signal, TimeSpan.Zero, TimeSpan.Zero, 0);

    private static ImageConfig Image() => new(
        "amd64", "linux",
        new ContainerDefaults(User: "www", Env: ["A=image", "B=image", "broken"], Entrypoint: ["entry"], Cmd: ["cmd"],
            WorkingDir: "/srv"),
        new RootFs("layers", []));

    private static AttemptSpec Order()
    {
        var run = RunId.New(DateTimeOffset.UnixEpoch);
        return new AttemptSpec(
            run + "-1", run, 1, new SandboxSpec(Digest.Sha256("x"u8), Limits, NetworkMode.None), null, null,
            new Dictionary<string, string>(), null, null, null, TimeSpan.Zero);
    }
}
