using Xunit;

namespace Berth.Tests.Commands;

/// <summary>Command lines that can't be meant, and those that docker's users bring along: each is answered with a
/// sentence that leads on, and nothing is asked of a server.</summary>
public sealed class MisuseTests
{
    [Theory]
    [InlineData("task ls -q -o json", "--quiet and --output json")]
    [InlineData("image ls --output json --quiet", "--quiet and --output json")]
    [InlineData("ps -o json -q", "--quiet and --output json")]
    [InlineData("token ls -qo json", "--quiet and --output json")]
    [InlineData("--host a task ls --context b", "--host and --context")]
    [InlineData("version --context b --host a", "--host and --context")]
    [InlineData("image pull --password-stdin registry.example.org/a:1", "--password-stdin needs --username")]
    public async Task Flags_that_exclude_each_other_are_refused_by_name(string line, string names)
    {
        using CommandHarness harness = new();

        int exitCode = await harness.RunAsync(line);

        Assert.Equal((64, ""), (exitCode, harness.Output));
        Assert.StartsWith($"berth: {names}", harness.Error, StringComparison.Ordinal);
        Assert.Empty(harness.Server.Requests);
    }

    [Theory]
    [InlineData("run -p 8080 demo/a", "--publish: '8080' is no port: write [IP:]PORT:PORT[/udp]")]
    [InlineData("run -p 8080:80/sctp demo/a", "--publish: '8080:80/sctp' is no port")]
    [InlineData("run -p x:8080:80 demo/a", "--publish: 'x:8080:80' is no port")]
    [InlineData("run -p 70000:80 demo/a", "--publish: '70000:80' is no port")]
    [InlineData("run --privileged demo/a", "--privileged: sandboxes are never privileged")]
    [InlineData("run --cap-add SYS_ADMIN demo/a", "--cap-add: sandboxes have a fixed set")]
    [InlineData("run --gpus all demo/a", "--gpus: this version gives no GPUs")]
    [InlineData("run ./program", "'./program' is a path, not an image")]
    [InlineData("task submit $PWD:/x demo/a", "'$PWD:/x' is a path, not an image")]
    public async Task What_docker_run_has_and_berth_has_not_is_answered_with_what_to_do_instead(
        string line, string expected)
    {
        using CommandHarness harness = new();

        int exitCode = await harness.RunAsync(line);

        Assert.Equal((64, ""), (exitCode, harness.Output));
        Assert.StartsWith($"berth: {expected}", harness.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("images", "berth image ls")]
    [InlineData("rmi demo/a", "berth image rm")]
    [InlineData("push demo/a", "berth image push")]
    [InlineData("pull busybox", "berth image pull")]
    [InlineData("tag a b", "berth image tag")]
    [InlineData("build .", "berth image build")]
    [InlineData("commit c1 a:1", "berth image build")]
    [InlineData("port c1", "berth function deploy --port")]
    [InlineData("container ls", "berth ps")]
    [InlineData("search a", "berth repository ls")]
    [InlineData("update -m 1g c1", "berth create")]
    [InlineData("load -i a.tar", "berth image import")]
    public async Task A_command_of_dockers_is_answered_with_berths(string line, string expected)
    {
        using CommandHarness harness = new();

        int exitCode = await harness.RunAsync(line);

        Assert.Equal(64, exitCode);
        string command = line.Split(' ')[0];
        Assert.StartsWith($"berth: there is no command 'berth {command}'.", harness.Error, StringComparison.Ordinal);
        Assert.Contains($"'{expected}", harness.Error, StringComparison.Ordinal);
    }
}
