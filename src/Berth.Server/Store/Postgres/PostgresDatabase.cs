using Microsoft.Extensions.Logging;
using Npgsql;

namespace Berth.Server.Store.Postgres;

/// <summary>The connections to one database: opened and brought to this version, read from, written in groups.
/// </summary>
internal sealed class PostgresDatabase : IAsyncDisposable
{
    private const int Readers = 8;

    /// <summary>Writers, readers, and what watches, listens and looks up.</summary>
    private const int MostConnections = PostgresWriter.Lanes + Readers + 5;

    private readonly SemaphoreSlim places = new(Readers);

    private PostgresDatabase(
        PostgresConnections connections, PostgresAddress address, TimeProvider time, ILogger logger)
    {
        Connections = connections;
        Address = address;
        Writer = new PostgresWriter(connections, address, time, logger);
    }

    public PostgresAddress Address { get; }

    public PostgresConnections Connections { get; }

    public PostgresWriter Writer { get; }

    /// <summary>Throws <c>InvalidConfiguration</c> with what is to be done where it can't be used.</summary>
    public static async Task<PostgresDatabase> OpenAsync(
        PostgresAddress address, TimeProvider time, ILogger logger, CancellationToken cancellationToken)
    {
        PostgresConnections connections = await address.ConnectAsync(MostConnections, cancellationToken);
        try
        {
            await PostgresMigrations.ApplyAsync(connections, cancellationToken);
            await using NpgsqlConnection connection = await connections.OpenAsync(cancellationToken);
            foreach (string setting in (string[])["fsync", "full_page_writes"])
            {
                await using NpgsqlCommand show = new($"SHOW {setting}", connection);
                if (await show.ExecuteScalarAsync(cancellationToken) is "off")
                {
                    Log.NotDurable(logger, address.Shown, setting);
                }
            }

            return new PostgresDatabase(connections, address, time, logger);
        }
        catch (Exception error) when (error is NpgsqlException or System.Net.Sockets.SocketException or IOException)
        {
            await connections.DisposeAsync();
            throw PostgresFaults.NotOpened(address, error);
        }
        catch
        {
            await connections.DisposeAsync();
            throw;
        }
    }

    /// <param name="isNew">New work, refused while the database is away.</param>
    public Task<T> WriteAsync<T>(
        bool isNew, Func<PostgresStatement> make, Func<NpgsqlDataReader, CancellationToken, Task<T>> read,
        CancellationToken cancellationToken) =>
        cancellationToken.IsCancellationRequested
            ? Task.FromCanceled<T>(cancellationToken)
            : Writer.Write(new PostgresWrite<T>(isNew, make, read));

    /// <summary>A write whose rows nobody needs; they are counted.</summary>
    public Task<int> WriteAsync(bool isNew, Func<PostgresStatement> make, CancellationToken cancellationToken) =>
        WriteAsync(isNew, make, Rows.CountAsync, cancellationToken);

    /// <summary>Throws <c>StorageFault</c>.</summary>
    public async Task<T> ReadAsync<T>(
        PostgresStatement statement, Func<NpgsqlDataReader, CancellationToken, Task<T>> read,
        CancellationToken cancellationToken)
    {
        await places.WaitAsync(cancellationToken);
        try
        {
            for (int tries = 1; ; tries++)
            {
                try
                {
                    await using NpgsqlConnection connection = await Connections.OpenAsync(cancellationToken);
                    await using NpgsqlBatch batch = connection.CreateBatch();
                    batch.BatchCommands.Add(statement.Command);
                    await using NpgsqlDataReader reader = await batch.ExecuteReaderAsync(cancellationToken);
                    return await read(reader, cancellationToken);
                }
                catch (Exception error) when (
                    tries == 1 && PostgresFaults.IsAway(error) && Writer.Condition == StoreCondition.Accepting)
                {
                    // It may have been cut while it lay idle, and its neighbours with it.
                    Connections.Clear();
                }
                catch (Exception error) when (PostgresFaults.IsAway(error))
                {
                    Writer.NoteAway(error);
                    throw PostgresFaults.Away(Address, error);
                }
            }
        }
        finally
        {
            places.Release();
        }
    }

    public async ValueTask DisposeAsync()
    {
        await Writer.DisposeAsync();
        await Connections.DisposeAsync();
        places.Dispose();
    }
}
