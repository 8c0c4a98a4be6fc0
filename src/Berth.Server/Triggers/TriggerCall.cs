using System.Globalization;
using System.Security.Cryptography;
using Berth.Core.Errors;
using Berth.Core.Functions;
using Berth.Core.Runs;
using Berth.Core.Triggers;
using Berth.Server.Functions;

namespace Berth.Server.Triggers;

/// <summary>What a function is called with by a trigger: by POST, with the attributes of an event as headers
/// (<c>ce-…</c>) or, of a program for each call, as their variables (<c>HTTP_CE_…</c>).</summary>
internal sealed class TriggerCall(FunctionManager functions)
{
    public const string Label = "trigger";

    /// <summary>Whether there is such a function, and it takes calls that nobody waits for.</summary>
    /// <exception cref="BerthException">InvalidRequest.</exception>
    public void Check(string function)
    {
        if (functions.Find(function)?.Record is not { } record)
        {
            throw new BerthException(
                ErrorCode.InvalidRequest,
                $"function = '{Quoted.Of(function)}' can't be used: there is no such function; deploy it with 'berth "
                + "function deploy', and make the trigger afterwards.");
        }

        if (record.Newest.Spec.Service?.Lambda is not null)
        {
            throw NoLambda(function);
        }
    }

    /// <param name="request">Of the sender, where there is one: its headers are passed on.</param>
    /// <exception cref="BerthException">NotFound, Conflict: it can't be called.</exception>
    public RunSpec Make(Trigger trigger, CloudEvent e, TriggerRequestHead? request)
    {
        Function function = functions.Get(trigger.Function).Record;
        double point = RandomNumberGenerator.GetInt32(int.MaxValue) / (double)int.MaxValue;
        Revision revision = function.Find(function.Traffic.Whole ?? function.Traffic.At(point))!;
        if (revision.Spec.Service?.Lambda is not null)
        {
            throw NoLambda(function.Name);
        }

        string number = revision.Number.ToString(CultureInfo.InvariantCulture);
        RunSpec own = revision.Spec.Run;
        return own with
        {
            Environment = revision.Spec.Service is null
                ? Variables(trigger, e, request, own, number)
                : new Dictionary<string, string>(),
            Labels = new Dictionary<string, string>(own.Labels)
            {
                [FunctionLabels.Function] = function.Name,
                [FunctionLabels.Revision] = number,
                [Label] = trigger.Name,
            },
            Service = revision.Spec.Service is null
                ? null
                : new ServiceCall(function.Name, revision.Number, "POST", "/", Fields(trigger, e, request)),
        };
    }

    private static BerthException NoLambda(string function) => new(
        ErrorCode.InvalidRequest,
        $"Function '{Quoted.Of(function)}' has the lambda contract, whose calls are answered at once: triggers take "
        + "functions with the stdio or http contract.");

    private static Dictionary<string, string> Variables(
        Trigger trigger, CloudEvent e, TriggerRequestHead? request, RunSpec own, string revision)
    {
        Dictionary<string, string> variables = new(
            (request?.Variables ?? new Dictionary<string, string>()).Where(
                v => !v.Key.StartsWith("HTTP_CE_", StringComparison.Ordinal)))
        {
            ["REQUEST_METHOD"] = "POST",
            ["PATH_INFO"] = "/",
            ["CONTENT_LENGTH"] = e.Data.Length.ToString(CultureInfo.InvariantCulture),
            ["HTTP_CE_SPECVERSION"] = CloudEvent.Version,
            ["BERTH_FUNCTION"] = trigger.Function,
            ["BERTH_REVISION"] = revision,
            ["BERTH_TRIGGER"] = trigger.Name,
        };
        variables.TryAdd("QUERY_STRING", "");
        if (e.ContentType is { } type)
        {
            variables["CONTENT_TYPE"] = type;
        }

        foreach ((string name, string value) in e.Attributes)
        {
            variables["HTTP_CE_" + name.ToUpperInvariant()] = value;
        }

        // What the revision sets, nobody else can change.
        foreach ((string variable, string value) in own.Environment)
        {
            variables[variable] = value;
        }

        return variables;
    }

    private static List<HeaderField> Fields(Trigger trigger, CloudEvent e, TriggerRequestHead? request)
    {
        List<HeaderField> fields = [.. request?.Fields ?? [new HeaderField("Host", "localhost")]];
        fields.RemoveAll(f => f.Name.StartsWith("ce-", StringComparison.OrdinalIgnoreCase)
            || f.Name.Equals("Content-Type", StringComparison.OrdinalIgnoreCase));
        fields.Add(new HeaderField("ce-specversion", CloudEvent.Version));
        fields.AddRange(e.Attributes.Select(a => new HeaderField("ce-" + a.Key, CloudEvent.Encode(a.Value))));
        if (e.ContentType is { } type)
        {
            fields.Add(new HeaderField("Content-Type", type));
        }

        fields.Add(new HeaderField("Berth-Trigger", trigger.Name));
        return fields;
    }
}

/// <summary>What a sender's request says beside its body.</summary>
internal sealed record TriggerRequestHead(
    IReadOnlyDictionary<string, string> Variables, IReadOnlyList<HeaderField> Fields);
