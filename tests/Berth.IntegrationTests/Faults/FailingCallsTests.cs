using Berth.IntegrationTests.EndToEnd;
using Xunit;

namespace Berth.IntegrationTests.Faults;

/// <summary>
/// Calls of the C library that read, write and sync fail at random in the server (libfiu) while tasks come and run:
/// whatever it answers then, what it accepted comes to its end once. BERTH_TEST_FAILING_SECONDS sets how long.
/// </summary>
[Collection("server")]
public sealed class FailingCallsTests
{
    private const string Libraries = "/usr/lib/fiu";

    [Fact]
    public async Task Calls_that_fail_at_random_lose_and_repeat_nothing()
    {
        string preload = $"{Libraries}/fiu_run_preload.so {Libraries}/fiu_posix_preload.so";
        Assert.SkipUnless(
            preload.Split(' ').All(File.Exists), "libfiu is not installed: run eng/prerequisites.sh run test.");
        TimeSpan length = TimeSpan.FromSeconds(Amount.Of("BERTH_TEST_FAILING_SECONDS", 4));
        await using ServerProcess server = new();
        string control = Path.Combine(server.Folder, "fiu");
        server.Environment["LD_PRELOAD"] = preload;
        server.Environment["FIU_ENABLE"] = "";
        server.Environment["FIU_CTRL_FIFO"] = control;
        await BusyboxServer.StartAsync(server);
        TaskBook book = new(server, "calls");
        (int refused, int ended) = (0, 0);
        await BreakAsync(server, control);

        long begun = TimeProvider.System.GetTimestamp();
        // Longer where chance has shown only one side so far.
        for (int i = 0;
            TimeProvider.System.GetElapsedTime(begun) is var took
            && (took < length || ((book.Accepted == 0 || refused == 0) && took < 6 * length));
            i++)
        {
            try
            {
                using HttpResponseMessage answer = await book.AnswerAsync(
                    $"t{i}", TaskBook.Bytes(i, i % 4 == 0 ? 60_000 : 700));
                refused += answer.IsSuccessStatusCode ? 0 : 1;
            }
            catch (Exception error) when (ConnectionLoss.IsIn(error))
            {
                refused++;
            }

            await Task.Delay(TimeSpan.FromMilliseconds(15));

            if (server.HasEnded)
            {
                ended++;
                await server.StartAsync();
                await BreakAsync(server, control);
            }
        }

        int accepted = book.Accepted;
        await server.KillAsync();
        server.Environment.Clear();
        await server.StartAsync();
        await book.SettleAsync();
        await book.IsTrueAsync();
        TestContext.Current.TestOutputHelper?.WriteLine(
            $"{accepted} tasks accepted while calls failed, {refused} refused, the server ended {ended} times: 0 lost");
        Assert.True(accepted > 0 && refused > 0, $"{accepted} accepted, {refused} refused");
        Assert.Equal(0, await server.StopAsync());
        await ServerTraces.AreGoneAsync(server);
    }

    /// <summary>From now on one of 50 calls fails.</summary>
    private static async Task BreakAsync(ServerProcess server, string control) => (await Tool.RunAsync(
        "fiu-ctrl",
        [
            "-f", control, "-c", "enable_random name=posix/io/rw/*,probability=0.02",
            "-c", "enable_random name=posix/io/sync/*,probability=0.02", $"{server.Pid}",
        ])).Succeed();
}
