using Berth.IntegrationTests.EndToEnd;
using Xunit;

namespace Berth.IntegrationTests.Faults;

/// <summary>The wall clock jumps by hours while tasks run, the monotonic one goes on: only time stamps move.</summary>
[Collection("server")]
public sealed class ClockJumpTests
{
    private const string Library = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";

    [Theory]
    [InlineData("+7h", "-9h")]
    [InlineData("-30h", "+20h")]
    public async Task A_clock_that_jumps_ends_nothing_early_and_holds_nothing_up(string first, string second)
    {
        Assert.SkipUnless(File.Exists(Library), "libfaketime is not installed: run eng/prerequisites.sh run test.");
        await using ServerProcess server = new();
        string clock = Path.Combine(server.Folder, "clock");
        await File.WriteAllTextAsync(clock, "+0");
        server.Environment["LD_PRELOAD"] = Library;
        server.Environment["FAKETIME_TIMESTAMP_FILE"] = clock;
        server.Environment["FAKETIME_NO_CACHE"] = "1";
        server.Environment["DONT_FAKE_MONOTONIC"] = "1";
        await BusyboxServer.StartAsync(server, "--task-timeout", "60s", "--result-retention", "30d");
        TaskBook book = new(server, "clock");

        for (int i = 0; i < 3; i++)
        {
            await book.SubmitAsync($"long{i}", TaskBook.Bytes(i, 1000), "sleep 2; exec cat");
        }

        await File.WriteAllTextAsync(clock, first);
        await book.SubmitAsync("after-the-first", TaskBook.Bytes(9, 100_000), "sleep 1; exec cat");
        DateTimeOffset told = (await book.FindAsync(await book.SubmitAsync("told", TaskBook.Bytes(1, 9)))).CreatedAt;
        await File.WriteAllTextAsync(clock, second);
        await book.SubmitAsync("after-the-second", TaskBook.Bytes(10, 1000), "exec cat");

        await book.IsTrueAsync();
        Assert.True(
            (told - TimeProvider.System.GetUtcNow()).Duration() > TimeSpan.FromHours(5), "The server's clock jumped.");
        Assert.Equal(0, await server.StopAsync());
        await ServerTraces.AreGoneAsync(server);
    }
}
