namespace Berth.Server.Store.Sqlite;

/// <summary>What a write is for: it decides what happens to it when the disk is full.</summary>
internal enum WritePurpose
{
    /// <summary>New work: refused when the disk is full.</summary>
    Accept,

    /// <summary>Finishing or cleaning up accepted work: goes on, with the ballast's space if need be.</summary>
    Finish,
}

/// <summary>A piece of work for the writer. Its body looks first and writes last, so that a refusal it throws leaves
/// nothing written, and may be run again when the batch it was in is rolled back.</summary>
internal abstract class StoreWrite(WritePurpose purpose)
{
    public WritePurpose Purpose { get; } = purpose;

    /// <summary>A refusal by the body itself; it concerns nobody else in the batch.</summary>
    public Exception? Refusal { get; set; }

    public abstract void Execute(SqliteDatabase database);

    /// <summary>After the commit.</summary>
    public abstract void Acknowledge();

    public abstract void Fail(Exception error);
}

internal sealed class StoreWrite<T>(WritePurpose purpose, Func<SqliteDatabase, T> body) : StoreWrite(purpose)
{
    // Continuations must not run on the writer's thread: every other write waits for it.
    private readonly TaskCompletionSource<T> completion = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private T? result;

    public Task<T> Completion => completion.Task;

    public override void Execute(SqliteDatabase database) => result = body(database);

    public override void Acknowledge() => completion.SetResult(result!);

    public override void Fail(Exception error) => completion.SetException(error);
}
