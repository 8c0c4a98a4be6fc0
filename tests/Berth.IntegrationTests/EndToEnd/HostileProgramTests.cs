using System.Net;
using System.Text.Json;
using Berth.Api.Runs;
using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>
/// Programs that want to do harm, called over HTTP: each is held, told apart in the answer, and the next call is served
/// as if nothing had been.
/// </summary>
[Collection("server")]
public sealed class HostileProgramTests(HostileProgramTests.Fixture fixture)
    : IClassFixture<HostileProgramTests.Fixture>
{
    private const string FillMemory = "x=$(tr '\\0' x < /dev/zero)";

    [Theory]
    [InlineData("run_out_of_memory", FillMemory, "Berth-Memory: 24Mi")]
    [InlineData("run_out_of_memory", "dd if=/dev/zero of=/dev/shm/x bs=1M && exit 9", "Berth-Memory: 24Mi")]
    [InlineData("run_failed", "dd if=/dev/zero of=/x bs=1M", "Berth-Disk: 8Mi")]
    [InlineData("run_failed", "dd if=/dev/zero of=/tmp/x bs=1M", "Berth-Disk: 8Mi")]
    [InlineData("run_failed", "dd if=/dev/zero of=/dev/x bs=1M")]
    [InlineData(
        "run_timed_out", "bomb() { bomb & bomb & wait; }; trap '' TERM; bomb & exec sleep 1000", "Berth-Timeout: 2s",
        "Berth-Pids: 64")]
    [InlineData("run_timed_out", "trap '' TERM; while :; do sleep 1000; done", "Berth-Timeout: 500ms")]
    [InlineData("run_timed_out", "setsid sh -c 'trap \"\" TERM; sleep 1000' & wait", "Berth-Timeout: 500ms")]
    [InlineData("run_output_limit", "yes | head -c 40000", "Berth-Output-Limit: 10000")]
    [InlineData("run_failed", "exec 0<&- 1>&- 2>&-; sleep 0.1; exit 3")]
    [InlineData("run_failed", "kill -9 $$")]
    [InlineData("run_failed", "sh -c 'kill -9 -1'; echo done")]
    public async Task Is_told_apart(string code, string script, params string[] options)
    {
        using HttpResponseMessage answer = await fixture.CallAsync(script, options, TaskBook.Bytes(1, 1_000_000));
        string text = await answer.Content.ReadAsStringAsync();

        Assert.False(answer.IsSuccessStatusCode, text);
        Problem problem = JsonSerializer.Deserialize(text, RunJson.Default.Problem)!;
        Assert.True(code == problem.Code, text);
        await NextIsServedAsync();
    }

    [Theory]
    [InlineData("setsid sh -c 'sleep 1000 & sleep 1000' & echo done")]
    [InlineData("(sleep 1000 &) ; (setsid setsid sleep 1000 >/dev/null 2>&1 </dev/null &); echo done")]
    [InlineData("kill -9 1; kill -9 $PPID; kill -STOP 1; echo done")]
    [InlineData("exec 0<&-; echo done")]
    [InlineData("exec 2>&-; echo done")]
    [InlineData("echo done; exec 1>&- ; sleep 0.2")]
    [InlineData("rm -rf /bin /etc /dev /proc /sys 2>/dev/null; echo done")]
    [InlineData("yes | head -c 30000000 >&2; echo done")]
    [InlineData("ulimit -n 16; ulimit -f 0; echo done")]
    public async Task Is_served_and_leaves_nothing(string script)
    {
        using HttpResponseMessage answer = await fixture.CallAsync(script, [], TaskBook.Bytes(2, 1_000_000));
        string text = await answer.Content.ReadAsStringAsync();

        Assert.True(answer.IsSuccessStatusCode, text);
        Assert.Equal("done\n", text);
        await NextIsServedAsync();
    }

    /// <summary>Each line is a thing tried and, if it could be done, the word that says so.</summary>
    [Fact]
    public async Task Can_not_leave_its_sandbox()
    {
        const string Script =
            """
            t() { if "$@" >/dev/null 2>&1; then echo "could: $*"; fi; }
            t mount -t tmpfs none /mnt
            t mount --bind / /mnt
            t unshare -U true
            t unshare -m true
            t unshare -n true
            t chroot / true
            t mknod /tmp/disk b 8 0
            t dd if=/dev/zero of=/proc/sysrq-trigger bs=1 count=1
            t sh -c 'echo x > /proc/sys/kernel/core_pattern'
            t sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward'
            t sh -c 'echo x > /sys/kernel/uevent_helper'
            t sh -c 'echo 1 > /sys/fs/cgroup/release_agent'
            t sh -c 'echo -1000 > /proc/self/oom_score_adj'
            t dd if=/proc/kcore of=/dev/null bs=1 count=1
            t dd if=/dev/mem of=/dev/null bs=1 count=1
            t ls /proc/1/root/bin
            t cat /proc/1/environ
            cp /bin/busybox /tmp/id; chmod 4755 /tmp/id
            echo end
            """;

        using HttpResponseMessage answer = await fixture.CallAsync(Script, ["Berth-User: 1000"], []);

        Assert.Equal("end\n", await answer.Content.ReadAsStringAsync());
        await NextIsServedAsync();
    }

    [Fact]
    public async Task An_endless_output_is_cut_off_so_that_nobody_takes_it_for_whole()
    {
        using HttpResponseMessage answer = await fixture.CallAsync(
            "yes", ["Berth-Output-Limit: 20Mi"], [], HttpCompletionOption.ResponseHeadersRead);
        string run = answer.Headers.GetValues("Berth-Run-Id").Single();

        await Assert.ThrowsAnyAsync<Exception>(() => answer.Content.CopyToAsync(Stream.Null));

        Assert.Equal("output_limit", (await fixture.Book.EndAsync(run)).Reason);
        await NextIsServedAsync();
    }

    private async Task NextIsServedAsync()
    {
        using HttpResponseMessage next = await fixture.CallAsync("echo next", [], []);
        Assert.Equal((HttpStatusCode.OK, "next\n"), (next.StatusCode, await next.Content.ReadAsStringAsync()));
    }

    /// <summary>
    /// One server for all of them; when it is stopped it must have stayed within its memory and leave nothing.
    /// </summary>
    public sealed class Fixture : IAsyncLifetime
    {
        /// <summary>Several times what an idle server has, a fraction of what they tried to make it keep.</summary>
        private const long MostMemory = 500L << 20;

        private ServerProcess server = null!;

        internal TaskBook Book => new(server, "hostile");

        public async ValueTask InitializeAsync() =>
            server = await BusyboxServer.StartAsync("--grace", "200ms", "--log-limit", "1Mi");

        public async ValueTask DisposeAsync()
        {
            string peak = File.ReadLines($"/proc/{server.Pid}/status").Single(l => l.StartsWith("VmHWM:"));
            long logs = new DirectoryInfo(Path.Combine(server.Data, "logs"))
                .EnumerateFiles("*", SearchOption.AllDirectories).Max(f => f.Length);
            await using (server)
            {
                await ServerTraces.AreOnlySandboxesAsync(server);
                Assert.Equal(0, await server.StopAsync());
                await ServerTraces.AreGoneAsync(server);
            }

            Assert.InRange(long.Parse(peak.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1]) << 10, 1, MostMemory);
            Assert.InRange(logs, 0, 2 << 20);
        }

        internal Task<HttpResponseMessage> CallAsync(
            string script, string[] options, byte[] body,
            HttpCompletionOption completion = HttpCompletionOption.ResponseContentRead)
        {
            HttpRequestMessage request = new(HttpMethod.Post, "/v1/call/demo/busybox")
            {
                Content = new ByteArrayContent(body),
            };
            foreach (string argument in (string[])["sh", "-c", script])
            {
                request.Headers.Add("Berth-Arg", Uri.EscapeDataString(argument));
            }

            foreach (string option in options)
            {
                request.Headers.Add(option.Split(": ")[0], option.Split(": ")[1]);
            }

            return server.Http.SendAsync(request, completion);
        }
    }
}
