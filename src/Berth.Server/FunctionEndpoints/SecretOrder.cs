using Berth.Api.Functions;
using Berth.Core.Runs;
using Berth.Core.Secrets;
using Berth.Server.Calls;
using Berth.Server.Secrets;

namespace Berth.Server.FunctionEndpoints;

/// <summary>The part of a function's request that is about secrets, there and back.</summary>
internal static class SecretOrder
{
    /// <summary>Null for none.</summary>
    /// <param name="run">All but this part.</param>
    public static IReadOnlyList<SecretUse>? Read(FunctionRequest request, RunSpec run, SecretVault vault)
    {
        Asked asked = new("secrets", null);
        List<SecretUse> uses = [];
        foreach (string? text in request.Secrets ?? [])
        {
            SecretUse use = SecretUse.TryParse(text ?? "", out SecretUse? read)
                ? read
                : throw asked.Refuse(
                    text ?? "",
                    $"expected NAME, NAME:{SecretUse.Folder}/FILE or NAME:env=VARIABLE, no variable of which begins "
                    + "with BERTH_");
            Check(asked, use, run, uses);
            uses.Add(use);
        }

        if (uses.Count > SecretUse.MaxCount)
        {
            throw asked.Refuse("…", $"at most {SecretUse.MaxCount} can be given");
        }

        if (uses.Find(u => !vault.Has(u.Secret)) is { } missing)
        {
            throw asked.Refuse(
                missing.Text,
                $"there is no secret '{missing.Secret}'; make it with 'berth secret create {missing.Secret}'");
        }

        if (uses.Count > 0)
        {
            // Too much, or no text for a variable, is told now rather than at the first call.
            vault.Resolve(uses);
        }

        return uses.Count == 0 ? null : uses;
    }

    public static IReadOnlyList<string>? Write(RunSpec run) =>
        run.Secrets is null ? null : [.. run.Secrets.Select(s => s.Text)];

    private static void Check(Asked asked, SecretUse use, RunSpec run, List<SecretUse> before)
    {
        if (before.Exists(u => use.File is null ? u.Variable == use.Variable : u.File == use.File))
        {
            throw asked.Refuse(use.Text, "another secret has that place already");
        }

        if (use.Variable is not { } variable)
        {
            return;
        }

        if (run.Environment.ContainsKey(variable))
        {
            throw asked.Refuse(use.Text, $"environment has {variable}, too");
        }

        if (run.Runtime is { } runtime)
        {
            throw asked.Refuse(
                use.Text, $"the runtime {runtime} keeps a program's variables in a file: take it as a file of its own");
        }
    }
}
