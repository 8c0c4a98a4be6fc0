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
    [InlineData("run -it demo/a sh", "-t: this version gives no terminal")]
    [InlineData("run --tty demo/a", "--tty: this version gives no terminal")]
    [InlineData("run -d demo/a", "-d: 'berth run' waits for the program: 'berth task submit IMAGE' does not")]
    [InlineData("run -p 8080:80 demo/a", "-p: this version publishes no ports")]
    [InlineData("run --name one demo/a", "--name: runs have ids instead of names: --label name=NAME")]
    [InlineData("run --volume /tmp:/x demo/a", "--volume: this version mounts no folders")]
    [InlineData("run --mount type=bind,src=/tmp,dst=/x demo/a", "--mount: this version mounts no folders")]
    [InlineData("run -v /tmp:/x demo/a", "'/tmp:/x' is a path, not an image. -v means --verbose here")]
    [InlineData("run -v data:/x demo/a", "'data:/x' is a path, not an image. -v means --verbose here")]
    [InlineData("run ./program", "'./program' is a path, not an image.")]
    [InlineData("task submit -v $PWD:/x demo/a", "'$PWD:/x' is a path, not an image. -v means --verbose here")]
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
    [InlineData("rm 3", "berth image rm")]
    [InlineData("push demo/a", "berth image push")]
    [InlineData("pull busybox", "berth image pull")]
    [InlineData("tag a b", "berth image tag")]
    [InlineData("inspect demo/a", "berth image inspect")]
    [InlineData("exec 3 sh", "berth run --entrypoint")]
    [InlineData("stop 3", "berth task cancel")]
    [InlineData("kill 3", "berth task cancel")]
    [InlineData("build .", "berth image pack")]
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
