using Berth.Core.Images;
using Berth.Core.Resources;
using Berth.Core.Runs;

namespace Berth.Testing.Runs;

/// <summary>Runs for tests, with every field set to something plain.</summary>
public static class RunBuilder
{
    public static DateTimeOffset Noon { get; } = new(2026, 1, 2, 12, 0, 0, TimeSpan.Zero);

    public static Digest Image { get; } = Digest.Sha256("an image"u8);

    /// <summary>A moment at which both clocks agree.</summary>
    public static RunMoment At(DateTimeOffset now) => new(now, now);

    public static RunSpec Spec() => RunSpec.For("demo/cat:1", Image, RunKind.Task);

    public static Run Accepted(DateTimeOffset? at = null, RunSpec? spec = null, string caller = "admin",
        StoredBody input = default)
    {
        DateTimeOffset now = at ?? Noon;
        return Run.Accepted(RunId.New(now), RunKind.Task, spec ?? Spec(), caller, At(now), input);
    }

    /// <summary>A spec in which no field has its default.</summary>
    public static RunSpec FullSpec() => new(
        "other.example:5000/a/b:c", Image,
        new SandboxLimits(ByteSize.MiB(300), CpuQuota.FromMillicores(250), 77, ByteSize.MiB(9)),
        NetworkMode.Host, ["sh", "-c", "echo"], ["a", ""],
        new Dictionary<string, string> { ["K"] = "v", ["LEER"] = "" }, "1000:1000",
        "/work", TimeSpan.FromSeconds(7), TimeSpan.FromSeconds(1),
        new RetryPolicy(9, true)
        {
            BaseDelay = TimeSpan.FromMilliseconds(50),
            MaxDelay = TimeSpan.FromMinutes(2),
            On = RetryRules.Restore("exit=75,signal"),
        },
        TimeSpan.FromMinutes(3),
        ByteSize.KiB(12),
        "image/png", new Uri("https://example.org/done?x=1"), new Dictionary<string, string> { ["team"] = "blue" },
        "runsc", "thumbnail",
        new ServiceCall(
            "shop", 3, "PUT", "/a%20b?c", [new HeaderField("Host", "x"), new HeaderField("X-Own", "ä, b")]),
        Destination.Restore("thumbnail"), Destination.Restore("https://example.org/failed"), 3,
        Priority: -7);

    public static RunEnd End(EndReason reason) => new(
        reason, reason == EndReason.Completed ? 0 : null, null, "a sentence",
        new RunUsage(TimeSpan.FromMilliseconds(3), TimeSpan.FromMilliseconds(1), ByteSize.MiB(5), 1024, 2048));

    /// <summary>The step that ends a claimed run.</summary>
    public static RunChange Ending(Run run, EndReason reason, DateTimeOffset at) => new(
        run with
        {
            State = RunTransitions.TerminalStateOf(reason),
            EndedAt = at,
            End = End(reason),
            ResultExpiresAt = at.AddHours(24)
        },
        run.Generation,
        [new RunEvent(at, RunEventTypes.Ended, run.Attempts, "ended")]);

    /// <summary>The step that says that a claimed run's program runs.</summary>
    public static RunChange Running(Run run, DateTimeOffset at) => new(
        run with { State = RunState.Running, StartedAt = at, Node = "here" },
        run.Generation,
        [new RunEvent(at, RunEventTypes.Started, run.Attempts, "started")]);
}
