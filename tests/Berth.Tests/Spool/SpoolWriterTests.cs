using Berth.Core.Errors;
using Berth.Core.Resources;
using Berth.Server.Spool;
using Berth.Testing.Content;
using Xunit;

namespace Berth.Tests.Spool;

public sealed class SpoolWriterTests : IDisposable
{
    private static readonly CancellationToken None = CancellationToken.None;

    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Theory]
    [InlineData(28)] // ENOSPC
    [InlineData(122)] // EDQUOT
    public async Task A_disk_that_is_full_only_at_the_sync_is_told_as_full_and_nothing_stays(int errno)
    {
        BerthException error = await Assert.ThrowsAsync<BerthException>(
            () => WriteAsync(_ => throw new IOException("full", errno)));

        Assert.Equal(ErrorCode.StorageFull, error.Code);
        Assert.NotNull(error.RetryAfter);
        Assert.Empty(Directory.GetFileSystemEntries(folder.Path));
    }

    [Theory]
    [InlineData(5)] // EIO
    [InlineData(30)] // EROFS
    public async Task A_folder_that_can_not_be_synced_is_told_as_a_fault_and_keeps_no_file(int errno)
    {
        BerthException error = await Assert.ThrowsAsync<BerthException>(
            () => WriteAsync(_ => throw new IOException("broken", errno)));

        Assert.Equal(ErrorCode.StorageFault, error.Code);
        Assert.NotNull(error.RetryAfter);
        Assert.Empty(Directory.GetFileSystemEntries(folder.Path));
    }

    [Fact]
    public async Task A_disk_that_is_full_while_writing_is_told_as_full_and_nothing_stays()
    {
        string run = folder["run"];
        Directory.CreateDirectory(run);
        File.CreateSymbolicLink(Path.Combine(run, "input.tmp"), "/dev/full");

        BerthException error = await Assert.ThrowsAsync<BerthException>(() => WriteAsync(_ => { }));

        Assert.Equal(ErrorCode.StorageFull, error.Code);
        Assert.Empty(Directory.GetFileSystemEntries(folder.Path));
    }

    [Fact]
    public async Task A_committed_file_stays()
    {
        List<string> synced = [];

        await WriteAsync(synced.Add);

        Assert.Equal([folder["run"], folder.Path], synced);
        Assert.Equal(100_000, new FileInfo(Path.Combine(folder["run"], "input")).Length);
    }

    private async Task WriteAsync(Action<string> syncFolder)
    {
        await using SpoolWriter writer = new(folder.Path, folder["run"], "input", ByteSize.MiB(1), syncFolder);
        await writer.WriteAsync(new byte[100_000], None);
        await writer.CommitAsync(None);
    }
}
