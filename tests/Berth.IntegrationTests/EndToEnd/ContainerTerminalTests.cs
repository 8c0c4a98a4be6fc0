using System.Text.Json;
using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>A shell in a container and somebody at a terminal: typing, resizing the window, leaving, coming back.
/// </summary>
[Collection("server")]
public sealed class ContainerTerminalTests(BusyboxFixture fixture) : IClassFixture<BusyboxFixture>
{
    private const string ControlPControlQ = "\u0010\u0011";
    private const string ControlU = "\u0015";
    private const string ControlX = "\u0018";

    [Fact]
    public async Task A_shell_is_typed_at_resized_left_and_come_back_to()
    {
        // What is looked for is never what was typed: a terminal shows that, too.
        using Pty first = Open("run -it --name shell demo/busybox sh");
        first.Type("X=kept; echo first$((6*7))\r");
        await first.ShowsAsync("first42");
        await SeesSizeAsync(first, "24 80");
        await ResizeAsync(41, 123);
        await SeesSizeAsync(first, "41 123");
        first.Type(ControlPControlQ);
        Assert.Equal(0, await first.EndsAsync());
        Assert.Contains("Left shell running", first.Shown, StringComparison.Ordinal);
        Assert.Equal("running", (await fixture.InspectAsync("shell")).GetProperty("state").GetString());

        using Pty second = Open("attach --detach-keys ctrl-x,d shell");
        second.Type("echo again$X\r");
        await second.ShowsAsync("againkept");
        await SeesSizeAsync(second, "24 80");
        second.Type(ControlPControlQ + ControlU + "echo other$((6*7))\r");
        await second.ShowsAsync("other42");
        second.Type(ControlX + "d");
        Assert.Equal(0, await second.EndsAsync());
        Assert.Equal("running", (await fixture.InspectAsync("shell")).GetProperty("state").GetString());

        using Pty third = Open("attach shell");
        third.Type("exit 3\r");
        Assert.Equal(3, await third.EndsAsync());
        JsonElement ended = await fixture.InspectAsync("shell");
        Assert.Equal(
            ("exited", 3), (ended.GetProperty("state").GetString(), ended.GetProperty("exitCode").GetInt32()));
        await fixture.BerthAsync("rm", "shell");
    }

    [Fact]
    public async Task A_shell_beside_the_program_has_the_windows_size_and_an_end_of_its_own()
    {
        await fixture.BerthAsync("run", "-d", "--name", "web", "demo/busybox", "sleep", "600");

        using Pty shell = Open("exec -it web sh");
        shell.Type("echo beside$((6*7))\r");
        await shell.ShowsAsync("beside42");
        await SeesSizeAsync(shell, "24 80");
        await ResizeAsync(30, 99);
        await SeesSizeAsync(shell, "30 99");
        shell.Type("exit 9\r");

        Assert.Equal(9, await shell.EndsAsync());
        using Pty left = Open(
            "exec -it web sh -c 'echo up$((6*7)); until [ -e /go ]; do sleep 0.05; done; : > /went; sleep 600'");
        await left.ShowsAsync("up42");
        left.Type(ControlPControlQ);
        Assert.Equal(0, await left.EndsAsync());
        await fixture.BerthAsync("exec", "web", "sh", "-c", ": > /go");
        await fixture.BerthAsync("exec", "web", "sh", "-c", "until [ -e /went ]; do sleep 0.05; done");
        Assert.Equal("running", (await fixture.InspectAsync("web")).GetProperty("state").GetString());
        await fixture.BerthAsync("rm", "-f", "web");
    }

    /// <summary>The file that names the terminal last opened.</summary>
    private string Terminal => Path.Combine(fixture.Server.Folder, "terminal");

    private Pty Open(string words) => new(
        $"tty > '{Terminal}'; stty rows 24 cols 80; exec '{ServerProcess.Executable}' {words}",
        fixture.Server.Variables);

    /// <summary>As a window does whose edge is drawn: the kernel sends SIGWINCH to who is at the terminal.</summary>
    private async Task ResizeAsync(int rows, int columns)
    {
        string terminal = (await File.ReadAllTextAsync(Terminal)).Trim();
        (await Tool.RunAsync("stty", ["-F", terminal, "rows", $"{rows}", "cols", $"{columns}"])).Succeed();
    }

    /// <param name="size">Rows and columns, as stty(1) tells them.</param>
    private static async Task SeesSizeAsync(Pty pty, string size)
    {
        pty.Type(
            $"until [ \"$(busybox stty size)\" = '{size}' ]; do sleep 0.05; done; echo 'the size is '\"{size}\"\r");
        await pty.ShowsAsync($"the size is {size}");
    }
}
