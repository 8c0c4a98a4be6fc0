using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Core.Resources;
using Berth.Core.Runs;
using Berth.Oci.Images;
using Xunit;

namespace Berth.IntegrationTests.Nodes;

/// <summary>What a program in a sandbox can see and change, and what it can't.</summary>
[Collection("containers")]
public class IsolationTests(NodeFixture fixture)
{
    private protected virtual SandboxSpec Plain => fixture.Plain;

    [Fact]
    public async Task What_one_run_writes_no_other_sees()
    {
        RunOutcome first = await ShellAsync("echo changed > /etc/greeting; echo new > /new; cat /etc/greeting /new");
        RunOutcome second = await ShellAsync("cat /etc/greeting; test -e /new");

        Assert.Equal("changed\nnew\n", first.Output);
        Assert.Equal("hello from the image\n", second.Output);
        Assert.Equal(1, second.Report.ExitCode);
        Assert.Equal("hello from the image\n",
            await File.ReadAllTextAsync(fixture.Images.PathOfLayer("files") + "/etc/greeting"));
    }

    [Fact]
    public async Task Files_of_the_image_belong_to_the_users_it_says()
    {
        RunOutcome run = await ShellAsync("stat -c '%u %g' /etc/greeting; touch /mine; stat -c '%u %g' /mine");

        Assert.Equal("0 0\n0 0\n", run.Output);
    }

    [Fact]
    public async Task Root_of_a_sandbox_is_nobody_on_the_machine()
    {
        RunOutcome run = await ShellAsync("cat /proc/self/uid_map");

        string[] fields = run.Output.Split(' ', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        Assert.Equal("0", fields[0]);
        Assert.True(uint.Parse(fields[1]) >= 1_000_000, $"Root is host user {fields[1]}.");
        Assert.Equal("65536", fields[2]);
    }

    [Fact]
    public async Task Capabilities_privileges_and_system_calls_are_reduced()
    {
        RunOutcome run = await ShellAsync("grep -E '^(CapEff|CapBnd|CapAmb|NoNewPrivs|Seccomp):' /proc/self/status");

        // CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, SETPCAP, NET_BIND_SERVICE.
        Assert.Contains("CapBnd:\t00000000000005fb", run.Output, StringComparison.Ordinal);
        Assert.Contains("CapEff:\t00000000000005fb", run.Output, StringComparison.Ordinal);
        Assert.Contains("CapAmb:\t0000000000000000", run.Output, StringComparison.Ordinal);
        Assert.Contains("NoNewPrivs:\t1", run.Output, StringComparison.Ordinal);
        Assert.Contains("Seccomp:\t2", run.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("mount -t tmpfs none /tmp")]
    [InlineData("umount /proc")]
    [InlineData("unshare -m true")]
    [InlineData("unshare -U true")]
    [InlineData("mknod /tmp/null c 1 3")]
    [InlineData("echo 1 > /proc/sys/kernel/panic")]
    [InlineData("echo 0 > /proc/sysrq-trigger")]
    [InlineData("echo x > /sys/kernel/uevent_seqnum")]
    [InlineData("cat /dev/vda")]
    [InlineData("test -s /proc/kcore && dd if=/proc/kcore count=1 | grep -q .")]
    [InlineData("test -n \"$(ls /sys/firmware)\"")]
    [InlineData("kill -9 1; sleep 0.2; test ! -d /proc/1")]
    [InlineData("echo x > /dev/.berth-init")]
    [InlineData("ip link set lo down")]
    public async Task A_program_can_not(string command)
    {
        RunOutcome run = await ShellAsync(command);

        Assert.Equal(EndReason.ExitCode, run.Report.Reason);
    }

    [Theory]
    [InlineData("pid")]
    [InlineData("net")]
    [InlineData("ipc")]
    [InlineData("uts")]
    [InlineData("mnt")]
    [InlineData("user")]
    [InlineData("cgroup")]
    public async Task Every_namespace_is_its_own(string name)
    {
        RunOutcome run = await ShellAsync($"readlink /proc/self/ns/{name}");

        Assert.StartsWith($"{name}:[", run.Output, StringComparison.Ordinal);
        Assert.NotEqual(File.ResolveLinkTarget($"/proc/self/ns/{name}", false)!.Name, run.Output.Trim());
    }

    [Fact]
    public async Task Only_its_own_processes_are_seen()
    {
        RunOutcome run = await ShellAsync("ls -d /proc/[0-9]* | wc -l");

        Assert.True(int.Parse(run.Output) <= 5, $"The program sees {run.Output} processes.");
    }

    [Fact]
    public async Task Without_a_network_there_is_only_loopback_and_it_is_up()
    {
        RunOutcome run = await ShellAsync("ls /sys/class/net; ip addr show lo | grep -c 127.0.0.1; cat /etc/hosts");

        Assert.StartsWith("lo\n1\n", run.Output, StringComparison.Ordinal);
        Assert.Contains("127.0.0.1\tlocalhost", run.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_image_may_not_turn_system_folders_into_links()
    {
        Digest image = fixture.Images.AddOnTop(
            "linked-dev" + Plain.Family, layer => File.CreateSymbolicLink(layer + "/dev", "/etc"));

        BerthException error = await Assert.ThrowsAsync<BerthException>(
            () => fixture.Node.StartAsync(SandboxRuns.Spec(Of(image), "true"), CancellationToken.None));

        Assert.Equal(ErrorCode.ArchiveRefused, error.Code);
        Assert.Contains("/dev", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Links_in_place_of_network_files_lead_nowhere()
    {
        string target = Path.GetTempFileName();
        await File.WriteAllTextAsync(target, "untouched");
        Digest image = fixture.Images.AddOnTop("linked-hosts" + Plain.Family, layer =>
        {
            Directory.CreateDirectory(layer + "/etc");
            File.CreateSymbolicLink(layer + "/etc/hosts", target);
        });

        RunOutcome run = await fixture.Node.RunAsync(SandboxRuns.Spec(Of(image), "cat", "/etc/hosts"));

        Assert.Contains("localhost", run.Output, StringComparison.Ordinal);
        Assert.Equal("untouched", await File.ReadAllTextAsync(target));
        File.Delete(target);
    }

    [Fact]
    public async Task A_layer_may_be_in_an_image_more_than_once()
    {
        string files = fixture.Images.PathOfLayer("files");
        string tools = fixture.Images.PathOfLayer("tools");
        Digest image = fixture.Images.Add("repeated", new(Env: ["PATH=/bin"]), files, tools, files, files);

        RunOutcome run = await fixture.Node.RunAsync(SandboxRuns.Spec(Of(image), "cat", "/etc/greeting"));

        Assert.Equal("hello from the image\n", run.Output);
    }

    [Fact]
    public async Task An_image_of_as_many_layers_as_are_accepted_runs()
    {
        Digest image = fixture.Images.AddDeep("deep", ImageConfigDocument.MaxLayers);

        RunOutcome run = await fixture.Node.RunAsync(SandboxRuns.Spec(
            Of(image), "sh", "-c", "cat /number /etc/greeting; ls / | grep -c number-"));

        int top = ImageConfigDocument.MaxLayers - 1;
        Assert.Equal($"{top}\nhello from the image\n{top - 1}\n", run.Output);
    }

    [Fact]
    public async Task An_image_without_layers_has_no_program_but_no_fault_either()
    {
        Digest image = fixture.Images.Add("scratch", new());

        RunOutcome run = await fixture.Node.RunAsync(SandboxRuns.Spec(Of(image), "/bin/true"));

        Assert.Equal(EndReason.EntryPointMissing, run.Report.Reason);
    }

    [Fact]
    public async Task A_missing_image_is_named()
    {
        BerthException error = await Assert.ThrowsAsync<BerthException>(() => fixture.Node.StartAsync(
            SandboxRuns.Spec(Of(Digest.Sha256("nothing"u8)), "true"), CancellationToken.None));

        Assert.Equal(ErrorCode.ImageNotFound, error.Code);
    }

    private Task<RunOutcome> ShellAsync(string script) =>
        fixture.Node.RunAsync(SandboxRuns.Spec(Plain, "sh", "-c", script));

    private SandboxSpec Of(Digest image) => Plain with { Image = image };
}

/// <summary>The same where all sandboxes are made within one container.</summary>
[Collection("containers")]
public sealed class InnerIsolationTests(NodeFixture fixture) : IsolationTests(fixture)
{
    private readonly NodeFixture fixture = fixture;

    private protected override SandboxSpec Plain => fixture.PlainInner;
}

/// <summary>What holds only between sandboxes that are containers of their own.</summary>
[Collection("containers")]
public sealed class StrictIsolationTests(NodeFixture fixture)
{
    [Fact]
    public async Task Two_sandboxes_have_different_owners()
    {
        await using IAttempt first = await fixture.Node.StartAsync(
            SandboxRuns.Spec(fixture.Plain, "sh", "-c", "cat /proc/self/uid_map; sleep 600"), CancellationToken.None);
        byte[] map = new byte[64];
        int length = await first.Output.ReadAsync(map);

        RunOutcome second = await ShellAsync("cat /proc/self/uid_map");

        Assert.NotEqual(System.Text.Encoding.ASCII.GetString(map, 0, length), second.Output);
    }

    [Fact]
    public async Task On_the_machines_network_its_devices_are_seen_but_not_its_control_groups()
    {
        SandboxSpec spec = fixture.Plain with { Network = NetworkMode.Host };

        RunOutcome run = await fixture.Node.RunAsync(
            SandboxRuns.Spec(spec, "sh", "-c",
                "readlink /proc/self/ns/net; ls /sys/fs/cgroup; echo x > /sys/kernel/uevent_seqnum"));

        Assert.Equal(File.ResolveLinkTarget("/proc/self/ns/net", false)!.Name, run.Output.Trim());
        Assert.Equal(1, run.Report.ExitCode);
    }

    private Task<RunOutcome> ShellAsync(string script) =>
        fixture.Node.RunAsync(SandboxRuns.Spec(fixture.Plain, "sh", "-c", script));
}
