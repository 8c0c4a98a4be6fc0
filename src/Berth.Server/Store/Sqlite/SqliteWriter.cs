using Berth.Core.Errors;
using Berth.Core.Faults;
using Microsoft.Extensions.Logging;

namespace Berth.Server.Store.Sqlite;

/// <summary>
/// The one thread that writes. It takes what is waiting, up to a batch, makes all of it durable with one sync, and only
/// then acknowledges: many callers share the cost of a sync and none waits for a timer.
/// </summary>
internal sealed class SqliteWriter : IDisposable
{
    private const int BatchLimit = 256;

    // Far more than callers there are; passing it means that the disk stands still.
    private const int WaitingLimit = 16 * 1024;

    private static readonly TimeSpan RecoveryInterval = TimeSpan.FromSeconds(1);

    private readonly string path;
    private readonly Ballast ballast;
    private readonly ILogger logger;
    private readonly Action reopened;
    private readonly Thread thread;
    // A monitor rather than a semaphore: its wait does not spin, and with few cores spinning takes time from callers.
    private readonly object gate = new();
    private readonly List<StoreWrite> batch = new(BatchLimit);
    private readonly Queue<StoreWrite> waiting = new();
    private SqliteDatabase? database;
    private bool stopping;
    private long commits;
    private long writes;
    private long refused;
    private long reopenings;
    private BerthException? damage;
    private volatile StoreCondition condition;

    /// <param name="reopened">Called after the file was opened again, so that readers do the same.</param>
    public SqliteWriter(string path, Ballast ballast, Action reopened, ILogger logger)
    {
        this.path = path;
        this.ballast = ballast;
        this.reopened = reopened;
        this.logger = logger;
        database = SqliteDatabase.OpenWriter(path);
        // Frames that were not committed would stand behind those of this process otherwise.
        database.Execute("PRAGMA wal_checkpoint(TRUNCATE)");
        SqliteMigrations.Apply(database);
        CrashPoints.Reach(CrashPoint.MigrationsCommitted);
        condition = ballast.TryFill() ? StoreCondition.Accepting : StoreCondition.Full;
        thread = new Thread(Work) { IsBackground = true, Name = "store writer" };
        thread.Start();
    }

    public StoreCondition Condition => condition;

    public StoreFigures Figures()
    {
        int depth;
        lock (gate)
        {
            depth = waiting.Count;
        }

        long bytes = new[] { path, path + "-wal" }.Where(File.Exists).Sum(file => new FileInfo(file).Length);
        return new StoreFigures(
            Interlocked.Read(ref commits), Interlocked.Read(ref writes), depth, Interlocked.Read(ref refused),
            Interlocked.Read(ref reopenings), bytes);
    }

    public Task<T> Write<T>(WritePurpose purpose, Func<SqliteDatabase, T> body)
    {
        if (condition != StoreCondition.Accepting && purpose == WritePurpose.Accept)
        {
            Interlocked.Increment(ref refused);
            return Task.FromException<T>(Refusal());
        }

        StoreWrite<T> write = new(purpose, body);
        lock (gate)
        {
            ObjectDisposedException.ThrowIf(stopping, this);
            if (waiting.Count >= WaitingLimit && purpose == WritePurpose.Accept)
            {
                Interlocked.Increment(ref refused);
                return Task.FromException<T>(StoreFaults.NotWritten(path, null));
            }

            waiting.Enqueue(write);
            if (waiting.Count == 1)
            {
                Monitor.Pulse(gate);
            }
        }

        return write.Completion;
    }

    /// <summary>Writes what is waiting, then closes.</summary>
    public void Dispose()
    {
        lock (gate)
        {
            if (stopping)
            {
                return;
            }

            stopping = true;
            Monitor.Pulse(gate);
        }

        thread.Join();
        database?.Dispose();
    }

    private void Work()
    {
        while (true)
        {
            if (condition is StoreCondition.Full or StoreCondition.Failing)
            {
                TryRecover();
            }

            if (!TakeBatch())
            {
                return;
            }

            Commit(batch);
            batch.Clear();
        }
    }

    /// <summary>Waits for writes, or for the time of the next try to recover. False when there are none left and it is
    /// time to stop.</summary>
    private bool TakeBatch()
    {
        lock (gate)
        {
            if (waiting.Count == 0 && !stopping)
            {
                bool recovers = condition is StoreCondition.Full or StoreCondition.Failing;
                Monitor.Wait(gate, recovers ? RecoveryInterval : Timeout.InfiniteTimeSpan);
            }

            while (batch.Count < BatchLimit && waiting.TryDequeue(out StoreWrite? write))
            {
                batch.Add(write);
            }

            return batch.Count > 0 || !stopping;
        }
    }

    private void Commit(List<StoreWrite> writesToCommit)
    {
        if (writesToCommit.Count == 0)
        {
            return;
        }

        try
        {
            CommitOnce(writesToCommit);
        }
        catch (SqliteFailure failure) when (
            (failure.IsStatementFault || failure.IsDamage) && writesToCommit.Count > 1)
        {
            // One of them is to blame; the others must not suffer. Found by trying each alone.
            foreach (StoreWrite write in writesToCommit)
            {
                Commit([write]);
            }
        }
        catch (SqliteFailure failure) when (failure.IsStatementFault)
        {
            writesToCommit[0].Fail(new InvalidOperationException("A write to the store was not possible.", failure));
        }
        catch (SqliteFailure failure) when (failure.IsDamage)
        {
            RefuseDamage(failure);
            FailAll(writesToCommit, damage!);
        }
        catch (SqliteFailure failure) when (failure.IsDiskFull || ballast.IsDiskFull())
        {
            CommitOnFullDisk(writesToCommit, failure);
        }
        catch (SqliteFailure failure)
        {
            BeginFailing(failure);
            FailAll(writesToCommit, StoreFaults.NotWritten(path, failure));
        }
    }

    private void CommitOnce(List<StoreWrite> writesToCommit)
    {
        SqliteDatabase open = database
            ?? throw new SqliteFailure(SQLitePCL.raw.SQLITE_IOERR, $"{path} is being reopened.");
        try
        {
            open.Prepare("BEGIN IMMEDIATE").Run();
            CrashPoints.Reach(CrashPoint.TransactionBegun);
            foreach (StoreWrite write in writesToCommit)
            {
                write.Refusal = null;
                try
                {
                    write.Execute(open);
                }
                catch (Exception refusal) when (refusal is not SqliteFailure)
                {
                    write.Refusal = refusal;
                }
            }

            CrashPoints.Reach(CrashPoint.TransactionFilled);
            open.Prepare("COMMIT").Run();
            CrashPoints.Reach(CrashPoint.TransactionCommitted);
        }
        catch (SqliteFailure)
        {
            RollBack(open);
            throw;
        }

        Interlocked.Increment(ref commits);
        Interlocked.Add(ref writes, writesToCommit.Count);
        foreach (StoreWrite write in writesToCommit)
        {
            if (write.Refusal is { } refusal)
            {
                write.Fail(refusal);
            }
            else
            {
                write.Acknowledge();
            }
        }

        CrashPoints.Reach(CrashPoint.TransactionAcknowledged);
    }

    private static void RollBack(SqliteDatabase open)
    {
        if (!open.InTransaction)
        {
            return;
        }

        try
        {
            open.Execute("ROLLBACK");
        }
        catch (SqliteFailure)
        {
            // The caller reports the first failure; a connection that can't roll back is reopened.
            return;
        }
    }

    // New work is refused; what finishes work gets the ballast's space.
    private void CommitOnFullDisk(List<StoreWrite> writesToCommit, SqliteFailure failure)
    {
        bool released = ballast.Release();
        if (condition != StoreCondition.Full)
        {
            condition = StoreCondition.Full;
            Log.DiskFull(logger, path);
        }

        List<StoreWrite> finishing = [.. writesToCommit.Where(write => write.Purpose == WritePurpose.Finish)];
        FailAll(
            writesToCommit.Where(write => write.Purpose == WritePurpose.Accept), StoreFaults.DiskFull(path, failure));
        if (finishing.Count == 0)
        {
            return;
        }

        if (released)
        {
            Commit(finishing);
        }
        else
        {
            FailAll(finishing, StoreFaults.DiskFull(path, failure));
        }
    }

    // A restart would find it, too. Until then, what does not touch the damage goes on to be finished and read.
    private void RefuseDamage(SqliteFailure failure)
    {
        if (condition != StoreCondition.Damaged)
        {
            damage = StoreFaults.Damaged(failure.Message, failure);
            condition = StoreCondition.Damaged;
            Log.StoreDamaged(logger, failure.Message);
        }
    }

    private BerthException Refusal() => condition switch
    {
        StoreCondition.Full => StoreFaults.DiskFull(path, null),
        StoreCondition.Damaged => damage!,
        _ => StoreFaults.NotWritten(path, null),
    };

    private void BeginFailing(SqliteFailure failure)
    {
        condition = StoreCondition.Failing;
        Log.StoreFailing(logger, failure, path);
        database?.Dispose();
        database = null;
    }

    private void TryRecover()
    {
        try
        {
            if (condition == StoreCondition.Failing)
            {
                database?.Dispose();
                database = null;
                SqliteDatabase fresh = SqliteDatabase.OpenWriter(path);
                database = fresh;
                // After a failed sync the log's pages may be clean in memory and absent on disk (the kernel reports
                // the loss only once). Copying all of them into the database file, with a sync, makes them true.
                fresh.Execute("PRAGMA wal_checkpoint(TRUNCATE)");
                Interlocked.Increment(ref reopenings);
                reopened();
                condition = StoreCondition.Full;
            }

            if (ballast.TryFill())
            {
                condition = StoreCondition.Accepting;
                Log.StoreAccepting(logger, path);
            }
        }
        catch (SqliteFailure failure)
        {
            Log.StoreFailing(logger, failure, path);
        }
    }

    private void FailAll(IEnumerable<StoreWrite> failed, BerthException error)
    {
        foreach (StoreWrite write in failed)
        {
            Interlocked.Increment(ref refused);
            write.Fail(error);
        }
    }
}
