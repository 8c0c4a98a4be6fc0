using Npgsql;

namespace Berth.Server.Store.Postgres;

/// <summary>One write: one statement with one set of rows, made anew for each try.</summary>
internal abstract class PostgresWrite(bool isNew, Func<PostgresStatement> make)
{
    /// <summary>New work, which is refused while the database is away; everything else was accepted before.</summary>
    public bool IsNew => isNew;

    /// <summary>Its caller was told of a failure already: it need not be tried again.</summary>
    public abstract bool IsOver { get; }

    public NpgsqlBatchCommand Command() => make().Command;

    /// <summary>Reads the rows that came back; the transaction is not committed yet.</summary>
    public abstract Task ReadAsync(NpgsqlDataReader reader, CancellationToken cancellationToken);

    /// <summary>After the commit.</summary>
    public abstract void Acknowledge();

    public abstract void Fail(Exception error);
}

internal sealed class PostgresWrite<T>(
    bool isNew, Func<PostgresStatement> make, Func<NpgsqlDataReader, CancellationToken, Task<T>> read)
    : PostgresWrite(isNew, make)
{
    private readonly TaskCompletionSource<T> completion = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private T? result;

    public Task<T> Completion => completion.Task;

    public override bool IsOver => completion.Task.IsCompleted;

    public override async Task ReadAsync(NpgsqlDataReader reader, CancellationToken cancellationToken) =>
        result = await read(reader, cancellationToken);

    public override void Acknowledge() => completion.TrySetResult(result!);

    public override void Fail(Exception error) => completion.TrySetException(error);
}
