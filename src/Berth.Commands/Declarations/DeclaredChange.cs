using Berth.Api.Errors;
using Berth.Api.Functions;
using Berth.Core.Errors;

namespace Berth.Commands.Declarations;

/// <summary>What a file would change on the server.</summary>
/// <param name="Plan">Null where the function is to be removed.</param>
internal sealed record DeclaredChange(string Name, Declaration? Declaration, FunctionPlan? Plan)
{
    public bool IsRemoval => Declaration is null;

    /// <summary>What the server says of each function; refusals are told with their places in the files, all of them.
    /// </summary>
    /// <param name="projects">Whose other functions are to be removed; null for nobody's.</param>
    /// <returns>The changes, or null and an exit code where the server refuses some.</returns>
    public static async Task<(IReadOnlyList<DeclaredChange>? Changes, int ExitCode)> FindAsync(
        Session session, IReadOnlyCollection<Declaration> functions, IReadOnlySet<string>? projects,
        CancellationToken cancellationToken)
    {
        List<DeclaredChange> changes = [];
        int exitCode = 0;
        foreach (Declaration function in functions)
        {
            try
            {
                changes.Add(new DeclaredChange(
                    function.Name, function,
                    await session.Client.Functions.PlanAsync(function.Name, function.Request, cancellationToken)));
            }
            catch (BerthException refusal) when (refusal.Code is not (ErrorCode.Upstream or ErrorCode.Unauthorized))
            {
                exitCode = Tell(session, function, refusal);
            }
        }

        if (projects is not null)
        {
            HashSet<string> kept = [.. functions.Select(f => f.Name)];
            changes.AddRange((await session.Client.Functions.ListAsync(cancellationToken))
                .Where(f => f.Project is { } project && projects.Contains(project) && !kept.Contains(f.Name))
                .Select(f => new DeclaredChange(f.Name, null, null)));
        }

        return exitCode == 0 ? (changes, 0) : (null, exitCode);
    }

    /// <summary>Tells a refusal with its place; returns its exit code.</summary>
    public static int Tell(Session session, Declaration function, BerthException refusal)
    {
        session.Terminal.Complain(
            $"{function.PlaceOf(refusal.Message)}: function '{function.Name}': {refusal.Message}");
        return ErrorCatalog.Find(refusal.Code).ExitCode;
    }
}
