using System.Diagnostics;
using System.Net;
using Berth.IntegrationTests.EndToEnd;
using Xunit;

namespace Berth.IntegrationTests.Faults;

/// <summary>More calls than there are places for, and bodies larger than any memory.</summary>
[Collection("server")]
public sealed class OverloadTests
{
    private const int Places = 2;
    private const int Waiting = 8;
    private const long MiB = 1024 * 1024;

    [Theory]
    [InlineData(2)]
    [InlineData(5)]
    [InlineData(10)]
    public async Task Over_capacity_what_is_not_served_is_refused_with_a_time_to_come_back(int times)
    {
        await using ServerProcess server = await BusyboxServer.StartAsync(
            "--max-running", $"{Places}", "--waiting-calls-limit", $"{Waiting}");
        int good = 0;
        int refused = 0;
        long begun = TimeProvider.System.GetTimestamp();
        await Task.WhenAll(Enumerable.Range(0, times * (Places + Waiting)).Select(async caller =>
        {
            for (int i = 0; i < 5; i++)
            {
                byte[] body = TaskBook.Bytes(caller, 1000);
                using HttpResponseMessage answer = await server.Http.PostAsync(
                    "/v1/call/demo/busybox", new ByteArrayContent(body));
                if (answer.StatusCode == HttpStatusCode.OK)
                {
                    Assert.Equal(body, await answer.Content.ReadAsByteArrayAsync());
                    Interlocked.Increment(ref good);
                    continue;
                }

                Assert.True(
                    answer.StatusCode is HttpStatusCode.TooManyRequests or HttpStatusCode.ServiceUnavailable,
                    $"{answer}{await answer.Content.ReadAsStringAsync()}");
                Assert.NotNull(answer.Headers.RetryAfter);
                Interlocked.Increment(ref refused);
            }
        }));

        double seconds = TimeProvider.System.GetElapsedTime(begun).TotalSeconds;
        TestContext.Current.TestOutputHelper?.WriteLine(
            $"{times} x capacity: {good} served ({good / seconds:0}/s), {refused} refused in {seconds:0.0} s");
        Assert.True(good >= Places + Waiting);
        Assert.Equal(0, await server.StopAsync());
        await ServerTraces.AreGoneAsync(server);
    }

    [Fact]
    public async Task A_stream_larger_than_memory_passes_through_a_call_in_bounded_memory()
    {
        long bytes = Amount.Of("BERTH_TEST_STREAM_GIB", 1) * 1024L * MiB;
        await using ServerProcess server = await BusyboxServer.StartAsync();
        await SendAsync(server, 64 * MiB);
        long before = PeakMemory(server);

        Assert.Equal(bytes, await SendAsync(server, bytes));

        long grown = PeakMemory(server) - before;
        TestContext.Current.TestOutputHelper?.WriteLine($"{bytes / MiB} MiB there and back: +{grown / MiB} MiB");
        Assert.True(grown < 64 * MiB, $"The server's memory grew by {grown / MiB} MiB.");
    }

    /// <summary>By a client that reads while it sends. Bytes that came back.</summary>
    private static async Task<long> SendAsync(ServerProcess server, long bytes)
    {
        string call = $"'{ServerProcess.Executable}' run --timeout 30m demo/busybox";
        string script = $"head -c {bytes} /dev/zero | {call} | wc -c";
        using Process shell = Tool.Start("bash", ["-o", "pipefail", "-c", script], server.Variables);
        string got = await shell.StandardOutput.ReadToEndAsync();
        await shell.WaitForExitAsync();
        Assert.True(shell.ExitCode == 0, await shell.StandardError.ReadToEndAsync());
        return long.Parse(got);
    }

    /// <summary>VmHWM (proc_pid_status(5)).</summary>
    private static long PeakMemory(ServerProcess server) => 1024 * long.Parse(
        File.ReadLines($"/proc/{server.Pid}/status").Single(l => l.StartsWith("VmHWM:", StringComparison.Ordinal))
            .Split(' ', StringSplitOptions.RemoveEmptyEntries)[1]);
}
