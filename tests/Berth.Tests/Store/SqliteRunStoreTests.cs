using Berth.Core.Runs;
using Berth.Server.Store;
using Berth.Server.Store.Sqlite;
using Berth.Testing.Store;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Berth.Tests.Store;

public sealed class SqliteRunStoreTests : RunStoreContract
{
    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("berth-store-");

    public override async ValueTask DisposeAsync()
    {
        await base.DisposeAsync();
        folder.Delete(recursive: true);
    }

    [Fact]
    public async Task A_batch_shares_one_commit()
    {
        long before = Store.Figures().Commits;

        await Task.WhenAll(Enumerable.Range(0, 1000).Select(_ => AcceptAsync()));

        long commits = Store.Figures().Commits - before;
        Assert.True(commits < 500, $"1,000 concurrent submissions took {commits} commits");
    }

    [Fact]
    public void The_numbers_on_disk_never_change()
    {
        Assert.Equal("Call=0 Task=1 Container=2 Instance=3", Numbers<RunKind>());
        Assert.Equal("Queued=0 Starting=1 Running=2 Succeeded=3 Failed=4 Canceled=5", Numbers<RunState>());
        Assert.Equal("None=0 Inline=1 Spooled=2 Expired=3", Numbers<BodyPlace>());
        Assert.Equal(
            "Completed=0 ExitCode=1 Signal=2 OutOfMemory=3 TimedOut=4 OutputLimit=5 EntryPointMissing=6 Canceled=7 "
            + "ClientGone=8 Expired=9 PlatformFault=10 NotRunnable=11 NoAnswer=12 BadStatus=13",
            Numbers<EndReason>());

        static string Numbers<T>() where T : struct, Enum =>
            string.Join(' ', Enum.GetValues<T>().Select(value => $"{value}={Convert.ToInt32(value)}"));
    }

    protected override async Task<IRunStore> OpenAsync() => await SqliteRunStore.OpenAsync(
        Path.Combine(folder.FullName, "berth.db"), SqliteRunStore.DefaultBallast, NullLogger<SqliteRunStore>.Instance,
        CancellationToken.None);
}
