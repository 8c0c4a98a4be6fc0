using Berth.Core.Containers;
using Berth.Core.Errors;
using Berth.Core.Functions;
using Berth.Core.Networks;
using Berth.Core.Resources;
using Berth.Core.Runs;
using Berth.Core.Triggers;
using Berth.Server.Nodes;
using Berth.Server.Secrets;
using Microsoft.Extensions.Logging;

namespace Berth.Server.Store.Sqlite;

/// <summary>
/// The embedded store: one SQLite file in write-ahead mode, one writing thread with group commit, a few readers. A
/// write is acknowledged after its sync. One server per file: the data folder's lock sees to that.
/// </summary>
public sealed class SqliteRunStore : IServerStore
{
    /// <summary>So long may the look at all pages hold up a start; what it leaves is looked at when it is used.
    /// </summary>
    private static readonly TimeSpan InspectionLimit = TimeSpan.FromSeconds(5);

    private readonly string file;
    private readonly SqliteReaders readers;
    private readonly SqliteWriter writer;

    private SqliteRunStore(string path, ByteSize ballast, ILogger logger)
    {
        file = path;
        Inspect(path, logger);
        readers = new SqliteReaders(path);
        writer = new SqliteWriter(
            path, new Ballast(Path.ChangeExtension(path, ".ballast"), ballast), readers.Reopen, logger);
    }

    /// <summary>Kept free beside the store for finishing what was accepted when the disk is full.</summary>
    public static ByteSize DefaultBallast { get; } = ByteSize.MiB(16);

    public StoreCondition Condition => writer.Condition;

    /// <summary>
    /// Opens or creates the file and brings it to this version. Throws <c>StorageFault</c> when it can't be used, and
    /// <c>StorageDamaged</c> when it is not as it was written.
    /// </summary>
    public static Task<SqliteRunStore> OpenAsync(
        string path, ByteSize ballast, ILogger<SqliteRunStore> logger, CancellationToken cancellationToken) => Task.Run(
        () =>
        {
            try
            {
                return new SqliteRunStore(Path.GetFullPath(path), ballast, logger);
            }
            catch (SqliteFailure failure) when (failure.IsDamage)
            {
                throw StoreFaults.Damaged(failure.Message, failure);
            }
            catch (SqliteFailure failure)
            {
                throw new BerthException(
                    ErrorCode.StorageFault,
                    $"The store can't be opened: {failure.Message}. Check the disk and its free space.", failure);
            }
        },
        cancellationToken);

    // Once a write is queued it happens: cancellation only ends the waiting, which would tell the caller nothing. So
    // the token is looked at before and not after.
    public Task<RunAcceptance> AcceptAsync(NewRun run, CancellationToken cancellationToken) =>
        Write(WritePurpose.Accept, database => RunWrites.Accept(database, run), cancellationToken);

    public Task RecordAsync(Run run, CancellationToken cancellationToken) =>
        Write(WritePurpose.Accept, database => RunWrites.Record(database, run), cancellationToken);

    public Task<IReadOnlyList<ClaimedRun>> ClaimAsync(ClaimOrder order, CancellationToken cancellationToken) =>
        Write(WritePurpose.Finish, database => RunWrites.ClaimReady(database, order), cancellationToken);

    public Task<int?> HighestWaitingAsync(DateTimeOffset now, CancellationToken cancellationToken) =>
        readers.ReadAsync(database => RunReads.HighestWaiting(database, now), cancellationToken);

    public Task<SaveOutcome> SaveAsync(RunChange change, CancellationToken cancellationToken) =>
        Write(WritePurpose.Finish, database => RunWrites.Save(database, change), cancellationToken);

    public Task<Run?> RequestCancelAsync(RunId id, RunEvent reason, CancellationToken cancellationToken) =>
        Write(WritePurpose.Finish, database => RunWrites.RequestCancel(database, id, reason), cancellationToken);

    public Task<Run?> FindAsync(RunId id, CancellationToken cancellationToken) =>
        readers.ReadAsync(database => RunWrites.Find(database, id), cancellationToken);

    public Task<IReadOnlyList<Run>> ListAsync(RunQuery query, CancellationToken cancellationToken) =>
        readers.ReadAsync(database => RunReads.List(database, query), cancellationToken);

    public Task<IReadOnlySet<RunId>> KnownAsync(IReadOnlyCollection<RunId> ids, CancellationToken cancellationToken) =>
        readers.ReadAsync(database => RunReads.Known(database, ids), cancellationToken);

    public Task<byte[]?> ReadInputAsync(RunId id, CancellationToken cancellationToken) =>
        readers.ReadAsync(database => RunReads.Input(database, id), cancellationToken);

    public Task<byte[]?> ReadResultAsync(RunId id, CancellationToken cancellationToken) =>
        readers.ReadAsync(database => RunReads.Result(database, id), cancellationToken);

    public Task<IReadOnlyList<Run>> UnfinishedAsync(RunId? after, int limit, CancellationToken cancellationToken) =>
        readers.ReadAsync(database => RunReads.Unfinished(database, after, limit), cancellationToken);

    public Task BoundDelaysAsync(
        DateTimeOffset now, TimeSpan longestRetry, TimeSpan longestCallback, CancellationToken cancellationToken) =>
        Write(WritePurpose.Finish, database => UpkeepWrites.BoundDelays(database, now, longestRetry, longestCallback),
            cancellationToken);

    public Task<IReadOnlyList<Run>> OverAgeAsync(DateTimeOffset now, int limit, CancellationToken cancellationToken) =>
        readers.ReadAsync(database => RunReads.OverAge(database, now, limit), cancellationToken);

    public Task<IReadOnlyList<Run>> ExpiredBodiesAsync(DateTimeOffset now, int limit,
        CancellationToken cancellationToken) =>
        readers.ReadAsync(database => RunReads.ExpiredBodies(database, now, limit), cancellationToken);

    public Task ForgetBodiesAsync(IReadOnlyCollection<RunId> ids, CancellationToken cancellationToken) =>
        Write(WritePurpose.Finish, database => UpkeepWrites.ForgetBodies(database, ids), cancellationToken);

    public Task<bool> CloseDeadLetterAsync(
        RunId id, RunEvent outcome, DateTimeOffset bodiesDue, CancellationToken cancellationToken) =>
        Write(
            WritePurpose.Finish, database => DeadLetterWrites.Close(database, id, outcome, bodiesDue),
            cancellationToken);

    public Task<int> TrimDeadLettersAsync(DateTimeOffset now, int most, CancellationToken cancellationToken) =>
        Write(WritePurpose.Finish, database => DeadLetterWrites.Trim(database, now, most), cancellationToken);

    public Task<IReadOnlyList<RunId>> DeleteEndedAsync(DateTimeOffset endedBefore, int limit,
        CancellationToken cancellationToken) =>
        Write(WritePurpose.Finish, database => UpkeepWrites.DeleteEnded(database, endedBefore, limit),
            cancellationToken);

    public Task<IReadOnlyList<NumberedEvent>> EventsAsync(RunId id, long after, int limit,
        CancellationToken cancellationToken) =>
        readers.ReadAsync(database => RunReads.Events(database, id, after, limit), cancellationToken);

    public Task<IReadOnlyList<PendingCallback>> DueCallbacksAsync(
        DateTimeOffset now, IReadOnlyCollection<string> except, int limit, CancellationToken cancellationToken) =>
        readers.ReadAsync(database => RunReads.DueCallbacks(database, now, except, limit), cancellationToken);

    public Task DeferCallbackAsync(PendingCallback callback, DateTimeOffset next,
        CancellationToken cancellationToken) =>
        Write(WritePurpose.Finish, database => UpkeepWrites.DeferCallback(database, callback, next), cancellationToken);

    public Task<long> CloseCallbackAsync(PendingCallback callback, RunEvent outcome,
        CancellationToken cancellationToken) =>
        Write(WritePurpose.Finish, database => UpkeepWrites.CloseCallback(database, callback, outcome),
            cancellationToken);

    public Task<IReadOnlyList<PendingForward>> PendingForwardsAsync(
        int limit, CancellationToken cancellationToken) =>
        readers.ReadAsync(database => ForwardWrites.Pending(database, limit), cancellationToken);

    public Task<long> CloseForwardAsync(RunId run, RunEvent outcome, CancellationToken cancellationToken) =>
        Write(WritePurpose.Finish, database => ForwardWrites.Close(database, run, outcome), cancellationToken);

    public Task<NextDue> NextDueAsync(CancellationToken cancellationToken) =>
        readers.ReadAsync(RunReads.NextDue, cancellationToken);

    public Task<RunCounts> CountAsync(CancellationToken cancellationToken) =>
        readers.ReadAsync(RunReads.Count, cancellationToken);

    /// <summary>Nobody else has this store.</summary>
    public Task<IReadOnlyList<Container>> ContainersOfAllAsync(CancellationToken cancellationToken) =>
        AllContainersAsync(cancellationToken);

    public Task<IReadOnlyList<Container>> AllContainersAsync(CancellationToken cancellationToken) =>
        readers.ReadAsync(ContainerWrites.All, cancellationToken);

    public Task AddAsync(Container container, CancellationToken cancellationToken) =>
        Write(WritePurpose.Accept, database => ContainerWrites.Add(database, container), cancellationToken);

    public Task SaveAsync(Container container, CancellationToken cancellationToken) =>
        Write(WritePurpose.Finish, database => ContainerWrites.Save(database, container), cancellationToken);

    public Task<IReadOnlyList<Function>> AllFunctionsAsync(CancellationToken cancellationToken) =>
        readers.ReadAsync(FunctionWrites.All, cancellationToken);

    public Task PutAsync(Function function, CancellationToken cancellationToken) =>
        Write(WritePurpose.Accept, database => FunctionWrites.Put(database, function), cancellationToken);

    public Task DeleteFunctionAsync(string name, CancellationToken cancellationToken) =>
        Write(WritePurpose.Finish, database => FunctionWrites.Delete(database, name), cancellationToken);

    Task<IReadOnlyList<SecretRecord>> ISecretStore.AllSecretsAsync(CancellationToken cancellationToken) =>
        readers.ReadAsync(SecretWrites.All, cancellationToken);

    Task ISecretStore.PutAsync(SecretRecord secret, CancellationToken cancellationToken) =>
        Write(WritePurpose.Accept, database => SecretWrites.Put(database, secret), cancellationToken);

    Task ISecretStore.DeleteSecretAsync(string name, CancellationToken cancellationToken) =>
        Write(WritePurpose.Finish, database => SecretWrites.Delete(database, name), cancellationToken);

    Task<IReadOnlyList<NodeRecord>> INodeStore.AllNodesAsync(CancellationToken cancellationToken) =>
        readers.ReadAsync(NodeWrites.All, cancellationToken);

    Task<NodeRecord> INodeStore.PutNodeAsync(NodeRecord node, CancellationToken cancellationToken) =>
        Write(WritePurpose.Finish, database => NodeWrites.Put(database, node), cancellationToken);

    Task INodeStore.DeleteNodeAsync(string name, CancellationToken cancellationToken) =>
        Write(WritePurpose.Finish, database => NodeWrites.Delete(database, name), cancellationToken);

    Task INodeStore.AddJoinTokenAsync(
        JoinTokenRecord token, DateTimeOffset now, CancellationToken cancellationToken) =>
        Write(WritePurpose.Accept, database => NodeWrites.AddToken(database, token, now), cancellationToken);

    Task<IReadOnlyList<JoinTokenRecord>> INodeStore.AllJoinTokensAsync(CancellationToken cancellationToken) =>
        readers.ReadAsync(NodeWrites.AllTokens, cancellationToken);

    Task<bool> INodeStore.DeleteJoinTokenAsync(string id, CancellationToken cancellationToken) =>
        Write(WritePurpose.Finish, database => NodeWrites.DeleteToken(database, id), cancellationToken);

    Task<JoinTokenRecord?> INodeStore.FindJoinTokenAsync(string id, CancellationToken cancellationToken) =>
        readers.ReadAsync(database => NodeWrites.FindToken(database, id), cancellationToken);

    Task<NodeRecord?> INodeStore.JoinAsync(string token, NodeRecord node, CancellationToken cancellationToken) =>
        Write(WritePurpose.Accept, database => NodeWrites.Join(database, token, node), cancellationToken);

    Task<IReadOnlyList<Volume>> IVolumeStore.AllVolumesAsync(CancellationToken cancellationToken) =>
        readers.ReadAsync(VolumeWrites.All, cancellationToken);

    Task IVolumeStore.PutVolumeAsync(Volume volume, CancellationToken cancellationToken) =>
        Write(WritePurpose.Accept, database => VolumeWrites.Put(database, volume), cancellationToken);

    Task IVolumeStore.DeleteVolumeAsync(string name, CancellationToken cancellationToken) =>
        Write(WritePurpose.Finish, database => VolumeWrites.Delete(database, name), cancellationToken);

    Task<IReadOnlyList<Network>> INetworkStore.AllNetworksAsync(CancellationToken cancellationToken) =>
        readers.ReadAsync(NetworkWrites.All, cancellationToken);

    Task INetworkStore.PutAsync(Network network, CancellationToken cancellationToken) =>
        Write(WritePurpose.Accept, database => NetworkWrites.Put(database, network), cancellationToken);

    Task INetworkStore.DeleteNetworkAsync(string id, CancellationToken cancellationToken) =>
        Write(WritePurpose.Finish, database => NetworkWrites.Delete(database, id), cancellationToken);

    Task<IReadOnlyList<(Trigger Trigger, DateTimeOffset Seen)>> ITriggerStore.AllTriggersAsync(
        CancellationToken cancellationToken) => readers.ReadAsync(TriggerWrites.All, cancellationToken);

    Task ITriggerStore.PutAsync(Trigger trigger, DateTimeOffset seen, CancellationToken cancellationToken) =>
        Write(WritePurpose.Accept, database => TriggerWrites.Put(database, trigger, seen), cancellationToken);

    Task ITriggerStore.DeleteTriggerAsync(Trigger trigger, CancellationToken cancellationToken) =>
        Write(WritePurpose.Finish, database => TriggerWrites.Delete(database, trigger), cancellationToken);

    Task ITriggerStore.RecordAsync(
        Firing firing, DateTimeOffset? seen, (string Path, string Mark)? file, CancellationToken cancellationToken) =>
        Write(
            WritePurpose.Finish, database => TriggerWrites.Record(database, firing, seen, file), cancellationToken);

    Task<IReadOnlyList<Firing>> ITriggerStore.FiringsAsync(
        RunId trigger, int limit, CancellationToken cancellationToken) =>
        readers.ReadAsync(database => TriggerWrites.Firings(database, trigger, limit), cancellationToken);

    Task<IReadOnlyDictionary<string, string>> ITriggerStore.FilesAsync(
        RunId trigger, CancellationToken cancellationToken) =>
        readers.ReadAsync(database => TriggerWrites.Files(database, trigger), cancellationToken);

    Task ITriggerStore.ForgetAsync(
        RunId trigger, IReadOnlyCollection<string> gone, CancellationToken cancellationToken) =>
        Write(WritePurpose.Finish, database => TriggerWrites.Forget(database, trigger, gone), cancellationToken);

    public Task DeleteAsync(ContainerId id, CancellationToken cancellationToken) =>
        Write(WritePurpose.Finish, database => ContainerWrites.Delete(database, id), cancellationToken);

    public StoreFigures Figures() => writer.Figures();

    public Task CopyAsync(string path, CancellationToken cancellationToken) => Task.Run(
        () =>
        {
            try
            {
                using SqliteDatabase database = SqliteDatabase.OpenForCopying(file);
                database.Execute($"VACUUM INTO '{path.Replace("'", "''", StringComparison.Ordinal)}'");
            }
            catch (SqliteFailure failure) when (failure.IsDamage)
            {
                throw StoreFaults.Damaged(failure.Message, failure);
            }
            catch (SqliteFailure failure)
            {
                throw new BerthException(
                    failure.IsDiskFull ? ErrorCode.StorageFull : ErrorCode.StorageFault,
                    $"The store can't be copied to {path}: {failure.Message}. It needs as much free space as the store "
                    + "has.", failure)
                { RetryAfter = TimeSpan.FromSeconds(30) };
            }
        },
        cancellationToken);

    public ValueTask DisposeAsync() => new(Task.Run(() =>
    {
        writer.Dispose();
        readers.Dispose();
    }));

    private static void Inspect(string path, ILogger logger)
    {
        StoreInspection found = StoreInspection.Of(path, InspectionLimit, CancellationToken.None);
        if (found.Damage is { } damage)
        {
            throw StoreFaults.Damaged(damage, null);
        }

        if (!found.HasChecksums)
        {
            Log.StoreCopied(logger, path);
            SqliteDatabase.AddChecksums(path);
        }
        else if (found.Pages > 0)
        {
            Log.StoreInspected(logger, path, found.Pages, found.Took, found.IsWhole);
        }
    }

    private Task<T> Write<T>(WritePurpose purpose, Func<SqliteDatabase, T> body, CancellationToken cancellationToken) =>
        cancellationToken.IsCancellationRequested
            ? Task.FromCanceled<T>(cancellationToken) : writer.Write(purpose, body);
}
