using System.Buffers;
using System.Security.Cryptography;
using Berth.Core.Callbacks;
using Berth.Core.Errors;
using Berth.Core.Faults;
using Berth.Core.Runs;
using Berth.Server.Spool;
using Berth.Server.Store;

namespace Berth.Server.Runs;

/// <summary>
/// Accepts tasks: checks, keeps the input, makes the run durable. Nothing stays behind of what was refused.
/// </summary>
internal sealed class TaskIntake(RunRooms rooms, CallbackPolicy callbacks)
{
    private const int MaxKeyLength = 255;
    private const int BufferSize = 16 * 1024;

    public async Task<RunAcceptance> AcceptAsync(RunSubmission submission, Stream input,
        CancellationToken cancellationToken)
    {
        Check(submission);
        RunMoment now = rooms.Clock.Moment;
        RunId id = RunId.New(now.At);
        await using SpoolWriter writer = rooms.Spool.WriteInput(id, rooms.Options.InputLimit);
        using IncrementalHash? hash = submission.IdempotencyKey is null
            ? null : IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash?.AppendData(RunSpecDocument.WriteRequest(submission.Asked ?? submission.Spec));
        await ReadAsync(input, writer, hash, cancellationToken);
        CrashPoints.Reach(CrashPoint.InputReceived);
        StoredBody body = await writer.CommitAsync(cancellationToken);
        CrashPoints.Reach(CrashPoint.InputKept);
        Run run = Run.Accepted(id, RunKind.Task, submission.Spec, submission.Caller, now, body);
        RunAcceptance? acceptance = null;
        bool isInDoubt = false;
        try
        {
            acceptance = await rooms.Store.AcceptAsync(
                new NewRun(run, writer.Inline, submission.IdempotencyKey, hash?.GetHashAndReset()
                    ?? default(ReadOnlyMemory<byte>)),
                cancellationToken);
            CrashPoints.Reach(CrashPoint.TaskStored);
        }
        catch (BerthException fault) when (
            fault is
            {
                Code: ErrorCode.StorageFault or ErrorCode.StorageDamaged or ErrorCode.StorageFull,
                InnerException: not null,
            })
        {
            // A write that failed half-way may be found to be whole when the store is opened again; so may one for
            // which the disk was full, because SQLite fills the log's last sector after the commit.
            isInDoubt = true;
            throw;
        }
        finally
        {
            if (acceptance is not { IsNew: true } && body.Place == BodyPlace.Spooled)
            {
                Drop(id, isInDoubt);
            }
        }

        if (acceptance.IsNew)
        {
            rooms.Ledger.Submitted();
            rooms.Ledger.Wait(1);
            rooms.Events.Publish(id, 1, RunPresentation.AcceptedEvent(run).Event);
            if (submission.Spec is { Service: null, HasOwnFiles: false })
            {
                rooms.Expect(run);
            }

            CrashPoints.Reach(CrashPoint.TaskAccepted);
        }

        return acceptance;
    }

    private void Drop(RunId id, bool isInDoubt)
    {
        if (isInDoubt)
        {
            rooms.Doubts.Enqueue(id);
        }
        else
        {
            rooms.Spool.TryDelete(id);
        }
    }

    private void Check(RunSubmission submission)
    {
        if (submission.IdempotencyKey is { } key && (key.Length is 0 or > MaxKeyLength))
        {
            throw new BerthException(
                ErrorCode.InvalidRequest, $"The idempotency key has {key.Length} characters: use 1 to {MaxKeyLength}.");
        }

        foreach (Uri? target in (Uri?[])[
            submission.Spec.Callback, submission.Spec.OnSuccess?.Address, submission.Spec.OnFailure?.Address])
        {
            if (target is not null)
            {
                callbacks.Check(target);
            }
        }

        long queued = rooms.Ledger.Queued;
        if (queued >= rooms.Options.QueueLimit)
        {
            rooms.Ledger.Refused();
            throw new BerthException(
                ErrorCode.QueueFull, $"{queued:N0} tasks wait already: send it again later, or raise queue-limit.")
            {
                RetryAfter = TimeSpan.FromSeconds(5),
            };
        }
    }

    private async Task ReadAsync(Stream input, SpoolWriter writer, IncrementalHash? hash,
        CancellationToken cancellationToken)
    {
        byte[] buffer = ArrayPool<byte>.Shared.Rent(BufferSize);
        try
        {
            int count;
            while ((count = await input.ReadAsync(buffer, cancellationToken)) > 0)
            {
                hash?.AppendData(buffer.AsSpan(0, count));
                if (!await writer.WriteAsync(buffer.AsMemory(0, count), cancellationToken))
                {
                    throw new BerthException(
                        ErrorCode.BodyTooLarge,
                        $"The input is larger than {rooms.Options.InputLimit}: send less, or raise input-limit.");
                }
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }
}
