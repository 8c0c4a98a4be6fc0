namespace Berth.Server.Lambda;

/// <summary>What a function is called with.</summary>
/// <param name="Payload">The event, JSON for most runtimes.</param>
/// <param name="ClientContext">JSON that the caller sent beside it; null for none.</param>
/// <param name="Trace">As X-Ray writes it.</param>
internal sealed record LambdaEvent(ReadOnlyMemory<byte> Payload, string? ClientContext, string Trace);

/// <summary>One event on its way through one instance: given, asked for, answered. Its session guards the
/// order.</summary>
/// <param name="arn">The function's name in AWS's form.</param>
/// <param name="deadline">When the instance will be ended.</param>
internal sealed class Invocation(string id, LambdaEvent content, string arn, DateTimeOffset deadline)
{
    private readonly TaskCompletionSource delivered = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource<LambdaAnswer> answer =
        new(TaskCreationOptions.RunContinuationsAsynchronously);

    public string Id => id;

    public LambdaEvent Event => content;

    public string Arn => arn;

    public DateTimeOffset Deadline => deadline;

    /// <summary>Completes when the program has asked for it.</summary>
    public Task Delivered => delivered.Task;

    /// <summary>Faults with IOException when the instance ended or broke off first.</summary>
    public Task<LambdaAnswer> Answer => answer.Task;

    public void Deliver() => delivered.TrySetResult();

    public bool TryAnswer(LambdaAnswer given) => answer.TrySetResult(given);

    public void Break(string why)
    {
        if (answer.TrySetException(new IOException(why)))
        {
            // Nobody may be waiting for it any more.
            _ = answer.Task.Exception;
        }
    }
}
