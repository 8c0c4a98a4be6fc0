using System.Diagnostics;
using System.Text;
using Berth.Api.Runs;
using Berth.Core.Runs;
using Berth.Server.Store;
using Berth.Testing.Content;
using Berth.Testing.Runs;
using Xunit;

namespace Berth.Tests.Runs;

/// <summary>
/// Kills a process that submits and runs tasks with SIGKILL, again and again on the same folder, and holds the promises
/// to account: every acknowledged run is there and ends, once.
/// </summary>
public sealed class CrashTests
{
    private const string FolderVariable = "BERTH_CRASH_FOLDER";
    private const int Kills = 4;

    // Bounds the test on a machine where the kill comes late.
    private const int SubmissionsEach = 100;

    private static readonly CancellationToken None = CancellationToken.None;

    [Fact]
    public async Task No_acknowledged_run_is_lost_or_ends_twice_when_the_server_is_killed()
    {
        using TemporaryFolder folder = new();
        string acknowledged = folder["acknowledged"];
        long before = 0;
        for (int kill = 0; kill < Kills; kill++)
        {
            using Process child = StartChild(folder.Path);
            // Killed in the middle of submitting: after some dozens, at a different place each time.
            long target = before + (27 * RunId.New(RunBuilder.Noon).Text.Length) + (kill * 31 * 27);
            await RunManagerTests.Until(
                () => Task.FromResult(child.HasExited || Length(acknowledged) >= target),
                $"the child acknowledges {target} bytes of ids");
            if (child.HasExited)
            {
                Assert.Fail("The child ended by itself: " + await child.StandardOutput.ReadToEndAsync(None));
            }

            child.Kill();
            await child.WaitForExitAsync(None);
            before = Length(acknowledged);
        }

        RunId[] ids = [.. (await File.ReadAllLinesAsync(acknowledged, None)).Where(line => line.Length == 26).Select(
            RunId.Parse)];
        await using RunManagerRig rig = await RunManagerRig.StartAsync(folder: folder.Path);
        foreach (RunId id in ids)
        {
            Run run = await rig.EndAsync(id);
            RunWhy why = await rig.Manager.WhyAsync(id, None);

            Assert.Equal(RunState.Succeeded, run.State);
            Assert.Contains($"BERTH_RUN_ID={id}\n", await rig.ResultAsync(id), StringComparison.Ordinal);
            Assert.Single(why.Events, e => e.Type == RunEventTypes.Ended);
            Assert.Equal(Enumerable.Range(1, why.Events.Count).Select(i => (long)i),
                why.Events.Select(e => e.Sequence));
        }

        Assert.True(ids.Length > Kills * 26, $"only {ids.Length} runs were acknowledged");
        Assert.Equal(new RunCounts(0, 0, 0, 0, null), await rig.Store.CountAsync(None));
        Assert.All(
            Directory.EnumerateFiles(folder["spool"], "*", SearchOption.AllDirectories),
            file => Assert.False(file.EndsWith(".tmp", StringComparison.Ordinal), $"{file} was left behind"));
    }

    /// <summary>Not a test: the process that is killed. Run alone by the test above.</summary>
    [Fact(Explicit = true)]
    public async Task Submit_until_killed()
    {
        string? folder = Environment.GetEnvironmentVariable(FolderVariable);
        Assert.SkipWhen(folder is null, "It is started by the crash test.");
        await using RunManagerRig rig = await RunManagerRig.StartAsync(
            options: RunManagerRig.SmallOptions with { QueueLimit = 100_000 }, folder: folder);
        await using FileStream acknowledged = new(
            Path.Combine(folder, "acknowledged"), FileMode.Append, FileAccess.Write, FileShare.ReadWrite,
            bufferSize: 0);
        await Task.WhenAll(Enumerable.Range(0,
            8).Select(number => Task.Run(() => SubmitAsync(rig, acknowledged, number), None)));
    }

    private static async Task SubmitAsync(RunManagerRig rig, FileStream acknowledged, int number)
    {
        for (int i = 0; i < SubmissionsEach; i++)
        {
            // The program prints its environment with the run's id, so that a result can be told from another run's.
            // Every fourth has an input large enough for the spool.
            string input = number % 4 == 0 ? new string('x', 40_000) : "small";
            RunAcceptance accepted = await rig.SubmitAsync(["env"], input);
            lock (acknowledged)
            {
                acknowledged.Write(Encoding.ASCII.GetBytes(accepted.Run.Id + "\n"));
            }

            if (number % 2 == 0)
            {
                // So that the kill also meets runs in every later state, and the queue stays short.
                await rig.EndAsync(accepted.Run.Id);
            }
        }

        await Task.Delay(Timeout.Infinite, None);
    }

    private static Process StartChild(string folder)
    {
        ProcessStartInfo start = new(Environment.ProcessPath!)
        {
            ArgumentList =
            {
                typeof(CrashTests).Assembly.Location, "-method", $"*.{nameof(Submit_until_killed)}", "-explicit",
                "only", "-noColor",
            },
            Environment = { [FolderVariable] = folder },
            RedirectStandardOutput = true,
            UseShellExecute = false,
        };
        return Process.Start(start)!;
    }

    private static long Length(string path) => File.Exists(path) ? new FileInfo(path).Length : 0;
}
