using System.Globalization;
using Berth.Api.Errors;
using Berth.Api.Functions;
using Berth.Api.Triggers;
using Berth.Commands.Functions;
using Berth.Commands.Triggers;
using Berth.Core.Errors;

namespace Berth.Commands.Declarations;

/// <summary><c>berth apply</c>: makes functions and their triggers what files say, and leaves alone what is so already.
/// </summary>
internal sealed class ApplyCommand : Verb
{
    private readonly DeclarationFiles files = new();
    private readonly PruneOption prune = new();

    public ApplyCommand()
        : base(
            "apply", "Make functions what files say they are to be; what is so already is left alone",
            new("berth apply -f berth.yaml", "Those of one file"),
            new("berth apply -f functions/ --project shop --prune", "A folder; the project has no others afterwards"),
            new("generate | berth apply -f -", "What another program says"))
    {
        files.AddTo(this);
        Add(prune);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        int refused = ErrorCatalog.Find(ErrorCode.InvalidRequest).ExitCode;
        if (await files.ReadAsync(session, cancellationToken) is not { } functions)
        {
            return refused;
        }

        // All of it is looked at before anything is changed.
        (DeclaredChanges? changes, int exitCode) = await DeclaredChanges.FindAsync(
            session, functions, prune.Read(session, files, functions), cancellationToken);
        return changes is null ? exitCode : await MakeAsync(session, changes, cancellationToken);
    }

    private static async Task<int> MakeAsync(
        Session session, DeclaredChanges changes, CancellationToken cancellationToken)
    {
        int exitCode = 0;
        HashSet<string> failed = [];

        // Nothing fires for a function that is not there yet, or no more.
        foreach (DeclaredChange change in changes.Functions.Where(c => !c.IsRemoval))
        {
            try
            {
                await SayAsync(session, change.Name, await MakeAsync(session, change, cancellationToken));
            }
            catch (BerthException refusal) when (refusal.Code is not (ErrorCode.Upstream or ErrorCode.Unauthorized))
            {
                failed.Add(change.Name);
                exitCode = DeclaredChanges.Tell(session, change.Declaration!, refusal);
            }
        }

        foreach (DeclaredTrigger change in changes.Triggers.Where(
            t => t.Declaration is null || !failed.Contains(t.Declaration.Request.Function!)))
        {
            try
            {
                await SayAsync(
                    session, $"trigger {change.Name}", await MakeAsync(session, change, cancellationToken));
            }
            catch (BerthException refusal) when (
                change.Declaration is not null && refusal.Code is not (ErrorCode.Upstream or ErrorCode.Unauthorized))
            {
                exitCode = DeclaredChanges.Tell(session, change.Declaration, refusal);
            }
        }

        foreach (DeclaredChange change in changes.Functions.Where(c => c.IsRemoval))
        {
            await session.Client.Functions.RemoveAsync(change.Name, cancellationToken);
            await SayAsync(session, change.Name, "removed");
        }

        return exitCode;
    }

    private static async Task SayAsync(Session session, string name, string done)
    {
        await session.Terminal.Out.WriteLineAsync($"{name}: {done}");
        await session.Terminal.Out.FlushAsync();
    }

    /// <summary>Returns what was done, in words.</summary>
    private static async Task<string> MakeAsync(
        Session session, DeclaredTrigger change, CancellationToken cancellationToken)
    {
        if (change.Declaration is null)
        {
            await session.Client.Triggers.RemoveAsync(change.Name, cancellationToken);
            return "removed";
        }

        if (!change.Differs)
        {
            return "unchanged";
        }

        TriggerView made = await session.Client.Triggers.PutAsync(
            change.Name, change.Declaration.Request, cancellationToken);
        string done = change.Plan!.Before is null ? "created" : "changed";
        return made.Next is [var next, ..] ? $"{done}, fires next at {TriggerText.Moment(next)}" : done;
    }

    /// <summary>Returns what was done, in words.</summary>
    private static async Task<string> MakeAsync(
        Session session, DeclaredChange change, CancellationToken cancellationToken)
    {
        FunctionPlan plan = change.Plan!;
        if (!plan.Changed)
        {
            return "unchanged";
        }

        if (!plan.Deploys)
        {
            await session.Client.Functions.RouteAsync(change.Name, Whole(plan.TrafficAfter), cancellationToken);
            return $"reached another way, revision {plan.Revision.ToString(CultureInfo.InvariantCulture)} as it was";
        }

        FunctionDeployment made = await session.Client.Functions.DeployAsync(
            change.Name, change.Request, cancellationToken);
        IReadOnlyList<MatchView> rules = plan.TrafficAfter.Matches ?? [];
        if (!rules.SequenceEqual(made.Function.Traffic.Matches ?? []))
        {
            // A deployment adds to the rules there are.
            await session.Client.Functions.RouteAsync(
                change.Name,
                new TrafficView(made.Function.Traffic.Shares, Matches: rules),
                cancellationToken);
        }

        string revision = made.Revision.ToString(CultureInfo.InvariantCulture);
        return plan.Now == made.Revision
            ? $"revision {revision} changed in place"
            : made.Function.Rollout is not null
                ? $"revision {revision} is being rolled out ('berth rollout status -w {change.Name}')"
                : $"revision {revision}, {FunctionCommands.Shares(made.Function.Traffic)}";
    }

    /// <summary>What is not there is to go, rather than left as it is.</summary>
    private static TrafficView Whole(TrafficView traffic) => traffic with
    {
        Tags = traffic.Tags ?? new Dictionary<string, int>(),
        Matches = traffic.Matches ?? [],
        Sticky = traffic.Sticky ?? false,
        Hosts = traffic.Hosts ?? [],
        Public = traffic.Public ?? false,
    };
}
