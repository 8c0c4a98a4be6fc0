using System.Collections.Concurrent;

namespace Berth.Server.Store.Sqlite;

/// <summary>
/// A few connections for reading. A reader sees every acknowledged write and never waits for the writer.
/// </summary>
internal sealed class SqliteReaders(string path) : IDisposable
{
    private const int Count = 4;

    private readonly SemaphoreSlim places = new(Count);
    private readonly ConcurrentBag<(SqliteDatabase Database, int Opening)> idle = [];
    private volatile int opening;

    public async Task<T> ReadAsync<T>(Func<SqliteDatabase, T> body, CancellationToken cancellationToken)
    {
        await places.WaitAsync(cancellationToken);
        try
        {
            int current = opening;
            SqliteDatabase database = Take();
            T result;
            try
            {
                result = body(database);
            }
            catch
            {
                // Its state is unknown; the next reader opens another.
                database.Dispose();
                throw;
            }

            idle.Add((database, current));
            return result;
        }
        catch (SqliteFailure failure)
        {
            throw StoreFaults.NotRead(failure);
        }
        finally
        {
            places.Release();
        }
    }

    /// <summary>Closes the connections opened before now, as they come back.</summary>
    public void Reopen() => Interlocked.Increment(ref opening);

    public void Dispose()
    {
        while (idle.TryTake(out (SqliteDatabase Database, int Opening) entry))
        {
            entry.Database.Dispose();
        }

        places.Dispose();
    }

    private SqliteDatabase Take()
    {
        while (idle.TryTake(out (SqliteDatabase Database, int Opening) entry))
        {
            if (entry.Opening == opening)
            {
                return entry.Database;
            }

            entry.Database.Dispose();
        }

        return SqliteDatabase.OpenReader(path);
    }
}
