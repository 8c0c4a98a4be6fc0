using System.Globalization;
using Berth.Api.Functions;
using Berth.Core.Functions;
using Berth.Core.Resources;
using Berth.Core.Scaling;
using Berth.Oci.Images;
using Berth.Server.Calls;

namespace Berth.Server.FunctionEndpoints;

/// <summary>The part of a function's request that is about its contract, there and back.</summary>
internal static class ServiceOrder
{
    private const string Stdio = "stdio";
    private const string Http = "http";
    private const string Lambda = "lambda";
    private const string Never = "never";

    /// <summary>By which an image says what contract it has.</summary>
    private const string Label = "berth.contract";

    private const int MaxConcurrency = 10_000;
    private const int MaxInstances = 1_000;
    private static readonly TimeSpan LeastTime = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan LongestIdle = TimeSpan.FromDays(30);
    private static readonly TimeSpan LongestStart = TimeSpan.FromHours(1);

    /// <summary>Null where each call is a program.</summary>
    /// <param name="image">How the image wants its program run; null where that is not known.</param>
    public static ServiceSpec? Read(FunctionRequest request, ContainerDefaults? image)
    {
        int? exposed = ExposedPort(image);
        string contract = request.Contract switch
        {
            null when image?.Labels?.GetValueOrDefault(Label) is (Http or Stdio or Lambda) and var told => told,
            null => LambdaOrder.IsMeantBy(image) ? Lambda : exposed is not null ? Http : Stdio,
            Http or Stdio or Lambda => request.Contract,
            _ => throw new Asked("contract", request.Contract).Refuse("expected stdio, http or lambda"),
        };
        RefuseForeign(request, contract);
        return contract switch
        {
            Stdio => null,
            Http => new ServiceSpec(
                Number("port", request.Port, 1, ushort.MaxValue) ?? exposed ?? ServiceSpec.DefaultPort,
                Probe(request.Probe),
                Number("concurrency", request.Concurrency, 1, MaxConcurrency) ?? ServiceSpec.DefaultConcurrency,
                Scale(request), StartLimit(request)),
            // The Runtime API gives an instance one call after the other.
            _ => new ServiceSpec(
                LambdaSpec.RuntimeApiPort, ProbePath: null, Concurrency: 1, Scale(request), StartLimit(request),
                LambdaOrder.Read(request, image)),
        };
    }

    private static ScaleSpec Scale(FunctionRequest request)
    {
        int max = Number("maxInstances", request.MaxInstances, 1, MaxInstances) ?? ScaleSpec.Default.Max;
        return ScaleSpec.Checked(new ScaleSpec(
            Number("minInstances", request.MinInstances, 0, max) ?? 0,
            max,
            Number("target", request.Target, 1, 100) ?? ScaleSpec.Default.Target,
            Time("idle", request.Idle, LongestIdle) ?? ScaleSpec.Default.IdleExpiry,
            Time("scaleDownDelay", request.ScaleDownDelay, LongestIdle) ?? ScaleSpec.Default.DownDelay,
            request.Freeze == Never
                ? null
                : Time("freeze", request.Freeze, LongestIdle) ?? ScaleSpec.Default.FreezeAfter,
            WarmOrder.Read(request.Warm, MaxInstances)));
    }

    /// <summary>What is null stays as it is.</summary>
    public static ScaleSpec Change(ScaleRequest request, ScaleSpec now) => new(
        Number("minInstances", request.MinInstances, 0, MaxInstances) ?? now.Min,
        Number("maxInstances", request.MaxInstances, 1, MaxInstances) ?? now.Max,
        Number("target", request.Target, 1, 100) ?? now.Target,
        Time("idle", request.Idle, LongestIdle) ?? now.IdleExpiry,
        Time("scaleDownDelay", request.ScaleDownDelay, LongestIdle) ?? now.DownDelay,
        now.FreezeAfter,
        request.Warm is null ? now.Warm : WarmOrder.Read(request.Warm, MaxInstances));

    private static TimeSpan StartLimit(FunctionRequest request) =>
        Time("startTimeout", request.StartTimeout, LongestStart) ?? ServiceSpec.DefaultStartLimit;

    /// <summary>A request that would lead to the same.</summary>
    /// <param name="request">All but this part.</param>
    public static FunctionRequest Write(ServiceSpec? service, FunctionRequest request) => service is null
        ? request with { Contract = Stdio }
        : request with
        {
            Contract = service.Lambda is null ? Http : Lambda,
            Isolation = null,
            OutputLimit = null,
            ContentType = null,
            MaxRunning = null,
            Port = service.Lambda is null ? service.Port : null,
            Probe = service.ProbePath,
            Concurrency = service.Lambda is null ? service.Concurrency : null,
            MinInstances = service.Scale.Min,
            MaxInstances = service.Scale.Max,
            Target = service.Scale.Target,
            Idle = Duration.Format(service.Scale.IdleExpiry),
            ScaleDownDelay = Duration.Format(service.Scale.DownDelay),
            StartTimeout = Duration.Format(service.StartLimit),
            Freeze = service.Scale.FreezeAfter is { } freeze ? Duration.Format(freeze) : Never,
            Handler = service.Lambda?.Handler is { Length: > 0 } handler ? handler : null,
            Event = service.Lambda is null ? null : LambdaOrder.NameOf(service.Lambda.Events),
            Warm = WarmOrder.Write(service.Scale.Warm),
        };

    /// <summary>The one TCP port that an image exposes; of several, 8080 or else the lowest. Null for none.</summary>
    private static int? ExposedPort(ContainerDefaults? image)
    {
        int[] ports =
        [
            .. (image?.ExposedPorts?.Keys ?? []).Select(TcpPort).Where(p => p > 0).Order(),
        ];
        return ports.Length == 0 ? null : ports.Contains(ServiceSpec.DefaultPort) ? ServiceSpec.DefaultPort : ports[0];
    }

    /// <summary>Of <c>8080</c>, <c>8080/tcp</c>; 0 for anything else.</summary>
    private static int TcpPort(string text)
    {
        int slash = text.IndexOf('/', StringComparison.Ordinal);
        return (slash < 0 || text.AsSpan(slash).Equals("/tcp", StringComparison.OrdinalIgnoreCase))
            && int.TryParse(
                text.AsSpan(0, slash < 0 ? text.Length : slash), NumberStyles.None, CultureInfo.InvariantCulture,
                out int port)
            && port <= ushort.MaxValue
            ? port
            : 0;
    }

    private static void RefuseForeign(FunctionRequest request, string contract)
    {
        if (contract == Stdio)
        {
            RefuseAny(
                OfInstances(request), "only functions with instances have it: deploy with contract = http or lambda");
        }
        else
        {
            RefuseAny(
                OfStdio(request), $"a function with the {contract} contract has none: deploy with contract = stdio");
        }

        if (contract != Http)
        {
            RefuseAny(OfHttp(request), "only functions with the http contract have it: deploy with contract = http");
            if (contract != Stdio || request.Isolation != FunctionOrder.Reused)
            {
                RefuseAny(
                    [Of("concurrency", request.Concurrency)],
                    "only functions with the http contract have it, or with isolation = reused");
            }
        }

        if (contract != Lambda)
        {
            RefuseAny(
                OfLambda(request), "only functions with the lambda contract have it: deploy with contract = lambda");
        }
    }

    private static IEnumerable<Asked> OfHttp(FunctionRequest request) =>
        [Of("port", request.Port), new("probe", request.Probe)];

    private static IEnumerable<Asked> OfLambda(FunctionRequest request) =>
        [new("handler", request.Handler), new("event", request.Event)];

    private static IEnumerable<Asked> OfInstances(FunctionRequest request) =>
    [
        Of("minInstances", request.MinInstances), Of("maxInstances", request.MaxInstances),
        Of("target", request.Target), new("idle", request.Idle), new("scaleDownDelay", request.ScaleDownDelay),
        new("startTimeout", request.StartTimeout), new("freeze", request.Freeze),
        new("warm", request.Warm is { Count: > 0 } ? "…" : null),
    ];

    private static IEnumerable<Asked> OfStdio(FunctionRequest request) =>
    [
        new("passArguments", request.PassArguments ? "true" : null), Of("maxRunning", request.MaxRunning),
        new("outputLimit", request.OutputLimit), new("contentType", request.ContentType),
        new("retryFailures", request.RetryFailures ? "true" : null),
        new("cache", request.Cache), new("singleFlight", request.SingleFlight ? "true" : null),
        new("runtime", request.Runtime), new("network", request.Network == "host" ? "host" : null),
    ];

    private static void RefuseAny(IEnumerable<Asked> members, string why)
    {
        foreach (Asked member in members)
        {
            if (member.Text is not null)
            {
                throw member.Refuse(why);
            }
        }
    }

    private static Asked Of(string member, int? number) => new(member, number?.ToString(CultureInfo.InvariantCulture));

    private static int? Number(string member, int? number, int least, int most) =>
        ProgramRules.Number(Of(member, number), least, most, null);

    private static TimeSpan? Time(string member, string? text, TimeSpan most) =>
        ProgramRules.Time(new Asked(member, text), LeastTime, most, null);

    private static string? Probe(string? path)
    {
        const int MaxLength = 1000;
        return path is null || (path.StartsWith('/') && path.Length <= MaxLength
            && path.All(c => c is > ' ' and < '\u007f' and not '#'))
            ? path
            : throw new Asked("probe", path).Refuse("expected a path such as /healthz, with characters of URLs alone");
    }
}
