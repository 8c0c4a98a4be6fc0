using System.Globalization;
using Berth.Core.Errors;
using Berth.Core.Functions;
using Berth.Core.Runs;

namespace Berth.Server.Functions;

/// <summary>What a call that failed is sent again as: what its function is now, so that what was repaired meanwhile
/// helps it. Tasks of no function stay what they were.</summary>
internal sealed class FunctionRenewal(FunctionManager functions)
{
    /// <exception cref="BerthException">NotFound, Conflict: the function is gone, or takes such calls no
    /// more.</exception>
    public RunSpec Renew(Run run)
    {
        RunSpec spec = run.Spec;
        if (!spec.Labels.TryGetValue(FunctionLabels.Function, out string? name))
        {
            return spec;
        }

        Function function = functions.Get(name).Record;
        // The one with most of the calls: one run says nothing about a share.
        Revision now = function.Find(function.Traffic.Shares.MaxBy(s => s.Percent)!.Revision)!;
        bool isForeignEvent = spec.Service is { IsEvent: true } && now.Spec.Service?.Lambda is null;
        if (now.Spec.Service is null != spec.Service is null || isForeignEvent)
        {
            throw new BerthException(
                ErrorCode.Conflict,
                $"Function '{name}' had another contract when run {run.Id} was accepted, and can't take its request "
                + "now: purge it, or go back to such a revision.");
        }

        int number = int.Parse(spec.Labels[FunctionLabels.Revision], CultureInfo.InvariantCulture);
        Revision? before = function.Find(number);
        // What a call added to its revision's arguments is not known apart from them.
        bool asItWas = number == now.Number || (spec.Service is null && before is not { Spec.PassArguments: false });
        return asItWas ? spec : RevisionRuns.Of(name, now) with
        {
            Environment = spec.Service is null ? Variables(spec, before!, now) : spec.Environment,
            MaxAge = spec.MaxAge ?? now.Spec.Run.MaxAge,
            Callback = spec.Callback,
            Labels = new Dictionary<string, string>(spec.Labels)
            {
                [FunctionLabels.Revision] = now.Number.ToString(CultureInfo.InvariantCulture),
            },
            Hops = spec.Hops,
            Service = spec.Service is { } call ? call with { Revision = now.Number } : null,
        };
    }

    /// <summary>Those of the request, with what the revision sets in place of what the one before did.</summary>
    private static Dictionary<string, string> Variables(RunSpec spec, Revision before, Revision now)
    {
        Dictionary<string, string> variables = new(
            spec.Environment.Where(v => !before.Spec.Run.Environment.ContainsKey(v.Key)))
        {
            ["BERTH_REVISION"] = now.Number.ToString(CultureInfo.InvariantCulture),
        };
        foreach ((string variable, string value) in now.Spec.Run.Environment)
        {
            variables[variable] = value;
        }

        return variables;
    }
}
