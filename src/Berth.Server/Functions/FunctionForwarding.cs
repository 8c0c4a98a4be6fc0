using System.Globalization;
using System.Security.Cryptography;
using Berth.Core.Functions;
using Berth.Core.Runs;

namespace Berth.Server.Functions;

/// <summary>What a function is called as when an ended task is handed on to it: by POST, with the run that it is about.
/// </summary>
internal sealed class FunctionForwarding(FunctionManager functions)
{
    private const string Json = "application/json";

    /// <param name="cause">The run that ended.</param>
    public RunSpec Call(string name, Run cause)
    {
        Function function = functions.Get(name).Record;
        double point = RandomNumberGenerator.GetInt32(int.MaxValue) / (double)int.MaxValue;
        Revision revision = function.Find(function.Traffic.Whole ?? function.Traffic.At(point))!;
        RunSpec own = RevisionRuns.Of(name, revision);
        string number = revision.Number.ToString(CultureInfo.InvariantCulture);
        string source = cause.Spec.Labels.GetValueOrDefault(FunctionLabels.Function, "");
        string type = cause.State == RunState.Succeeded
            ? cause.End?.Answer?.ContentType ?? cause.Spec.ResultContentType
            : Json;
        Dictionary<string, string> environment = new()
        {
            ["REQUEST_METHOD"] = "POST",
            ["PATH_INFO"] = "/",
            ["QUERY_STRING"] = "",
            ["CONTENT_TYPE"] = type,
            ["BERTH_FUNCTION"] = name,
            ["BERTH_REVISION"] = number,
            ["BERTH_SOURCE_RUN"] = cause.Id.Text,
            ["BERTH_SOURCE_FUNCTION"] = source,
        };
        foreach ((string variable, string value) in own.Environment)
        {
            environment[variable] = value;
        }

        ServiceCall call = new(
            name, revision.Number, "POST", "/",
            [
                new HeaderField("Host", "localhost"), new HeaderField("Content-Type", type),
                new HeaderField("Berth-Source-Run", cause.Id.Text), new HeaderField("Berth-Source-Function", source),
            ]);
        return own with
        {
            Environment = revision.Spec.Service is null ? environment : new Dictionary<string, string>(),
            Labels = new Dictionary<string, string>(own.Labels)
            {
                [FunctionLabels.Function] = name,
                [FunctionLabels.Revision] = number,
            },
            Service = revision.Spec.Service is null ? null : call,
            Hops = cause.Spec.Hops + 1,
        };
    }
}
