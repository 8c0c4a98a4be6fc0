using Berth.Node.Linux;
using Xunit;

namespace Berth.Tests.Linux;

/// <summary>Programs of the machine: what they inherit and how their end is learnt.</summary>
public sealed class SpawnerTests : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly ReadinessPoller poller = new();

    public void Dispose() => poller.Dispose();

    [Fact]
    public async Task A_program_has_the_descriptors_it_was_given_and_no_others()
    {
        using Pipe first = Pipe.Create();
        using Pipe second = Pipe.Create();
        using Pipe third = Pipe.Create();
        using FileDescriptor inheritable = first.ReadEnd.Duplicate(200);

        string listing = await OutputAsync("ls -l /proc/self/fd | sed -n 's/.* \\([0-9]* ->.*\\)/\\1/p'",
            second.WriteEnd, third.WriteEnd);

        string[] lines =
            [.. listing.Split('\n', StringSplitOptions.RemoveEmptyEntries).Where(l => !l.Contains("/proc/"))];
        Assert.Equal(["0", "1", "2", "3", "4"], lines.Select(l => l.Split(' ')[0]));
        Assert.EndsWith("/dev/null", lines[0]);
        Assert.NotEqual(lines[3][4..], lines[4][4..]);
    }

    [Fact]
    public async Task Descriptors_may_be_permuted_over_their_own_numbers()
    {
        // The lowest free numbers are likely among the targets; each writes its name to where it ends up.
        Pipe[] pipes = [.. Enumerable.Range(0, 6).Select(_ => Pipe.Create())];
        FileDescriptor?[] descriptors = [null, null, null, .. pipes.Select(p => p.WriteEnd).Reverse()];
        using PidHandle program = Spawner.Start(
            new SpawnSpec("/bin/sh", ["-c", "for i in 3 4 5 6 7 8; do eval \"echo $i >&$i\"; done"],
                Descriptors: descriptors),
            poller);
        foreach (Pipe pipe in pipes)
        {
            pipe.WriteEnd.Dispose();
        }

        for (int i = 0; i < pipes.Length; i++)
        {
            using StreamReader reader = new(new PipeReadStream(pipes[i].ReadEnd, poller));
            Assert.Equal($"{8 - i}\n", await reader.ReadToEndAsync().WaitAsync(Patience));
        }

        Assert.True((await program.Exited.WaitAsync(Patience))!.Succeeded);
    }

    [Fact]
    public async Task The_environment_and_folder_are_those_of_the_spec()
    {
        string text = await OutputAsync("pwd; env | grep -c .; echo $PATH");

        Assert.StartsWith("/\n", text);
        Assert.Contains("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", text);
        Assert.DoesNotContain("DOTNET", await OutputAsync("env"));
    }

    [Fact]
    public async Task Signals_are_at_their_defaults()
    {
        string status = await OutputAsync("cat /proc/self/status");

        Assert.Contains("SigBlk:\t0000000000000000", status);
        Assert.Contains("SigIgn:\t0000000000000000", status);
    }

    [Theory]
    [InlineData("exit 0", 0, 0)]
    [InlineData("exit 7", 7, 0)]
    [InlineData("kill -9 $$", 0, 9)]
    [InlineData("kill -15 $$", 0, 15)]
    public async Task The_end_is_told_as_it_was(string script, int exitCode, int signal)
    {
        using PidHandle program = Spawner.Start(new SpawnSpec("/bin/sh", ["-c", script]), poller);

        ProgramEnd? end = await program.Exited.WaitAsync(Patience);

        Assert.Equal((exitCode, signal), (end!.ExitCode, end.Signal));
        Assert.False(Directory.Exists($"/proc/{program.Pid}"), "It should have been reaped.");
        Assert.False(program.Signal(PidHandle.SigKill));
    }

    [Fact]
    public async Task A_running_program_can_be_signaled()
    {
        using PidHandle program = Spawner.Start(new SpawnSpec("/bin/sleep", ["1000"]), poller);

        Assert.True(program.Signal(PidHandle.SigTerm));

        Assert.Equal(PidHandle.SigTerm, (await program.Exited.WaitAsync(Patience))!.Signal);
    }

    [Fact]
    public async Task A_process_of_somebody_else_ends_without_a_status()
    {
        // The shell reaps its child by itself; here it is only watched.
        using Pipe told = Pipe.Create();
        using PidHandle shell = Spawner.Start(
            new SpawnSpec("/bin/sh", ["-c", "sleep 1000 & echo $!; wait"], Descriptors: [null, told.WriteEnd]), poller);
        told.WriteEnd.Dispose();
        using StreamReader reader = new(new PipeReadStream(told.ReadEnd, poller));
        using PidHandle child = PidHandle.Open(int.Parse((await reader.ReadLineAsync())!), poller);

        child.Signal(PidHandle.SigKill);

        Assert.Null(await child.Exited.WaitAsync(Patience));
        Assert.NotNull(await shell.Exited.WaitAsync(Patience));
    }

    [Fact]
    public async Task Two_hundred_at_once_are_all_reaped()
    {
        PidHandle[] programs =
            [.. Enumerable.Range(0, 200).Select(i =>
                Spawner.Start(new SpawnSpec("/bin/sh", ["-c", $"exit {i}"]), poller))];

        ProgramEnd?[] ends = await Task.WhenAll(programs.Select(p => p.Exited)).WaitAsync(Patience);

        Assert.Equal(Enumerable.Range(0, 200), ends.Select(e => e!.ExitCode));
        Array.ForEach(programs, p => p.Dispose());
        Assert.Equal(0, poller.WatchedCount);
    }

    [Fact]
    public void A_missing_program_is_named()
    {
        LinuxException error = Assert.Throws<LinuxException>(
            () => Spawner.Start(new SpawnSpec("/nowhere/program", []), poller));

        Assert.Equal(Errno.NoEntry, error.Errno);
        Assert.Contains("/nowhere/program", error.Message);
    }

    private async Task<string> OutputAsync(string script, params FileDescriptor[] further)
    {
        using Pipe output = Pipe.Create();
        using PidHandle program = Spawner.Start(
            new SpawnSpec("/bin/sh", ["-c", script], Descriptors: [null, output.WriteEnd, output.WriteEnd, .. further]),
            poller);
        output.WriteEnd.Dispose();
        using StreamReader reader = new(new PipeReadStream(output.ReadEnd, poller));
        string text = await reader.ReadToEndAsync().WaitAsync(Patience);
        await program.Exited.WaitAsync(Patience);
        return text;
    }
}
