using System.Text;
using Berth.Core.Functions;
using Berth.Core.Runs;
using Berth.Server.Functions;

namespace Berth.Server.LambdaEndpoints;

/// <summary>An event that nobody waits for, between its acceptance and its turn: what came beside the body is among the
/// kept request's headers.</summary>
internal static class KeptEvent
{
    public const string TraceHeader = "X-Amzn-Trace-Id";
    public const string ClientContextHeader = "X-Amz-Client-Context";

    private const string Json = "application/json";

    /// <summary>The task that AWS's clients hand in.</summary>
    /// <param name="clientContext">As it came, in base 64; null for none.</param>
    public static RunSpec Task(Function function, Revision revision, string trace, string? clientContext)
    {
        List<HeaderField> fields = [new("Content-Type", Json), new(TraceHeader, trace)];
        if (clientContext is not null)
        {
            fields.Add(new HeaderField(ClientContextHeader, clientContext));
        }

        RunSpec own = revision.Spec.Run;
        string number = revision.Number.ToString(System.Globalization.CultureInfo.InvariantCulture);
        return own with
        {
            Environment = new Dictionary<string, string>(),
            Labels = new Dictionary<string, string>(own.Labels)
            {
                [FunctionLabels.Function] = function.Name,
                [FunctionLabels.Revision] = number,
            },
            Service = new ServiceCall(function.Name, revision.Number, "POST", "/", fields, IsEvent: true),
        };
    }

    /// <summary>What the program is told beside the event; null for nothing.</summary>
    public static string? ClientContextOf(ServiceCall call) =>
        call.IsEvent && Find(call, ClientContextHeader) is { } text
            ? Encoding.UTF8.GetString(Convert.FromBase64String(text))
            : null;

    /// <summary>The one that was accepted with it, or else the run's own.</summary>
    public static string TraceOf(ServiceCall call, RunId run)
    {
        string id = IdOf(run).ToString("N");
        return Find(call, TraceHeader) ?? $"Root=1-{id[..8]}-{id[8..]};Parent={id[16..]};Sampled=0";
    }

    /// <summary>A run's id as the programs of this contract know it: the same 128 bits, for every try.</summary>
    public static Guid IdOf(RunId run) => new(run.ToBytes(), bigEndian: true);

    private static string? Find(ServiceCall call, string name) =>
        call.Fields.FirstOrDefault(f => f.Name.Equals(name, StringComparison.OrdinalIgnoreCase))?.Value;
}
