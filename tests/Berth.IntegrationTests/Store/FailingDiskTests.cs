using Berth.Core.Errors;
using Berth.Core.Resources;
using Berth.Core.Runs;
using Berth.IntegrationTests.Nodes;
using Berth.Server.Store;
using Berth.Server.Store.Sqlite;
using Berth.Testing.Runs;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;
using static Berth.Testing.Runs.RunBuilder;

namespace Berth.IntegrationTests.Store;

/// <summary>The store on disks that fill up and fail. Needs root for the mounts.</summary>
[Collection("disks")]
public sealed class FailingDiskTests
{
    private static readonly CancellationToken None = CancellationToken.None;

    [Fact]
    public async Task On_a_full_disk_accepted_work_is_finished_and_new_work_refused_until_there_is_space_again()
    {
        await using MountedDisk disk = await MountedDisk.TmpfsAsync(48);
        await using SqliteRunStore store = await OpenAsync(disk);
        for (int i = 0; i < 100; i++)
        {
            await AcceptAsync(store);
        }

        IReadOnlyList<ClaimedRun> claimed = await store.ClaimAsync(new ClaimOrder(100, Noon), None);
        disk.Fill();

        BerthException? refusal = null;
        int accepted = 0;
        while (refusal is null)
        {
            try
            {
                await AcceptAsync(store);
                accepted++;
                Assert.True(accepted < 10_000, "the disk never became full");
            }
            catch (BerthException error)
            {
                refusal = error;
            }
        }

        foreach (ClaimedRun run in claimed)
        {
            SaveOutcome started = await store.SaveAsync(Running(run.Run, Noon), None);
            Assert.True((await store.SaveAsync(Ending(started.Current!, EndReason.Completed, Noon), None)).Applied);
        }

        Assert.Equal((ErrorCode.StorageFull, StoreCondition.Full), (refusal.Code, store.Condition));
        Assert.NotNull(refusal.RetryAfter);
        Assert.Equal(RunState.Succeeded, (await store.FindAsync(claimed[0].Run.Id, None))!.State);

        disk.Free();
        await Eventually.BecomesTrueAsync(() => store.Condition == StoreCondition.Accepting, "the store accepts again");
        await AcceptAsync(store);
        Assert.Equal(accepted + 1, (await store.CountAsync(None)).Queued);
    }

    [Fact]
    public async Task A_failed_sync_acknowledges_nothing_and_the_store_comes_back_with_all_it_acknowledged()
    {
        await using MountedDisk disk = await MountedDisk.Ext4Async(64);
        await using SqliteRunStore store = await OpenAsync(disk);
        List<RunId> acknowledged = [];
        for (int i = 0; i < 50; i++)
        {
            acknowledged.Add(await AcceptAsync(store));
        }

        await disk.BreakAsync();
        BerthException error = await Assert.ThrowsAsync<BerthException>(() => AcceptAsync(store));
        Assert.Equal((ErrorCode.StorageFault, StoreCondition.Failing), (error.Code, store.Condition));

        await disk.RepairAsync();
        await Eventually.BecomesTrueAsync(() => store.Condition == StoreCondition.Accepting, "the store accepts again");
        acknowledged.Add(await AcceptAsync(store));

        Assert.Equal(acknowledged.Count, (await store.KnownAsync(acknowledged, None)).Count);
        Assert.Equal(acknowledged.Count, (await store.CountAsync(None)).Queued);
        Assert.Equal(1, store.Figures().Reopened);
    }

    private static async Task<RunId> AcceptAsync(SqliteRunStore store)
    {
        byte[] input = new byte[16 * 1024];
        Run run = Accepted(input: new StoredBody(BodyPlace.Inline, input.Length));
        return (await store.AcceptAsync(new NewRun(run, input, null, default), None)).Run.Id;
    }

    private static Task<SqliteRunStore> OpenAsync(MountedDisk disk) => SqliteRunStore.OpenAsync(
        Path.Combine(disk.Path, "berth.db"), ByteSize.MiB(8), NullLogger<SqliteRunStore>.Instance, None);
}
