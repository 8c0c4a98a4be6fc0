using System.Text;
using Berth.Api.Client;
using Berth.Api.Containers;
using Berth.Core.Errors;
using Berth.Server.Calls;
using Xunit;

namespace Berth.Tests.Containers;

/// <summary>Attach and exec over their connection.</summary>
public sealed class StreamTests
{
    [Fact]
    public async Task Attached_before_the_start_nothing_is_missed_and_the_end_is_told()
    {
        await using ContainerRig rig = await ContainerRig.StartAsync();
        ContainerView made = await rig.CreateAsync("job", "sh", "-c", "echo out; echo err >&2; exit 4");
        await using ProgramConnection program = await rig.Containers.AttachAsync(made.Id, CancellationToken.None);

        await rig.Containers.StartAsync("job", CancellationToken.None);
        (string output, string error) = await ReadAsync(program);

        Assert.Equal(("out\n", "err\n", 4), (output, error, program.ExitCode));
    }

    [Fact]
    public async Task What_is_sent_is_read_to_its_end()
    {
        await using ContainerRig rig = await ContainerRig.StartAsync();
        await rig.CreateAsync(new ContainerRequest(Name: "cat", Command: ["cat"], OpenInput: true));
        await using ProgramConnection program = await rig.Containers.AttachAsync("cat", CancellationToken.None);
        await rig.Containers.StartAsync("cat", CancellationToken.None);
        byte[] much = [.. Enumerable.Range(0, 300_000).Select(i => (byte)(i % 26 + 'a'))];

        Task<(string Output, string Error)> reading = ReadAsync(program);
        foreach (byte[] part in much.Chunk(10_000))
        {
            await program.WriteAsync(part, CancellationToken.None);
        }

        await program.EndInputAsync(CancellationToken.None);

        Assert.Equal(Encoding.ASCII.GetString(much), (await reading).Output);
        Assert.Equal(0, program.ExitCode);
    }

    [Fact]
    public async Task Two_see_the_same_and_one_that_leaves_leaves_it_running()
    {
        await using ContainerRig rig = await ContainerRig.StartAsync();
        await rig.CreateAsync(new ContainerRequest(Name: "cat", Command: ["cat"], OpenInput: true));
        await using ProgramConnection stays = await rig.Containers.AttachAsync("cat", CancellationToken.None);
        await using (ProgramConnection leaves = await rig.Containers.AttachAsync("cat", CancellationToken.None))
        {
            await rig.Containers.StartAsync("cat", CancellationToken.None);
            await leaves.WriteAsync("hello"u8.ToArray(), CancellationToken.None);
            ProgramPiece? piece = await leaves.ReadAsync(CancellationToken.None);
            Assert.Equal("hello", Encoding.ASCII.GetString(piece!.Value.Bytes.Span));
        }

        await stays.EndInputAsync(CancellationToken.None);

        Assert.Equal("hello", (await ReadAsync(stays)).Output);
        Assert.Equal(0, stays.ExitCode);
    }

    [Fact]
    public async Task A_signal_reaches_the_program()
    {
        await using ContainerRig rig = await ContainerRig.StartAsync();
        await rig.RunAsync(new ContainerRequest(Name: "web", Command: ["sleep", "600"]));
        await using ProgramConnection program = await rig.Containers.AttachAsync("web", CancellationToken.None);

        await program.SignalAsync("TERM", CancellationToken.None);
        await ReadAsync(program);

        Assert.Equal(143, program.ExitCode);
    }

    [Fact]
    public async Task Another_program_runs_beside_with_its_own_streams_and_end()
    {
        await using ContainerRig rig = await ContainerRig.StartAsync();
        await rig.RunAsync(new ContainerRequest(Name: "web", Command: ["sleep", "600"]));
        await using ProgramConnection program = await rig.Containers.ExecuteAsync(
            "web", new ExecRequest(["sh", "-c", "echo out; echo err >&2; exit 7"]), null, CancellationToken.None);

        (string output, string error) = await ReadAsync(program);

        Assert.Equal(("out\n", "err\n", 7), (output, error, program.ExitCode));
        Assert.Equal("running", (await rig.GetAsync("web")).State);
    }

    [Fact]
    public async Task A_program_whose_caller_leaves_is_ended_and_a_detached_one_is_not()
    {
        await using ContainerRig rig = await ContainerRig.StartAsync();
        await rig.RunAsync(new ContainerRequest(Name: "web", Command: ["sleep", "600"]));

        ProgramConnection left = await rig.Containers.ExecuteAsync(
            "web", new ExecRequest(["cat"], OpenInput: true), null, CancellationToken.None);
        await left.DisposeAsync();
        await using ProgramConnection detached = await rig.Containers.ExecuteAsync(
            "web", new ExecRequest(["sleep", "600"], Detach: true), null, CancellationToken.None);
        ContainerView stopped = await rig.Containers.StopAsync("web", TimeSpan.Zero, CancellationToken.None);

        Assert.Equal("exited", stopped.State);
    }

    [Fact]
    public async Task A_program_that_is_detached_later_goes_on_with_its_input_open()
    {
        await using ContainerRig rig = await ContainerRig.StartAsync();
        await rig.RunAsync(new ContainerRequest(Name: "web", Command: ["sleep", "600"]));
        await using ProgramConnection program = await rig.Containers.ExecuteAsync(
            "web", new ExecRequest(["cat"], OpenInput: true), null, CancellationToken.None);
        await program.WriteAsync("here\n"u8.ToArray(), CancellationToken.None);
        ProgramPiece? echo = await program.ReadAsync(CancellationToken.None);
        Assert.Equal("here\n", Encoding.UTF8.GetString(echo!.Value.Bytes.Span));

        await program.DetachAsync(CancellationToken.None);

        Assert.Null(await program.ReadAsync(CancellationToken.None));
        Assert.Null(program.ExitCode);
        Assert.Contains(
            await rig.Containers.ProcessesAsync("web", CancellationToken.None), p => p.Command == "cat");
        ContainerView stopped = await rig.Containers.StopAsync("web", TimeSpan.Zero, CancellationToken.None);
        Assert.Equal("exited", stopped.State);
    }

    [Theory]
    [InlineData("no-such-program", ErrorCode.RunEntryPointMissing)]
    [InlineData("", ErrorCode.InvalidRequest)]
    public async Task What_can_not_be_run_is_refused(string command, ErrorCode code)
    {
        await using ContainerRig rig = await ContainerRig.StartAsync();
        await rig.RunAsync(new ContainerRequest(Name: "web", Command: ["sleep", "600"]));

        BerthException refused = await Assert.ThrowsAsync<BerthException>(() => rig.Containers.ExecuteAsync(
            "web", new ExecRequest([command]), null, CancellationToken.None));

        Assert.Equal(code, refused.Code);
    }

    [Theory]
    [InlineData("environment", "BERTH_X", "Berth's own")]
    [InlineData("environment", "1X", "does not start with a digit")]
    [InlineData("user", "2147483648", "2147483647")]
    [InlineData("workingDirectory", "/a/../b", "'..'")]
    [InlineData("workingDirectory", "/proc/self", "/proc")]
    public async Task What_a_further_program_asks_for_is_checked_as_a_containers_own_is(
        string member, string value, string says)
    {
        await using ContainerRig rig = await ContainerRig.StartAsync();
        await rig.RunAsync(new ContainerRequest(Name: "web", Command: ["sleep", "600"]));
        ExecRequest request = new(["true"]);

        BerthException refused = await Assert.ThrowsAsync<BerthException>(() => rig.Containers.ExecuteAsync(
            "web",
            member switch
            {
                "environment" => request with { Environment = new Dictionary<string, string> { [value] = "1" } },
                "user" => request with { User = value },
                _ => request with { WorkingDirectory = value },
            },
            null, CancellationToken.None));

        Assert.Equal(ErrorCode.InvalidRequest, refused.Code);
        Assert.Contains($"{member} = '{value}' can't be used", refused.Message, StringComparison.Ordinal);
        Assert.Contains(says, refused.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(ProgramRules.MaxVariables, true)]
    [InlineData(ProgramRules.MaxVariables + 1, false)]
    public async Task A_container_and_a_further_program_may_have_so_many_variables(int count, bool taken)
    {
        await using ContainerRig rig = await ContainerRig.StartAsync();
        Dictionary<string, string> variables = Enumerable.Range(0, count).ToDictionary(n => $"N{n}", _ => "v");
        await rig.RunAsync(new ContainerRequest(Name: "web", Command: ["sleep", "600"]));

        Exception? exec = await Record.ExceptionAsync(async () => await (await rig.Containers.ExecuteAsync(
            "web", new ExecRequest(["true"], variables), null, CancellationToken.None)).DisposeAsync());
        Exception? create = await Record.ExceptionAsync(() => rig.CreateAsync(
            new ContainerRequest(Command: ["true"], Environment: variables)));

        foreach (Exception? refused in new[] { exec, create })
        {
            Assert.Equal(taken, refused is null);
            Assert.True(taken || refused!.Message.Contains("at most 512", StringComparison.Ordinal), $"{refused}");
        }
    }

    [Fact]
    public async Task A_container_that_is_not_there_is_told_before_the_connection_is_made()
    {
        await using ContainerRig rig = await ContainerRig.StartAsync();

        BerthException refused = await Assert.ThrowsAsync<BerthException>(
            () => rig.Containers.AttachAsync("none", CancellationToken.None));

        Assert.Equal(ErrorCode.NotFound, refused.Code);
        Assert.Contains("There is no container 'none'", refused.Message, StringComparison.Ordinal);
    }

    private static async Task<(string Output, string Error)> ReadAsync(ProgramConnection program)
    {
        using CancellationTokenSource limit = new(TimeSpan.FromSeconds(30));
        StringBuilder output = new();
        StringBuilder error = new();
        while (await program.ReadAsync(limit.Token) is { } piece)
        {
            (piece.Stream == StreamProtocol.Error ? error : output).Append(
                Encoding.ASCII.GetString(piece.Bytes.Span));
        }

        return (output.ToString(), error.ToString());
    }
}
