using System.Globalization;
using Berth.Core.Errors;
using Berth.Core.Faults;
using Berth.Core.Runs;
using Berth.Server.Functions;
using Berth.Server.Store;

namespace Berth.Server.Runs;

/// <summary>The dead letters: failed tasks that are listed, with their inputs, until somebody sends them again or lets
/// them go, or their time is over.</summary>
internal sealed class DeadLetterList(RunRooms rooms, TaskIntake intake, RunReading reading)
{
    /// <summary>What a dead letter is sent again as; set before anything runs. Throws why it can't be.</summary>
    public Func<Run, RunSpec> Renew { get; set; } = run => run.Spec;

    /// <summary>Newest first.</summary>
    /// <param name="function">Of this one alone; null for all.</param>
    public async Task<RunList> ListAsync(
        string? function, int limit, RunId? before, CancellationToken cancellationToken)
    {
        Dictionary<string, string> labels = [];
        if (function is not null)
        {
            labels[FunctionLabels.Function] = function;
        }

        IReadOnlyList<Run> runs = await rooms.Store.ListAsync(
            new RunQuery(null, null, null, labels, limit + 1, before) { IsDeadLetter = true }, cancellationToken);
        return runs.Count > limit ? new RunList([.. runs.Take(limit)], runs[limit - 1].Id) : new RunList(runs, null);
    }

    /// <summary>Hands its input in as a new task, and strikes it off. Done twice, it leads to the same task.</summary>
    /// <exception cref="BerthException">RunNotFound; Conflict, where it is no dead letter; ResultExpired; why it can't
    /// be sent.</exception>
    public async Task<RunAcceptance> RedriveAsync(RunId id, string caller, CancellationToken cancellationToken)
    {
        Run run = await FindAsync(id, cancellationToken);
        RunSpec spec = Renew(run);
        RunContent input = await reading.InputAsync(id, cancellationToken);
        await using Stream stream = input.Stream;
        // A blank, which no caller's key has. Cut off before it is struck off, it is the same task the next time.
        RunAcceptance again = await intake.AcceptAsync(
            new RunSubmission(spec, run.Caller, "redrive " + id.Text, run.Spec), stream, cancellationToken);
        CrashPoints.Reach(CrashPoint.RedriveAccepted);
        await CloseAsync(
            run, RunEventTypes.Redriven, $"Sent again by {caller}, as run {again.Run.Id}.",
            rooms.Time.GetUtcNow() + rooms.Options.ResultRetention, cancellationToken);
        CrashPoints.Reach(CrashPoint.RedriveClosed);
        return again;
    }

    /// <summary>Strikes it off; its input is deleted.</summary>
    /// <exception cref="BerthException">RunNotFound; Conflict, where it is no dead letter.</exception>
    public async Task PurgeAsync(RunId id, string caller, CancellationToken cancellationToken)
    {
        Run run = await FindAsync(id, cancellationToken);
        await CloseAsync(
            run, RunEventTypes.Purged, $"Struck off the dead letters by {caller}.", rooms.Time.GetUtcNow(),
            cancellationToken);
    }

    private async Task<Run> FindAsync(RunId id, CancellationToken cancellationToken)
    {
        Run run = await reading.GetAsync(id, cancellationToken);
        return run.IsDeadLetter ? run : throw new BerthException(
            ErrorCode.Conflict,
            $"Run {id} is no dead letter: 'berth dlq ls' lists them. They are struck off when they are sent again or "
            + "purged, and by themselves after dead-letter-retention or when there are more than "
            + string.Create(CultureInfo.InvariantCulture, $"{DeadLetters.Most:N0}."));
    }

    private Task<bool> CloseAsync(
        Run run, string type, string sentence, DateTimeOffset bodiesDue, CancellationToken cancellationToken) =>
        rooms.Store.CloseDeadLetterAsync(
            run.Id, new RunEvent(rooms.Time.GetUtcNow(), type, run.Attempts, sentence), bodiesDue, cancellationToken);
}
