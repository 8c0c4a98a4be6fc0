using System.Text;
using Berth.Core.Errors;
using Berth.Init.Protocol;
using Berth.Node.Init;
using Berth.Node.Linux;
using Xunit;

namespace Berth.IntegrationTests.Init;

// Alone, because its tests count what the whole process holds.
[CollectionDefinition("init", DisableParallelization = true)]
public sealed class InitCollection : ICollectionFixture<InitFixture>;

/// <summary>One root folder and one poller for all tests of the init.</summary>
public sealed class InitFixture : IAsyncLifetime
{
    public InitRoot Root { get; private set; } = null!;

    public ReadinessPoller Poller { get; } = new();

    public async ValueTask InitializeAsync() => Root = await InitRoot.MakeAsync();

    public async ValueTask DisposeAsync()
    {
        int watched = Poller.WatchedCount;
        Poller.Dispose();
        await Root.DisposeAsync();
        Assert.Equal(0, watched);
    }
}

/// <summary>The real berth-init over its channel: one program, its streams and its end.</summary>
[Collection("init")]
public sealed class InitTests(InitFixture fixture)
{
    [Fact]
    public async Task Input_comes_back_from_cat()
    {
        await using BareInit init = await BootAsync();

        Assert.IsType<StartOutcome.Started>(await init.StartAsync(new ProgramStart(["cat"], NoEnvironment)));
        await init.Input.WriteAsync("hello"u8.ToArray());
        await init.Input.DisposeAsync();

        Assert.Equal("hello", await init.ReadOutputAsync());
        ProgramExit? exit = await init.ExitAsync();
        Assert.Equal((0, 0), (exit!.ExitCode, exit.Signal));
        Assert.True((await init.Gone.WaitAsync(BareInit.Patience))!.Succeeded);
    }

    [Theory]
    [InlineData("exit 0", 0, 0)]
    [InlineData("exit 41", 41, 0)]
    [InlineData("kill -9 $$", 0, 9)]
    [InlineData("kill -11 $$", 0, 11)]
    [InlineData("exec 0<&- 1>&- 2>&- 3>&-; exit 5", 5, 0)]
    public async Task The_end_is_told_as_it_was(string script, int exitCode, int signal)
    {
        await using BareInit init = await BootAsync();

        await init.StartShellAsync(script);

        ProgramExit? exit = await init.ExitAsync();
        Assert.Equal((exitCode, signal), (exit!.ExitCode, exit.Signal));
    }

    [Fact]
    public async Task Arguments_and_environment_arrive_byte_by_byte()
    {
        await using BareInit init = await BootAsync();
        string large = new('x', 100_000);

        await init.RunAsync(new ProgramStart(
            ["sh", "-c", "echo \"$0|$1|$2|${#LARGE}|$TEXT\"", "", "a b", "ü\n"],
            new Dictionary<string, string> { ["PATH"] = "/bin", ["LARGE"] = large, ["TEXT"] = "=1=" }));

        Assert.Equal("|a b|ü\n|100000|=1=\n", await init.ReadOutputAsync());
    }

    [Fact]
    public async Task PATH_and_HOME_are_added_only_when_missing()
    {
        await using BareInit bare = await BootAsync();
        await bare.RunAsync(new ProgramStart(["/bin/env"], NoEnvironment, "alice"));
        string[] added = (await bare.ReadOutputAsync()).Split('\n');
        await using BareInit given = await BootAsync();
        await given.RunAsync(new ProgramStart(
            ["env"], new Dictionary<string, string> { ["PATH"] = "/bin", ["HOME"] = "/x" }, "alice"));
        string[] kept = (await given.ReadOutputAsync()).Split('\n', StringSplitOptions.RemoveEmptyEntries);

        Assert.Contains("HOME=/home/alice", added);
        Assert.Contains("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", added);
        Assert.Equal(["HOME=/x", "PATH=/bin"], kept.Order());
    }

    [Theory]
    [InlineData("nothing-like-it", "is in no folder of PATH (/bin)")]
    [InlineData("/bin/nothing-like-it", "does not exist in the image")]
    [InlineData("/plain/under-a-file", "does not exist in the image")]
    [InlineData("/plain", "is not executable")]
    [InlineData("/tmp", "is not executable")]
    [InlineData("/orphan", "or its interpreter or loader doesn't")]
    [InlineData("/strange", "no executable of this machine's architecture")]
    [InlineData("bin/nothing", "does not exist in the image")]
    public async Task A_command_that_can_not_run_is_explained(string command, string expected)
    {
        await using BareInit init = await BootAsync();

        StartOutcome outcome = await init.StartAsync(
            new ProgramStart([command], new Dictionary<string, string> { ["PATH"] = "/bin" }));

        string detail = Assert.IsType<StartOutcome.EntryPointMissing>(outcome).Detail;
        Assert.Contains(expected, detail);
        Assert.Contains($"'{command}'", detail);
        Assert.Null(await init.ExitAsync());
        Assert.Equal("", await init.ReadOutputAsync());
    }

    [Theory]
    [InlineData("", "0 0 0")]
    [InlineData("alice", "1234 1235 1235 77")]
    [InlineData("1234", "1234 1235 1235 77")]
    [InlineData("alice:users", "1234 1235 1235")]
    [InlineData("alice:9", "1234 9 9")]
    [InlineData("5000", "5000 0 0")]
    [InlineData("5000:6000", "5000 6000 6000")]
    [InlineData("2147483647:2147483647", "2147483647 2147483647 2147483647")]
    public async Task Users_are_resolved_as_docker_does(string user, string expected)
    {
        await using BareInit init = await BootAsync();

        await init.RunAsync(BareInit.Shell("exec 2> /dev/null; echo $(id -u) $(id -g) $(id -G)", user));

        Assert.Equal(expected + "\n", await init.ReadOutputAsync());
    }

    [Theory]
    [InlineData("mallory", "not in the image's /etc/passwd")]
    [InlineData("alice:nobody", "not in the image's /etc/group")]
    [InlineData("2147483648", "above 2147483647")]
    [InlineData("99999999999999999999", "above 2147483647")]
    [InlineData("0:4294967295", "above 2147483647")]
    [InlineData("bob", "not in the image's /etc/passwd")]
    [InlineData("-1", "not in the image's /etc/passwd")]
    [InlineData(":0", "empty user or group")]
    [InlineData("alice:", "empty user or group")]
    [InlineData(" ", "not in the image's /etc/passwd")]
    public async Task A_user_that_is_not_there_is_refused_and_never_root(string user, string expected)
    {
        await using BareInit init = await BootAsync();

        StartOutcome outcome = await init.StartAsync(BareInit.Shell("id", user));

        Assert.Contains(expected, Assert.IsType<StartOutcome.EntryPointMissing>(outcome).Detail);
        Assert.Equal("", await init.ReadOutputAsync());
    }

    [Theory]
    [InlineData("rm /etc/passwd; mkfifo /etc/passwd", "is not a regular file")]
    [InlineData("head -c 1048577 /dev/zero > /etc/passwd", "is larger than 1 MiB")]
    [InlineData("rm /etc/passwd", "is not in the image's")]
    public async Task A_hostile_account_file_neither_hangs_nor_fills_the_init(string make, string expected)
    {
        await using InitRoot root = await InitRoot.MakeAsync();
        using PidHandle prepared = Spawner.Start(
            new SpawnSpec("/bin/sh", ["-c", make.Replace(" /etc", $" {root.Path}/etc", StringComparison.Ordinal)]),
            fixture.Poller);
        Assert.True((await prepared.Exited)!.Succeeded);
        await using BareInit init = await BareInit.BootAsync(root, fixture.Poller);

        StartOutcome outcome = await init.StartAsync(BareInit.Shell("id", "alice"));

        Assert.Contains(expected, Assert.IsType<StartOutcome.EntryPointMissing>(outcome).Detail);
    }

    [Theory]
    [InlineData("/new/deep/folder/")]
    [InlineData("/tmp")]
    public async Task The_working_directory_is_made_when_missing(string folder)
    {
        await using BareInit init = await BootAsync();

        await init.RunAsync(BareInit.Shell("pwd; stat -c '%u %a' .", "alice", folder));

        string expected = folder == "/tmp" ? "/tmp\n" : "/new/deep/folder\n0 755\n";
        Assert.StartsWith(expected, await init.ReadOutputAsync());
    }

    [Theory]
    [InlineData("/plain", "is not a folder")]
    [InlineData("/plain/below", "can't be made")]
    [InlineData("/proc", "lies in /proc")]
    [InlineData("/proc/self/fd/3", "lies in /proc")]
    [InlineData("/tmp/../../proc/self/fd", "lies in /proc")]
    [InlineData("//proc", "lies in /proc")]
    [InlineData("/held", "lies in /proc")]
    public async Task A_working_directory_that_can_not_be_is_refused(string folder, string expected)
    {
        await using BareInit init = await BootAsync();

        StartOutcome outcome = await init.StartAsync(BareInit.Shell("pwd", folder: folder));

        Assert.Contains(expected, Assert.IsType<StartOutcome.EntryPointMissing>(outcome).Detail);
    }

    [Fact]
    public async Task Progress_has_a_pipe_of_its_own_and_nothing_else_is_inherited()
    {
        await using BareInit init = await BootAsync();

        await init.StartShellAsync("echo 50 half >&3; ls /proc/$$/fd; cat /proc/$$/oom_score_adj");

        using StreamReader progress = new(init.Progress);
        Assert.Equal("50 half\n", await progress.ReadToEndAsync().WaitAsync(BareInit.Patience));
        Assert.Equal("0\n1\n2\n3\n500\n", await init.ReadOutputAsync());
    }

    [Fact]
    public async Task A_program_starts_with_plain_signals_in_its_own_session_and_filtered()
    {
        await using BareInit init = await BootAsync();

        await init.StartShellAsync("cat /proc/self/status; ps -o pid,sid | grep -c ' *$$ *$$'");

        string status = await init.ReadOutputAsync();
        Assert.Contains("SigBlk:\t0000000000000000", status);
        Assert.Contains("SigIgn:\t0000000000000000", status);
        Assert.Contains("NoNewPrivs:\t1", status);
        Assert.Contains("Seccomp:\t2", status);
    }

    [Fact]
    public async Task Values_no_program_could_get_are_refused_before_anything_is_sent()
    {
        await using BareInit init = await BootAsync();

        foreach (ProgramStart bad in (ProgramStart[])[
            new([], NoEnvironment), new([""], NoEnvironment), new(["a\0b"], NoEnvironment),
            new(["a"], new Dictionary<string, string> { ["A=B"] = "" }), new(["a"], NoEnvironment, "", "relative"),
            new(["a"], NoEnvironment, new string('u', FrameLimits.MaxUser + 1)),
            new([.. Enumerable.Repeat(new string('x', FrameLimits.MaxText), 9)], NoEnvironment)])
        {
            BerthException error = await Assert.ThrowsAsync<BerthException>(() => init.StartAsync(bad));
            Assert.Equal(ErrorCode.InvalidRequest, error.Code);
        }

        Assert.IsType<StartOutcome.Started>(await init.StartAsync(BareInit.Shell("exit 0")));
    }

    private static readonly Dictionary<string, string> NoEnvironment = [];

    private Task<BareInit> BootAsync() => BareInit.BootAsync(fixture.Root, fixture.Poller);
}
