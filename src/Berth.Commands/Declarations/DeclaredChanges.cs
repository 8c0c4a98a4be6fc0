using Berth.Api.Errors;
using Berth.Api.Functions;
using Berth.Api.Triggers;
using Berth.Core.Errors;

namespace Berth.Commands.Declarations;

/// <summary>What files would change on the server.</summary>
internal sealed record DeclaredChanges(IReadOnlyList<DeclaredChange> Functions, IReadOnlyList<DeclaredTrigger> Triggers)
{
    /// <summary>What the server says of each function and trigger; refusals are told with their places in the files,
    /// all of them.</summary>
    /// <param name="projects">Whose other functions and triggers are to be removed; null for nobody's.</param>
    /// <returns>The changes, or null and an exit code where the server refuses some.</returns>
    public static async Task<(DeclaredChanges? Changes, int ExitCode)> FindAsync(
        Session session, IReadOnlyCollection<Declaration> functions, IReadOnlySet<string>? projects,
        CancellationToken cancellationToken)
    {
        List<DeclaredChange> changes = [];
        List<DeclaredTrigger> triggers = [];
        int exitCode = 0;
        foreach (Declaration function in functions)
        {
            try
            {
                FunctionPlan plan = await session.Client.Functions.PlanAsync(
                    function.Name, function.Request, cancellationToken);
                changes.Add(new DeclaredChange(function.Name, function, plan));
                foreach (TriggerDeclaration trigger in function.Triggers)
                {
                    exitCode = await AddAsync(session, trigger, plan, triggers, cancellationToken) ?? exitCode;
                }
            }
            catch (BerthException refusal) when (refusal.Code is not (ErrorCode.Upstream or ErrorCode.Unauthorized))
            {
                exitCode = Tell(session, function, refusal);
            }
        }

        if (projects is not null)
        {
            await AddRemovalsAsync(session, functions, projects, changes, triggers, cancellationToken);
        }

        return exitCode == 0 ? (new DeclaredChanges(changes, triggers), 0) : (null, exitCode);
    }

    /// <summary>Tells a refusal with its place; returns its exit code.</summary>
    public static int Tell(Session session, Declaration function, BerthException refusal)
    {
        session.Terminal.Complain(
            $"{function.PlaceOf(refusal.Message)}: function '{function.Name}': {refusal.Message}");
        return ErrorCatalog.Find(refusal.Code).ExitCode;
    }

    public static int Tell(Session session, TriggerDeclaration trigger, BerthException refusal)
    {
        session.Terminal.Complain(
            $"{Declaration.PlaceOf(refusal.Message, trigger.Places, trigger.At)}: trigger '{trigger.Name}': "
            + refusal.Message);
        return ErrorCatalog.Find(refusal.Code).ExitCode;
    }

    /// <returns>An exit code where it is refused.</returns>
    private static async Task<int?> AddAsync(
        Session session, TriggerDeclaration trigger, FunctionPlan function, List<DeclaredTrigger> triggers,
        CancellationToken cancellationToken)
    {
        try
        {
            if (function.After.Contract == "lambda")
            {
                throw new BerthException(
                    ErrorCode.InvalidRequest,
                    $"function '{function.Name}' has the lambda contract, whose calls are answered at once: triggers "
                    + "take functions with the stdio or http contract.");
            }

            triggers.Add(new DeclaredTrigger(
                trigger.Name, trigger,
                await session.Client.Triggers.PlanAsync(trigger.Name, trigger.Request, cancellationToken)));
            return null;
        }
        catch (BerthException refusal) when (refusal.Code is not (ErrorCode.Upstream or ErrorCode.Unauthorized))
        {
            return Tell(session, trigger, refusal);
        }
    }

    private static async Task AddRemovalsAsync(
        Session session, IReadOnlyCollection<Declaration> functions, IReadOnlySet<string> projects,
        List<DeclaredChange> changes, List<DeclaredTrigger> triggers, CancellationToken cancellationToken)
    {
        HashSet<string> kept = [.. functions.Select(f => f.Name)];
        changes.AddRange((await session.Client.Functions.ListAsync(cancellationToken))
            .Where(f => f.Project is { } project && projects.Contains(project) && !kept.Contains(f.Name))
            .Select(f => new DeclaredChange(f.Name, null, null)));
        HashSet<string> keptTriggers = [.. functions.SelectMany(f => f.Triggers).Select(t => t.Name)];
        triggers.AddRange((await session.Client.Triggers.ListAsync(cancellationToken))
            .Where(t => t.Spec.Project is { } project && projects.Contains(project) && !keptTriggers.Contains(t.Name))
            .Select(t => new DeclaredTrigger(t.Name, null, null)));
    }
}

/// <summary>What a file would change of a function.</summary>
/// <param name="Plan">Null where the function is to be removed.</param>
internal sealed record DeclaredChange(string Name, Declaration? Declaration, FunctionPlan? Plan)
{
    public bool IsRemoval => Declaration is null;

    public bool Differs => IsRemoval || Plan!.Changed;

    /// <summary>What the deployment asks: a share and a plan are for a new revision alone, and calls go where they went
    /// otherwise.</summary>
    public FunctionRequest Request => Plan!.Now is not { } now
        ? Declaration!.Request with { Traffic = null }
        : Plan.Revision == now
            ? Declaration!.Request with { Traffic = ShareOf(Plan.TrafficBefore!, now), Rollout = null }
            : Declaration!.Request;

    private static int ShareOf(TrafficView traffic, int revision) =>
        traffic.Shares.FirstOrDefault(s => s.Revision == revision)?.Percent ?? 0;
}

/// <summary>What a file would change of a trigger.</summary>
/// <param name="Plan">Null where the trigger is to be removed.</param>
internal sealed record DeclaredTrigger(string Name, TriggerDeclaration? Declaration, TriggerPlan? Plan)
{
    public bool Differs => Plan is not { Changed: false };
}
