using System.Data;
using System.Threading.Channels;
using Berth.Core.Errors;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Berth.Server.Store.Postgres;

/// <summary>
/// Writes in groups over a few connections: each takes what waits, sends it in one go, commits, and only then
/// acknowledges. A commit whose answer got lost is looked up by its transaction's number, so that nothing is written
/// twice and nothing that was written is told as failed.
/// </summary>
internal sealed class PostgresWriter : IAsyncDisposable
{
    /// <summary>While one waits for the disk another one fills: more would only make the groups smaller.</summary>
    public const int Lanes = 3;

    private const int BatchLimit = 128;

    // Far more than callers there are; passing it means that the database stands still.
    private const int WaitingLimit = 16 * 1024;

    private const int CollisionLimit = 20;

    private static readonly TimeSpan ProbeInterval = TimeSpan.FromSeconds(1);

    /// <summary>So long may who submits wait to hear what became of a commit without an answer.</summary>
    private static readonly TimeSpan DoubtLimit = TimeSpan.FromSeconds(3);

    private readonly PostgresConnections connections;
    private readonly PostgresAddress address;
    private readonly TimeProvider time;
    private readonly ILogger logger;
    private readonly Channel<PostgresWrite> waiting = Channel.CreateUnbounded<PostgresWrite>();
    private readonly CancellationTokenSource stop = new();
    private readonly Task[] loops;
    private volatile StoreCondition condition = StoreCondition.Accepting;
    private volatile Exception? fault;
    private long commits;
    private long writes;
    private long refused;
    private long reopened;
    private long bytes;

    public PostgresWriter(
        PostgresConnections connections, PostgresAddress address, TimeProvider time, ILogger logger)
    {
        this.connections = connections;
        this.address = address;
        this.time = time;
        this.logger = logger;
        loops =
        [
            .. Enumerable.Range(0, Lanes).Select(_ => Task.Run(WorkAsync)),
            Task.Run(() => WatchAsync(stop.Token)),
        ];
    }

    public StoreCondition Condition => condition;

    public StoreFigures Figures() => new(
        Interlocked.Read(ref commits), Interlocked.Read(ref writes), waiting.Reader.Count,
        Interlocked.Read(ref refused), Interlocked.Read(ref reopened), Interlocked.Read(ref bytes));

    public Task<T> Write<T>(PostgresWrite<T> write)
    {
        if (condition != StoreCondition.Accepting || (write.IsNew && waiting.Reader.Count >= WaitingLimit))
        {
            Interlocked.Increment(ref refused);
            return Task.FromException<T>(
                condition == StoreCondition.Full
                    ? PostgresFaults.DiskFull(address, null)
                    : PostgresFaults.Away(address, fault));
        }

        ObjectDisposedException.ThrowIf(!waiting.Writer.TryWrite(write), this);
        return write.Completion;
    }

    /// <summary>Something else found the database away.</summary>
    public void NoteAway(Exception error) => Stand(error);

    /// <summary>Writes what is waiting, as far as the database is there.</summary>
    public async ValueTask DisposeAsync()
    {
        waiting.Writer.TryComplete();
        // Whoever still waits for a database that is away is told so.
        stop.CancelAfter(TimeSpan.FromSeconds(condition == StoreCondition.Accepting ? 10 : 1));
        await Task.WhenAll(loops[..Lanes]).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await stop.CancelAsync();
        await loops[Lanes].ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        stop.Dispose();
    }

    private async Task WorkAsync()
    {
        List<PostgresWrite> batch = new(BatchLimit);
        while (await waiting.Reader.WaitToReadAsync())
        {
            while (batch.Count < BatchLimit && waiting.Reader.TryRead(out PostgresWrite? write))
            {
                batch.Add(write);
            }

            if (batch.Count > 0)
            {
                await CommitAsync(batch);
                batch.Clear();
            }
        }
    }

    /// <summary>Never throws: whatever comes of them, the writes are told.</summary>
    private async Task CommitAsync(List<PostgresWrite> batch)
    {
        for (int tries = 1; batch.Count > 0; tries++)
        {
            try
            {
                await CommitOnceAsync(batch);
                return;
            }
            catch (LostCommit lost)
            {
                Stand(lost.InnerException!);
                if (await FindOutAsync(lost, batch) is not { } committed)
                {
                    FailAll(batch, PostgresFaults.Unknown(address, lost.InnerException));
                    return;
                }

                if (committed)
                {
                    Acknowledge(batch);
                    return;
                }

                batch = [.. batch.Where(write => !write.IsOver)];
            }
            catch (Exception error) when (PostgresFaults.IsCollision(error) && tries < CollisionLimit)
            {
                // Rolled back: the same again.
            }
            catch (Exception error) when (PostgresFaults.IsAway(error) && tries == 1)
            {
                // A connection may have been cut while it lay idle, and its neighbours with it.
                connections.Clear();
            }
            catch (Exception error) when (
                PostgresFaults.IsAway(error) || PostgresFaults.IsDiskFull(error) || error is OperationCanceledException)
            {
                Stand(error);
                FailAll(
                    batch,
                    PostgresFaults.IsDiskFull(error)
                        ? PostgresFaults.DiskFull(address, error)
                        : PostgresFaults.Away(address, error));
                return;
            }
            catch (Exception error) when (batch.Count == 1)
            {
                batch[0].Fail(new InvalidOperationException("A write to the store was not possible.", error));
                return;
            }
            catch (Exception)
            {
                // One of them is to blame; the others must not suffer. Found by trying each alone.
                foreach (PostgresWrite write in batch)
                {
                    await CommitAsync([write]);
                }

                return;
            }
        }
    }

    private async Task CommitOnceAsync(List<PostgresWrite> batch)
    {
        await using NpgsqlConnection connection = await connections.OpenAsync(stop.Token);
        NpgsqlTransaction? begun = null;
        string? number;
        try
        {
            // Goes out with the statements.
            begun = await connection.BeginTransactionAsync(stop.Token);
            number = await SendAsync(connection, batch);
        }
        catch (InvalidOperationException error) when (connection.State != ConnectionState.Open)
        {
            throw new NpgsqlException("The connection was cut", error);
        }

        await using NpgsqlTransaction transaction = begun;
        int process = connection.ProcessID;
        try
        {
            await transaction.CommitAsync(stop.Token);
        }
        catch (Exception error) when (
            number is not null && (error is not PostgresException || PostgresFaults.IsAway(error)))
        {
            throw new LostCommit(number, process, error);
        }

        Acknowledge(batch);
    }

    /// <summary>Everything in one message, answers in order. Gives the transaction's number where it wrote
    /// something.</summary>
    private async Task<string?> SendAsync(NpgsqlConnection connection, List<PostgresWrite> batch)
    {
        await using NpgsqlBatch messages = connection.CreateBatch();
        foreach (PostgresWrite write in batch)
        {
            messages.BatchCommands.Add(write.Command());
        }

        messages.BatchCommands.Add(new NpgsqlBatchCommand("SELECT pg_current_xact_id_if_assigned()::text"));
        await using NpgsqlDataReader reader = await messages.ExecuteReaderAsync(stop.Token);
        foreach (PostgresWrite write in batch)
        {
            await write.ReadAsync(reader, stop.Token);
            await reader.NextResultAsync(stop.Token);
        }

        await reader.ReadAsync(stop.Token);
        return reader.IsDBNull(0) ? null : reader.GetString(0);
    }

    private void Acknowledge(List<PostgresWrite> batch)
    {
        Interlocked.Increment(ref commits);
        Interlocked.Add(ref writes, batch.Count);
        foreach (PostgresWrite write in batch)
        {
            write.Acknowledge();
        }
    }

    /// <summary>Whether a commit without an answer was one; null when the server stops before that is known.</summary>
    private async Task<bool?> FindOutAsync(LostCommit lost, List<PostgresWrite> batch)
    {
        long began = time.GetTimestamp();
        while (!stop.IsCancellationRequested)
        {
            try
            {
                connections.Clear();
                switch (await StatusAsync(lost))
                {
                    case "committed":
                        return true;
                    case "in progress":
                        break;
                    default:
                        return false;
                }
            }
            catch (PostgresException told) when (told.SqlState == PostgresErrorCodes.InvalidParameterValue)
            {
                // A number that the database has not come to: what it was is not in what was restored or promoted.
                return false;
            }
            catch (Exception error) when (PostgresFaults.IsAway(error) || error is OperationCanceledException)
            {
                // Asked again.
            }

            if (time.GetElapsedTime(began) > DoubtLimit)
            {
                FailAll(batch.Where(write => write.IsNew), PostgresFaults.Unknown(address, lost.InnerException));
            }

            await Task.Delay(TimeSpan.FromMilliseconds(200), time, stop.Token)
                .ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }

        return null;
    }

    private async Task<string?> StatusAsync(LostCommit lost)
    {
        await using NpgsqlConnection connection = await connections.OpenAsync(stop.Token);
        // The old connection's process may wait for a commit that never comes, with all that it has locked.
        await using NpgsqlCommand end = new(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1 "
            + "AND backend_xid = $2::text::xid8::xid", connection);
        end.Parameters.AddWithValue(lost.Process);
        end.Parameters.AddWithValue(lost.Number);
        await end.ExecuteNonQueryAsync(stop.Token);
        await using NpgsqlCommand status = new("SELECT pg_xact_status($1::text::xid8)", connection);
        status.Parameters.AddWithValue(lost.Number);
        return await status.ExecuteScalarAsync(stop.Token) as string;
    }

    /// <summary>Looks whether a database that was away is back, and how large it is.</summary>
    private async Task WatchAsync(CancellationToken cancellationToken)
    {
        for (int round = 0; !cancellationToken.IsCancellationRequested; round++)
        {
            bool recovers = condition != StoreCondition.Accepting;
            try
            {
                if (recovers)
                {
                    // Idle connections are of the database that went away.
                    connections.Clear();
                    await AskAsync("UPDATE berth_version SET version = version", cancellationToken);
                    Interlocked.Increment(ref reopened);
                    condition = StoreCondition.Accepting;
                    Log.Accepting(logger, address.Shown);
                }

                if (round % 30 == 0)
                {
                    object? size = await AskAsync("SELECT pg_database_size(current_database())", cancellationToken);
                    Interlocked.Exchange(ref bytes, size as long? ?? 0);
                }
            }
            catch (Exception error) when (
                PostgresFaults.IsAway(error) || PostgresFaults.IsDiskFull(error) || error is OperationCanceledException)
            {
                // The condition says it, and the next round asks again.
            }

            await Task.Delay(ProbeInterval, time, cancellationToken)
                .ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private async Task<object?> AskAsync(string sql, CancellationToken cancellationToken)
    {
        await using NpgsqlConnection connection = await connections.OpenAsync(cancellationToken);
        await using NpgsqlCommand command = new(sql, connection);
        return await command.ExecuteScalarAsync(cancellationToken);
    }

    private void Stand(Exception error)
    {
        StoreCondition found = PostgresFaults.ConditionOf(error);
        if (condition == found || stop.IsCancellationRequested)
        {
            return;
        }

        fault = error;
        condition = found;
        if (found == StoreCondition.Refused)
        {
            Log.Refused(logger, address.Shown, error.Message, address.PasswordPlace);
        }
        else
        {
            Log.Away(logger, error, address.Shown);
        }
    }

    private void FailAll(IEnumerable<PostgresWrite> failed, BerthException error)
    {
        foreach (PostgresWrite write in failed)
        {
            Interlocked.Increment(ref refused);
            write.Fail(error);
        }
    }

    /// <summary>A commit that was asked for and not answered.</summary>
    private sealed class LostCommit(string number, int process, Exception cause)
        : Exception("A commit was not answered.", cause)
    {
        public string Number => number;

        public int Process => process;
    }
}
