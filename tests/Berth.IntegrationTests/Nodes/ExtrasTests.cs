using System.Globalization;
using System.Text;
using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Core.Resources;
using Berth.Core.Runs;
using Xunit;

namespace Berth.IntegrationTests.Nodes;

/// <summary>What a container has beyond a call: files that last, mounts, a read-only root, a terminal.</summary>
[Collection("containers")]
public sealed class ExtrasTests(NodeFixture fixture)
{
    private static readonly SandboxExtras None = new(null, ReadOnlyRoot: false, [], null);

    private static int layers;

    [Fact]
    public async Task A_lasting_layer_has_what_was_written_before()
    {
        SandboxExtras extras = None with { Layer = NewLayer() };

        await RunAsync(extras, "echo kept >/etc/kept; rm /etc/greeting; chown alice /etc/kept; chmod 4711 /etc/kept");
        RunOutcome run = await RunAsync(extras, "cat /etc/kept; stat -c '%U %a' /etc/kept; ls /etc/greeting");

        Assert.Equal("kept\nalice 4711\n", run.Output);
        Assert.Contains("No such file", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_lasting_layer_follows_its_container_to_other_user_ids()
    {
        SandboxExtras extras = None with { Layer = NewLayer() };
        await RunAsync(
            extras,
            "mkdir -p /a/b; echo x >/a/b/c; chown -R alice:users /a/b; chmod 2750 /a/b; ln -s /nowhere /a/link");
        // The range it had goes to somebody else meanwhile.
        await using IAttempt other = await fixture.Node.StartAsync(
            SandboxRuns.Spec(fixture.Plain, "sleep", "600"), CancellationToken.None);
        await using IAttempt another = await fixture.Node.StartAsync(
            SandboxRuns.Spec(fixture.Plain, "sleep", "600"), CancellationToken.None);

        RunOutcome run = await RunAsync(
            extras, "cd /a; stat -c '%n %u:%g %a' . b b/c; readlink link; stat -c %u link; cat b/c");

        Assert.Equal(". 0:0 755\nb 1234:1235 2750\nb/c 1234:1235 644\n/nowhere\n0\nx\n", run.Output);
    }

    [Fact]
    public async Task A_lasting_layer_has_a_limit()
    {
        SandboxExtras extras = None with { Layer = NewLayer() };

        RunOutcome run = await RunAsync(extras, "dd if=/dev/zero of=/big bs=1M count=40 2>&1; ls -l / | grep -c big");

        Assert.Contains("No space left", run.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_lasting_layer_passes_from_one_sandbox_to_the_next_however_quickly()
    {
        SandboxExtras extras = None with { Layer = NewLayer() };

        for (int i = 0; i < 10; i++)
        {
            await RunAsync(extras, "echo x >>/lines");
        }

        Assert.Equal("10\n", (await RunAsync(extras, "wc -l </lines")).Output.TrimStart());
    }

    [Fact]
    public async Task Volumes_are_shared_and_their_owners_are_the_same_in_every_sandbox()
    {
        SandboxMount[] mounts = [new SandboxMount.Volume("shared", "/srv/data", ReadOnly: false)];
        SandboxMount[] readOnly = [new SandboxMount.Volume("shared", "/srv/data", ReadOnly: true)];

        await RunAsync(None with { Mounts = mounts }, "echo one >/srv/data/f; chown alice /srv/data/f");
        await using IAttempt other = await fixture.Node.StartAsync(
            SandboxRuns.Spec(fixture.Plain, "sleep", "600"), CancellationToken.None);
        RunOutcome run = await RunAsync(
            None with { Mounts = readOnly }, "cat /srv/data/f; stat -c %U /srv/data/f; echo two >/srv/data/f");

        Assert.Equal("one\nalice\n", run.Output);
        Assert.Contains("Read-only", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Host_folders_and_files_are_put_where_they_are_wanted()
    {
        string folder = Directory.CreateTempSubdirectory("berth-extras-").FullName;
        try
        {
            File.WriteAllText(folder + "/file", "of the machine\n");
            SandboxMount[] mounts =
            [
                new SandboxMount.Host(folder, "/mnt/deep/folder", ReadOnly: true),
                new SandboxMount.Host(folder + "/file", "/etc/greeting", ReadOnly: true),
            ];

            RunOutcome run = await RunAsync(
                None with { Mounts = mounts }, "cat /mnt/deep/folder/file /etc/greeting; touch /mnt/deep/folder/new");

            Assert.Equal("of the machine\nof the machine\n", run.Output);
            Assert.Contains("Read-only", run.Error, StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public async Task A_folder_in_memory_has_its_size_and_nothing_of_the_image()
    {
        SandboxMount[] mounts = [new SandboxMount.Temporary("/etc", ByteSize.MiB(1))];

        RunOutcome run = await RunAsync(
            None with { Mounts = mounts }, "ls /etc | wc -l; dd if=/dev/zero of=/etc/big bs=1k count=2000 2>&1");

        Assert.StartsWith("0\n", run.Output, StringComparison.Ordinal);
        Assert.Contains("No space left", run.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_folder_in_memory_may_be_for_reading_only()
    {
        SandboxMount[] mounts = [new SandboxMount.Temporary("/etc", ByteSize.MiB(1), ReadOnly: true)];

        RunOutcome run = await RunAsync(None with { Mounts = mounts }, "ls /etc | wc -l; echo no > /etc/file");

        Assert.Equal("0\n", run.Output);
        Assert.Contains("Read-only", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_read_only_root_can_not_be_written_but_mounts_can()
    {
        SandboxExtras extras = None with
        {
            ReadOnlyRoot = true,
            Mounts = [new SandboxMount.Temporary("/own", ByteSize.MiB(1))],
            HostName = "named",
        };

        RunOutcome run = await RunAsync(extras, "hostname; echo ok >/own/f && cat /own/f; echo no >/f");

        Assert.Equal("named\nok\n", run.Output);
        Assert.Contains("Read-only", run.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("/link/inside")]
    [InlineData("/absolute")]
    [InlineData("/up/inside")]
    public async Task No_link_of_the_image_leads_a_mount_out_of_it(string target)
    {
        string outside = Directory.CreateTempSubdirectory("berth-outside-").FullName;
        try
        {
            Digest image = fixture.Images.AddOnTop("links" + target, layer =>
            {
                File.CreateSymbolicLink(layer + "/link", outside);
                File.CreateSymbolicLink(layer + "/absolute", outside + "/made");
                File.CreateSymbolicLink(layer + "/up", "../../../../../../.." + outside);
            });
            SandboxExtras extras = None with { Mounts = [new SandboxMount.Temporary(target, ByteSize.MiB(1))] };

            try
            {
                await fixture.Node.RunAsync(Spec(extras, "true") with { Sandbox = fixture.Of(image) });
            }
            catch (BerthException error)
            {
                Assert.Equal(ErrorCode.InvalidRequest, error.Code);
            }

            Assert.Empty(Directory.EnumerateFileSystemEntries(outside));
        }
        finally
        {
            Directory.Delete(outside, recursive: true);
        }
    }

    [Theory]
    [InlineData("/")]
    [InlineData("/proc/x")]
    [InlineData("/dev")]
    [InlineData("/a/../b")]
    [InlineData("/bin/busybox")]
    [InlineData("/bin/busybox/x")]
    public async Task A_place_where_nothing_can_be_mounted_is_refused_by_name(string target)
    {
        SandboxExtras extras = None with { Mounts = [new SandboxMount.Temporary(target, ByteSize.MiB(1))] };

        BerthException error = await Assert.ThrowsAsync<BerthException>(
            () => fixture.Node.StartAsync(Spec(extras, "true"), CancellationToken.None));

        Assert.Equal(ErrorCode.InvalidRequest, error.Code);
        Assert.Contains(target, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_terminal_is_the_programs_own()
    {
        AttemptSpec spec = SandboxRuns.Spec(
            fixture.Plain, "sh", "-c", "stty size; test -t 0 && echo tty; trap 'echo interrupted; exit 3' INT; "
            + "echo ready; while :; do sleep 0.05; done");
        await using IAttempt attempt = await fixture.Node.StartAsync(
            spec with { Terminal = new TerminalSize(40, 132), User = "alice" }, CancellationToken.None);
        StringBuilder shown = new();
        await ReadUntilAsync(attempt.Output, shown, "ready");

        // What the interrupt key sends; it only works with a controlling terminal.
        await attempt.Input.WriteAsync(new byte[] { 3 });
        AttemptReport report = await attempt.Completion.WaitAsync(SandboxRuns.Patience);
        await ReadUntilAsync(attempt.Output, shown, "interrupted");

        Assert.StartsWith("40 132\r\ntty\r\n", shown.ToString(), StringComparison.Ordinal);
        Assert.Equal(3, report.ExitCode);
    }

    [Fact]
    public async Task A_terminal_beside_a_program_can_be_resized_and_reopened()
    {
        await using IAttempt attempt = await fixture.Node.StartAsync(
            SandboxRuns.Spec(fixture.Plain, "sleep", "600"), CancellationToken.None);
        await using IExecution shell = await attempt.ExecuteAsync(
            new ExecutionSpec(
                ["sh"], new Dictionary<string, string> { ["PS1"] = "" }, "alice", "/tmp", TerminalSize.Usual),
            CancellationToken.None);

        shell.Resize(new TerminalSize(50, 160));
        await shell.Input.WriteAsync("stty size; pwd; echo back >/dev/tty; exit 6\n"u8.ToArray());
        StringBuilder shown = new();
        await ReadUntilAsync(shell.Output, shown, "back\r\n");

        Assert.Contains("50 160\r\n/tmp\r\nback\r\n", shown.ToString(), StringComparison.Ordinal);
        Assert.Equal(new ExecutionEnd(6, null), await shell.Completion.WaitAsync(SandboxRuns.Patience));
    }

    private static async Task ReadUntilAsync(Stream stream, StringBuilder shown, string end)
    {
        byte[] buffer = new byte[1024];
        while (!shown.ToString().Contains(end, StringComparison.Ordinal))
        {
            int count = await stream.ReadAsync(buffer).AsTask().WaitAsync(SandboxRuns.Patience);
            Assert.True(count > 0, $"The terminal ended before it showed '{end}': {shown}");
            shown.Append(Encoding.UTF8.GetString(buffer, 0, count));
        }
    }

    private static string NewLayer() =>
        string.Create(CultureInfo.InvariantCulture, $"layer-{Interlocked.Increment(ref layers)}");

    private AttemptSpec Spec(SandboxExtras extras, string script) =>
        SandboxRuns.Spec(fixture.Plain, "sh", "-c", script) with { Extras = extras };

    private Task<RunOutcome> RunAsync(SandboxExtras extras, string script) =>
        fixture.Node.RunAsync(Spec(extras, script));
}
