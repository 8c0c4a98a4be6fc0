using System.Collections.Frozen;
using System.Globalization;
using Berth.Core.Functions;
using Berth.Core.Images;
using Berth.Core.Runs;
using Berth.Server.Access;
using Berth.Server.Calls;
using Berth.Server.Configuration;
using Berth.Server.Forwarding;
using Berth.Server.Functions;
using Berth.Server.LambdaEndpoints;
using Berth.Server.Telemetry;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.FunctionEndpoints;

/// <summary>Turns a call of a function with instances that nobody waits for into a task: the request is kept as its
/// program is to get it, or as the event that it becomes is to tell of it.</summary>
internal static class ServiceTask
{
    /// <summary>What a caller decides; the rest belongs to the revision.</summary>
    public static IReadOnlyList<string> Callers { get; } =
    [
        OptionHeaders.Timeout, OptionHeaders.Label, OptionHeaders.Callback, OptionHeaders.MaxAge,
        OptionHeaders.Priority,
    ];

    private static readonly FrozenSet<string> ForBerth = FrozenSet.Create(
        StringComparer.OrdinalIgnoreCase, "Prefer", OptionHeaders.IdempotencyKey);

    private static readonly FrozenSet<string> TraceVariables = FrozenSet.Create(
        SpanDocument.TraceVariable, SpanDocument.CallerSpanVariable, SpanDocument.StateVariable);

    public static RunOrder Read(
        HttpContext context, Function function, Revision revision, (string Prefix, string Target) path,
        ServerOptions options)
    {
        OptionHeaders given = OptionHeaders.Read(context.Request.Headers, RunKind.Task);
        if (given.Names.FirstOrDefault(
            n => !Callers.Contains(n, StringComparer.OrdinalIgnoreCase)) is { } foreign)
        {
            throw OptionHeaders.Refuse(
                foreign, given.Find(foreign),
                $"such a call of function '{function.Name}' takes {string.Join(", ", Callers)} alone: its program "
                + "gets the request as it is");
        }

        RunSpec own = revision.Spec.Run;
        RunSpec asked = RunRequest.Parse(
            context.Request, given, RunKind.Task, ImageReference.Parse("function/" + function.Name), own.Digest,
            options) with
        {
            Image = $"function {context.Request.RouteValues["name"]}",
            Service = Keep(context, function.Name, revision, path),
        };
        asked = asked with
        {
            Environment = asked.Environment.Where(v => TraceVariables.Contains(v.Key)).ToDictionary(),
        };
        Dictionary<string, string> labels = new(asked.Labels);
        foreach ((string label, string value) in own.Labels)
        {
            labels[label] = value;
        }

        labels[FunctionLabels.Function] = function.Name;
        labels[FunctionLabels.Revision] = revision.Number.ToString(CultureInfo.InvariantCulture);
        RunSpec spec = own with
        {
            Environment = asked.Environment,
            Timeout = FunctionCalls.TimeoutOf(function.Name, own.Timeout, asked.Timeout, given),
            MaxAge = FunctionCalls.AgeOf(function.Name, own.MaxAge, asked.MaxAge, given),
            Callback = asked.Callback,
            Labels = labels,
            Service = asked.Service,
            Priority = asked.Priority,
        };
        return new RunOrder(
            RunKind.Task, spec, given, asked, Revision: FunctionLabels.Revision,
            EventLimit: revision.Spec.Service!.Lambda is null
                ? null
                : (options.LambdaPayloadLimit, LambdaBody.Setting));
    }

    private static ServiceCall Keep(
        HttpContext context, string function, Revision revision, (string Prefix, string Target) path)
    {
        ServiceCall call = RequestHead.Keep(
            context.Request, function, revision.Number, path.Target, path.Prefix, ForBerth);
        bool needsTrace = revision.Spec.Service!.Lambda is not null
            && !context.Request.Headers.ContainsKey(KeptEvent.TraceHeader);
        return needsTrace
            ? call with
            {
                Fields = [.. call.Fields, new HeaderField(KeptEvent.TraceHeader, LambdaBody.TraceOf(context))],
            }
            : call;
    }
}
