using System.Collections.Concurrent;
using System.Globalization;
using System.Security.Cryptography;
using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Functions;
using Berth.Core.Runs;
using Berth.Server.Functions;
using Berth.Server.Runs;
using Berth.Server.Secrets;
using Berth.Server.Spool;
using Berth.Server.Store;

namespace Berth.Server.Results;

/// <summary>
/// The same for calls that nobody waits for. A task whose equal's result is kept is answered with it; one whose equal
/// is under way waits for that; any other runs its program and leaves the result. Each is a run of its own, with its
/// record, callback and destinations, and what comes of it is durable as ever: only the work is saved.
/// </summary>
internal sealed class SharedTasks(
    FunctionManager functions, SecretVault secrets, ResultRoom room, SharedCallCounts counts, RunSpool spool,
    TimeProvider time) : ITaskResults
{
    private const int Block = 64 * 1024;

    /// <summary>How long a task waits for an equal one, in its place; then it is executed by itself.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(1);

    private readonly Flights flights = new();
    private readonly ConcurrentDictionary<RunId, UnderWay> underWay = new();

    private sealed record UnderWay(ResultKey Key, ResultPolicy Policy, Flight? Flight);

    public async Task<IAttempt?> FindAsync(
        ClaimedRun claimed, AttemptSpec order, CancellationToken cancellationToken)
    {
        Run run = claimed.Run;
        CallWish wish = CallWish.Of(run.Spec.CacheControl);
        if (wish.KeepsNothing || run.Input.Length > SharedCalls.Largest || Find(run.Spec) is not { } revision)
        {
            return null;
        }

        if (await HashAsync(claimed) is not { } hash)
        {
            return null;
        }

        ResultPolicy policy = revision.Spec.Results!;
        ResultKey key = ResultKey.Of(SharedCalls.WithLength(run.Spec, run.Input.Length), revision, secrets, hash);
        long begun = time.GetTimestamp();
        if (FindKept(key, policy, wish) is { } kept)
        {
            counts.Hit();
            return new KeptAttempt(order, kept, time.GetElapsedTime(begun));
        }

        Flight? flight = null;
        if (policy.SingleFlight && !wish.IsAnew)
        {
            if (!flights.Join(key, run.Caller, int.MaxValue, out flight))
            {
                if (await WaitAsync(flight, cancellationToken) is { } result)
                {
                    counts.Coalesce();
                    return new KeptAttempt(order, result, time.GetElapsedTime(begun));
                }

                flight = null;
            }
        }

        counts.Miss();
        underWay[run.Id] = new UnderWay(key, policy, flight);
        return null;
    }

    public async Task KeepAsync(Run ended, ReadOnlyMemory<byte> inlineResult)
    {
        if (!underWay.TryRemove(ended.Id, out UnderWay? task))
        {
            return;
        }

        using HeldBytes output = new(room, SharedCalls.Largest);
        KeptResult kept = new(ended.Id, ended.Spec.ResultContentType, output);
        FlightEnd end = new FlightEnd.Result(kept, ended);
        try
        {
            if (!await TryTakeAsync(ended, inlineResult, output))
            {
                end = NotHeld();
            }
            else if (task.Policy.KeepFor is { } span)
            {
                room.Keep(task.Key, kept, span);
            }
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            // It is stored, and only not at hand for others.
            end = NotHeld();
        }

        End(task, end);
    }

    public void Forget(RunId run)
    {
        if (underWay.TryRemove(run, out UnderWay? task))
        {
            End(task, NotHeld());
        }
    }

    /// <summary>What others of it find is found out by each.</summary>
    private static FlightEnd.Refusal NotHeld() => new(new BerthException(
        ErrorCode.Conflict, "The equal run left no result that could be held."));

    private void End(UnderWay task, FlightEnd end)
    {
        if (task.Flight is { } flight)
        {
            // It counts itself among those who wait, and does not.
            flights.End(flight, end);
            if (end is FlightEnd.Result { Kept.Output: var own })
            {
                own.Dispose();
            }

            flight.Dispose();
        }
    }

    private KeptResult? FindKept(ResultKey key, ResultPolicy policy, CallWish wish)
    {
        if (policy.KeepFor is null || wish.IsAnew || room.Find(key) is not { } found)
        {
            return null;
        }

        if (found.Age <= wish.MaxAge)
        {
            return found.Result;
        }

        found.Result.Output.Dispose();
        return null;
    }

    private async Task<KeptResult?> WaitAsync(Flight flight, CancellationToken cancellationToken)
    {
        counts.Wait(1);
        try
        {
            return await flight.WaitAsync(Patience, time, cancellationToken) is FlightEnd.Result result
                ? result.Kept
                : null;
        }
        catch (TimeoutException)
        {
            return null;
        }
        finally
        {
            counts.Wait(-1);
        }
    }

    /// <summary>The revision that the run is a call of, where its results are shared; null where it is none, or that is
    /// gone.</summary>
    private Revision? Find(RunSpec spec)
    {
        if (!spec.Labels.TryGetValue(FunctionLabels.Function, out string? name)
            || !spec.Labels.TryGetValue(FunctionLabels.Revision, out string? number)
            || !int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out int revision))
        {
            return null;
        }

        return functions.Find(name)?.Record.Find(revision) is { Spec.Results: not null } found ? found : null;
    }

    /// <summary>Null where the input can't be read, of which the attempt itself tells.</summary>
    private async Task<byte[]?> HashAsync(ClaimedRun claimed)
    {
        if (claimed.Run.Input.Place != BodyPlace.Spooled)
        {
            return SHA256.HashData(claimed.InlineInput ?? []);
        }

        try
        {
            await using FileStream input = spool.OpenInput(claimed.Run.Id);
            return await SHA256.HashDataAsync(input);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    private async Task<bool> TryTakeAsync(Run ended, ReadOnlyMemory<byte> inlineResult, HeldBytes output)
    {
        if (ended.Result.Place != BodyPlace.Spooled)
        {
            return await output.TryAppendAsync(inlineResult, CancellationToken.None);
        }

        await using FileStream result = spool.OpenResult(ended.Id, ended.Generation);
        byte[] block = new byte[Block];
        int count;
        while ((count = await result.ReadAsync(block)) > 0)
        {
            if (!await output.TryAppendAsync(block.AsMemory(0, count), CancellationToken.None))
            {
                return false;
            }
        }

        return true;
    }
}
