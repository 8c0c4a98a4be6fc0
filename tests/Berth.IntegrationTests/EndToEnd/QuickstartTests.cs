using System.Net;
using System.Net.Sockets;
using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>
/// The logic of quickstart.sh with the real executable: its server, image and calls, a second run, and its end. The
/// steps that install, build and fetch are put in by something small, so that this takes seconds.
/// </summary>
[Collection("server")]
public sealed class QuickstartTests : IDisposable
{
    private readonly string folder = Directory.CreateDirectory(
        $"/var/tmp/berth-quickstart-{Path.GetRandomFileName()}").FullName;

    private readonly byte[] photo = new byte[300_000];
    private readonly int port;

    public QuickstartTests()
    {
        using TcpListener probe = new(IPAddress.Loopback, 0);
        probe.Start();
        port = ((IPEndPoint)probe.LocalEndpoint).Port;
        Assert.SkipUnless(File.Exists(ServerProcess.Executable), $"{ServerProcess.Executable} is missing.");
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "A server needs root.");
        new Random(5).NextBytes(photo);
        LayOut();
    }

    private string Data => Path.Combine(folder, "out/quickstart");

    private Dictionary<string, string> Variables => new()
    {
        ["TMPDIR"] = Path.Combine(folder, "tmp"),
        ["HOME"] = folder,
    };

    private string Line => $"{folder}/quickstart.sh --port {port} {folder}/photo.jpg";

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Fact]
    public async Task A_second_run_uses_what_the_first_has_made_and_neither_leaves_anything()
    {
        ToolResult first = await RunAsync();
        await NothingIsLeftAsync();
        ToolResult second = await RunAsync();
        await NothingIsLeftAsync();

        Assert.True(first.ExitCode == 0, first.Error);
        Assert.True(second.ExitCode == 0, second.Error);
        Assert.Contains("Packing the image and pushing it", first.Error);
        Assert.DoesNotContain("Packing", second.Error);
        Assert.Contains("is in the registry already", second.Error);
        Assert.Equal(photo, await File.ReadAllBytesAsync(Path.Combine(folder, "out/thumbnail.jpg")));
        Assert.Matches(@"Took +[0-9.]+ ms in a fresh container", second.Text);
        Assert.Matches(@"CPU time +[0-9.]+ ms", second.Text);
    }

    [Theory]
    [InlineData("Server at http://")]
    [InlineData("The server goes on.")]
    public async Task Control_c_leaves_nothing_whenever_it_is_pressed(string shown)
    {
        using Pty terminal = new(Line, Variables);
        await terminal.ShowsAsync(shown);

        terminal.PressControlC();

        Assert.Equal(130, await terminal.EndsAsync());
        await NothingIsLeftAsync();
    }

    [Fact]
    public async Task What_a_killed_installation_left_mounted_goes_with_the_next()
    {
        string tools = Directory.CreateDirectory(Path.Combine(folder, "tools")).FullName;
        File.Copy(
            Path.Combine(ServerProcess.RepositoryRoot(), "samples/thumbnail/layers.sh"),
            Path.Combine(folder, "layers.sh"));
        Dictionary<string, string> variables = new(Variables)
        {
            ["PATH"] = $"{tools}:{Environment.GetEnvironmentVariable("PATH")}",
        };
        string script = Path.Combine(folder, "layers.sh");
        string layers = Path.Combine(folder, "out/sample");
        WriteScript(
            "tools/mmdebstrap",
            "mkdir -p $WORK/all/proc $WORK/all/sys; for f in proc sys; do mount -t tmpfs none $WORK/all/$f; done\n"
            + "kill -9 $PPID $$");

        ToolResult killed = await Tool.RunAsync("bash", [script, layers], [], variables);
        Assert.NotEqual(0, killed.ExitCode);
        Assert.Equal(2, MountsBelow(folder).Length);

        WriteScript(
            "tools/mmdebstrap",
            "mkdir -p $WORK/system $WORK/all/proc; touch $WORK/between; sleep 0.01; echo new > $WORK/all/new\n"
            + "mount -t tmpfs none $WORK/all/proc");
        (await Tool.RunAsync("bash", [script, layers], [], variables)).Succeed();

        Assert.Empty(MountsBelow(folder));
        Assert.True(File.Exists(Path.Combine(layers, "tool/new")));
        Assert.Equal(["sample", "sample.lock"], EntriesOf(Path.Combine(folder, "out"), "sample*"));
    }

    private static string[] MountsBelow(string path) =>
        [.. File.ReadLines("/proc/self/mountinfo").Where(l => l.Contains(path + "/", StringComparison.Ordinal))];

    private static string[] EntriesOf(string path, string pattern) =>
        [.. Directory.GetFileSystemEntries(path, pattern).Select(e => Path.GetFileName(e)).Order()];

    private Task<ToolResult> RunAsync() => Tool.RunAsync("bash", ["-c", $"{Line} --stop"], [], Variables);

    private async Task NothingIsLeftAsync()
    {
        await ServerTraces.AreGoneAsync(folder, Data);
        Assert.False(File.Exists(Data + ".address"), "The address of a server that is gone is still written down.");
        Assert.Empty(Directory.GetFileSystemEntries(Path.Combine(folder, "tmp")));
    }

    private void LayOut()
    {
        string root = ServerProcess.RepositoryRoot();
        foreach (string name in (string[])["tmp", "out", "eng", "samples/thumbnail/app/usr/local/bin"])
        {
            Directory.CreateDirectory(Path.Combine(folder, name));
        }

        File.Copy(Path.Combine(root, "quickstart.sh"), Path.Combine(folder, "quickstart.sh"));
        File.Copy(Path.Combine(root, "eng/steps.sh"), Path.Combine(folder, "eng/steps.sh"));
        File.CreateSymbolicLink(Path.Combine(folder, "out/berth"), ServerProcess.Executable);
        File.WriteAllBytes(Path.Combine(folder, "photo.jpg"), photo);
        WriteScript("eng/prerequisites.sh", "exit 0");
        WriteScript("build.sh", "exit 0");
        WriteScript(
            "samples/thumbnail/layers.sh",
            "mkdir -p $1/system/bin $1/tool && cp /bin/busybox $1/system/bin/ && echo 1 > $1/recipe");
        WriteScript("samples/thumbnail/app/usr/local/bin/thumbnail", "exec /bin/busybox cat", "/bin/busybox sh");
    }

    private void WriteScript(string name, string text, string shell = "/bin/sh")
    {
        string path = Path.Combine(folder, name);
        File.WriteAllText(path, $"#!{shell}\n{text}\n");
        File.SetUnixFileMode(path, (UnixFileMode)0b111_101_101);
    }
}
