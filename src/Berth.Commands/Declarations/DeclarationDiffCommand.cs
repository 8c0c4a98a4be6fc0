using System.Globalization;
using System.Text.Json.Nodes;
using Berth.Commands.Functions;
using Berth.Commands.Terminals;
using Berth.Core.Errors;

namespace Berth.Commands.Declarations;

/// <summary><c>berth diff</c>: what <c>berth apply</c> would change, with the exit codes of diff(1).</summary>
internal sealed class DeclarationDiffCommand : Verb
{
    private const int Same = 0;
    private const int Different = 1;
    private const int Trouble = 2;

    private readonly DeclarationFiles files = new();
    private readonly PruneOption prune = new();

    public DeclarationDiffCommand()
        : base(
            "diff", "Show what 'berth apply' would change; exit code 1 where it would, 2 for trouble",
            new("berth diff -f berth.yaml", "- is what is, + what would be"),
            new("berth diff -f functions/ && echo nothing to do", "In scripts"))
    {
        files.AddTo(this);
        Add(prune);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        try
        {
            if (await files.ReadAsync(session, cancellationToken) is not { } functions)
            {
                return Trouble;
            }

            (DeclaredChanges? changes, _) = await DeclaredChanges.FindAsync(
                session, functions, prune.Read(session, files, functions), cancellationToken);
            return changes is null ? Trouble : await TellAsync(session, changes) ? Different : Same;
        }
        catch (BerthException refusal)
        {
            session.Terminal.Complain(refusal.Message);
            return Trouble;
        }
    }

    /// <summary>Whether there is anything to tell.</summary>
    private static async Task<bool> TellAsync(Session session, DeclaredChanges changes)
    {
        TextWriter output = session.Terminal.Out;
        bool any = false;
        foreach (DeclaredChange change in changes.Functions.Where(c => c.Differs))
        {
            any = true;
            await output.WriteLineAsync($"{change.Name}: {Headline(change)}");
            if (change.Plan is { } plan)
            {
                JsonObject before = plan.Before is null
                    ? []
                    : SettingTable.Of(plan.Before, plan.BeforeDigest!, plan.TrafficBefore, plan.Now ?? 0);
                await SettingsAsync(
                    session, before,
                    SettingTable.Of(plan.After, plan.AfterDigest, plan.TrafficAfter, plan.Revision));
            }
        }

        foreach (DeclaredTrigger change in changes.Triggers.Where(t => t.Differs))
        {
            any = true;
            await output.WriteLineAsync($"trigger {change.Name}: {Headline(change)}");
            if (change.Plan is { } plan)
            {
                await SettingsAsync(
                    session, plan.Before is null ? [] : SettingTable.Of(plan.Before), SettingTable.Of(plan.After));
            }
        }

        return any;
    }

    private static string Headline(DeclaredChange change)
    {
        if (change.Plan is not { } plan)
        {
            return "would be removed";
        }

        string next = plan.Revision.ToString(CultureInfo.InvariantCulture);
        return plan.Now is not { } now ? "would be new"
            : !plan.Deploys ? "would be reached another way"
            : plan.Revision == now ? $"revision {next} would change in place"
            : $"revision {now.ToString(CultureInfo.InvariantCulture)} would be followed by {next}";
    }

    private static string Headline(DeclaredTrigger change) => change.Plan switch
    {
        null => "would be removed",
        { Before: null } => "would be new",
        _ => "would change",
    };

    private static async Task SettingsAsync(Session session, JsonObject before, JsonObject after)
    {
        Terminal terminal = session.Terminal;
        foreach (string setting in before.Select(m => m.Key).Union(after.Select(m => m.Key)))
        {
            JsonNode? old = before[setting];
            JsonNode? next = after[setting];
            if (JsonNode.DeepEquals(old, next))
            {
                continue;
            }

            if (old is not null)
            {
                await terminal.Out.WriteLineAsync(terminal.Paint(
                    $"  - {setting}: {SettingTable.Text(old)}", Color.Red, terminal.OutputIsColored));
            }

            if (next is not null)
            {
                await terminal.Out.WriteLineAsync(terminal.Paint(
                    $"  + {setting}: {SettingTable.Text(next)}", Color.Green, terminal.OutputIsColored));
            }
        }
    }
}
