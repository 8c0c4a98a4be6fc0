using Berth.Node.Linux;
using Berth.Testing.Content;
using Xunit;

namespace Berth.Tests.Linux;

/// <summary>Programs that are executed from memory which nobody can change.</summary>
public sealed class SealedProgramTests : IDisposable
{
    private readonly TemporaryFolder folder = new();
    private readonly ReadinessPoller poller = new();

    public void Dispose()
    {
        poller.Dispose();
        folder.Dispose();
    }

    [Fact]
    public async Task A_copy_runs_and_cannot_be_written()
    {
        using FileDescriptor copy = (await SealedProgram.CopyAsync("/bin/sh", CancellationToken.None))!;
        string path = $"/proc/{Environment.ProcessId}/fd/{copy.Number}";

        using PidHandle program = Spawner.Start(new SpawnSpec(path, ["-c", "exit 7"]), poller);

        Assert.Equal(7, (await program.Exited.WaitAsync(TimeSpan.FromSeconds(60)))!.ExitCode);
        await using FileStream file = new(path, FileMode.Open, FileAccess.Write);
        Assert.ThrowsAny<Exception>(() => RandomAccess.Write(file.SafeFileHandle, "#!"u8, 0));
        Assert.ThrowsAny<Exception>(() => file.SetLength(0));
    }

    [Fact]
    public async Task A_script_stays_where_it_is()
    {
        await File.WriteAllTextAsync(folder["script"], "#!/bin/sh\nexit 0\n");
        await File.WriteAllTextAsync(folder["empty"], "");

        Assert.Null(await SealedProgram.CopyAsync(folder["script"], CancellationToken.None));
        Assert.Null(await SealedProgram.CopyAsync(folder["empty"], CancellationToken.None));
    }
}
