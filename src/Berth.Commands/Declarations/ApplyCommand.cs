using System.Globalization;
using Berth.Api.Errors;
using Berth.Api.Functions;
using Berth.Commands.Functions;
using Berth.Core.Errors;

namespace Berth.Commands.Declarations;

/// <summary><c>berth apply</c>: makes functions what files say, and leaves alone what is so already.</summary>
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
        (IReadOnlyList<DeclaredChange>? changes, int exitCode) = await DeclaredChange.FindAsync(
            session, functions, prune.Read(session, files, functions), cancellationToken);
        foreach (DeclaredChange change in changes ?? [])
        {
            try
            {
                await session.Terminal.Out.WriteLineAsync(
                    $"{change.Name}: {await MakeAsync(session, change, cancellationToken)}");
                await session.Terminal.Out.FlushAsync(cancellationToken);
            }
            catch (BerthException refusal) when (
                change.Declaration is not null && refusal.Code is not (ErrorCode.Upstream or ErrorCode.Unauthorized))
            {
                exitCode = DeclaredChange.Tell(session, change.Declaration, refusal);
            }
        }

        return exitCode;
    }

    /// <summary>Returns what was done, in words.</summary>
    private static async Task<string> MakeAsync(
        Session session, DeclaredChange change, CancellationToken cancellationToken)
    {
        if (change is { Declaration: null } or { Plan: null })
        {
            await session.Client.Functions.RemoveAsync(change.Name, cancellationToken);
            return "removed";
        }

        if (!change.Plan.Changed)
        {
            return "unchanged";
        }

        FunctionDeployment made = await session.Client.Functions.DeployAsync(
            change.Name, change.Declaration.Request, cancellationToken);
        string revision = made.Revision.ToString(CultureInfo.InvariantCulture);
        return change.Plan.Now == made.Revision
            ? $"revision {revision} changed in place"
            : made.Function.Rollout is not null
                ? $"revision {revision} is being rolled out ('berth rollout status -w {change.Name}')"
                : $"revision {revision}, {FunctionCommands.Shares(made.Function.Traffic)}";
    }
}
