using System.Globalization;
using Berth.Api.Functions;
using Berth.Core.Callbacks;
using Berth.Core.Errors;
using Berth.Core.Functions;
using Berth.Core.Images;
using Berth.Core.Placement;
using Berth.Core.Resources;
using Berth.Core.Runs;
using Berth.Oci.Images;
using Berth.Server.Calls;
using Berth.Server.Configuration;
using Berth.Server.Networks;
using Berth.Server.Secrets;

namespace Berth.Server.FunctionEndpoints;

/// <summary>Turns a request into what a revision is to be, and back: every member checked against the operator's
/// limits, and refused by naming it, its value and the remedy.</summary>
internal sealed class FunctionOrder(ServerOptions server, SecretVault secrets)
{
    private const string SingleUse = "single-use";
    private const string Strict = "strict";

    /// <summary>Each call is a process in a sandbox that serves many.</summary>
    public const string Reused = "reused";

    private const int MostReuse = 100;
    private const int MaxPlaces = 100_000;
    private static readonly TimeSpan LeastKept = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan LongestKept = TimeSpan.FromDays(30);

    /// <summary>The first of the constraints that the server's own machine does not meet; null where it meets
    /// all.</summary>
    public required Func<PlacementRules, NodeConstraint?> FirstUnmetHere { get; init; }

    private readonly CallbackPolicy callbacks = new(server.CallbackAllow);

    /// <summary>The run of each call has two more labels: whose it is.</summary>
    private const int OwnLabels = 2;

    /// <param name="name">The function's.</param>
    /// <param name="defaults">How the image wants its program run: what it exposes and the like say what contract it
    /// has, where the request does not.</param>
    public FunctionSpec Read(
        string name, FunctionRequest request, ImageReference image, Digest digest, ContainerDefaults? defaults)
    {
        ServiceSpec? service = ServiceOrder.Read(request, defaults);
        request = LambdaOrder.WithHandler(request, defaults);
        ProgramRules.RequireOneOf("command", request.Command, new Asked("arguments", null), request.Arguments);
        RunSpec run = new(
            image.ToString(), digest,
            ProgramRules.Limits(
                new Asked("memory", request.Memory), new Asked("cpus", request.Cpus), Number("pids", request.Pids),
                new Asked("disk", request.Disk), RunRequest.LeastDisk, server),
            ProgramRules.Network(new Asked("network", request.Network), server),
            Words("command", request.Command), Words("arguments", request.Arguments),
            ProgramRules.Environment(new Asked("environment", null), Named.Of(request.Environment)),
            ProgramRules.User(new Asked("user", request.User)),
            ProgramRules.WorkingDirectory(new Asked("workingDirectory", request.WorkingDirectory)),
            ProgramRules.Time(
                new Asked("timeout", request.Timeout), RunRequest.LeastTime, server.MaxCallTimeout, "max-call-timeout")
                ?? server.CallTimeout,
            server.Grace,
            RetryOrder.Read(request, service is not null),
            RetryOrder.MaxAge(request),
            ProgramRules.Size(
                new Asked("outputLimit", request.OutputLimit), RunRequest.LeastOutput, server.OutputLimit,
                "output-limit") ?? server.OutputLimit,
            RunRequest.ContentType(new Asked("contentType", request.ContentType)),
            Callback: null,
            ProgramRules.Labels(
                new Asked("labels", null), Named.Of(request.Labels), ProgramRules.MaxLabels - OwnLabels),
            ProgramRules.Runtime(new Asked("runtime", request.Runtime), server),
            Placement: PlacementRules.Parse(request.Constraints, request.Tolerations, request.Spread),
            Bridge: ProgramRules.Bridge(new Asked("network", request.Network)),
            Mounts: MountOrder.Read(
                new Asked("volumes", null), request.Volumes, new Asked("tmpfs", null), request.Tmpfs, server));
        CheckPlacement(run);
        run = run with { Secrets = SecretOrder.Read(request, run, secrets) };
        return new FunctionSpec(
            RetryOrder.WithDestinations(
                WithIsolation(name, run, request, service), request, callbacks),
            request.PassArguments,
            ProgramRules.Number(Number("maxRunning", request.MaxRunning), 0, MaxPlaces, null) ?? 0,
            ProgramRules.Number(Number("maxWaiting", request.MaxWaiting), 0, MaxPlaces, null)
                ?? FunctionSpec.DefaultMaxWaiting,
            service, Results(request));
    }

    /// <summary>A request that would lead to the same.</summary>
    public static FunctionRequest Write(FunctionSpec spec)
    {
        RunSpec run = spec.Run;
        FunctionRequest request = new(
            run.Image, run.Command, run.Arguments, spec.PassArguments,
            run.Environment.Count == 0 ? null : run.Environment, run.User,
            run.WorkingDirectory, run.Limits.Memory.ToExactString(), run.Limits.Cpu.ToString(), run.Limits.Pids,
            run.Limits.WritableLayer.ToExactString(), NetworkWord.Of(run.Network, run.Bridge),
            Duration.Format(run.Timeout), run.OutputLimit.ToExactString(), run.ResultContentType,
            Labels: run.Labels.Count == 0 ? null : run.Labels, MaxRunning: spec.MaxRunning,
            MaxWaiting: spec.MaxWaiting, Runtime: run.Runtime, Secrets: SecretOrder.Write(run));
        (IReadOnlyList<string>? volumes, IReadOnlyList<string>? temporary) = MountOrder.Write(run);
        return ServiceOrder.Write(spec.Service, RetryOrder.Write(
            run, request with
            {
                Isolation = run.Family is null ? Strict : run.Reuse is null ? SingleUse : Reused,
                Concurrency = run.Reuse,
                Cache = spec.Results?.KeepFor is { } keep ? Duration.Format(keep) : null,
                SingleFlight = spec.Results is { SingleFlight: true },
                Constraints = run.Placement is { Constraints.Count: > 0 } where
                    ? [.. where.Constraints.Select(c => c.Text)]
                    : null,
                Tolerations = run.Placement is { Tolerations.Count: > 0 } bearing
                    ? [.. bearing.Tolerations.Select(t => t.Text)]
                    : null,
                Spread = run.Placement?.Spread,
                Volumes = volumes,
                Tmpfs = temporary,
            }));
    }

    /// <summary>Programs with the machine's network or another runtime are on the server's own machine: it must be as
    /// asked.</summary>
    private void CheckPlacement(RunSpec run)
    {
        string? bound = run.Network == NetworkMode.Host ? "programs with the machine's network"
            : run.Runtime is not null ? "programs with a further runtime" : null;
        if (bound is not null && run.Placement is { } rules && FirstUnmetHere(rules) is { } unmet)
        {
            throw new Asked("constraints", unmet.Text).Refuse(
                $"{bound} run on the server's own machine, which is not so: 'berth node label' gives it a label");
        }
    }

    private static ResultPolicy? Results(FunctionRequest request)
    {
        TimeSpan? keep = ProgramRules.Time(new Asked("cache", request.Cache), LeastKept, LongestKept, null);
        return keep is null && !request.SingleFlight ? null : new ResultPolicy(keep, request.SingleFlight);
    }

    /// <summary>What calls have between each other; null where they share instances.</summary>
    public static string? IsolationOf(FunctionSpec spec) =>
        spec.Service is not null ? null : spec.Run.Family is null ? Strict
        : spec.Run.Reuse is null ? SingleUse : Reused;

    private static RunSpec WithIsolation(string name, RunSpec run, FunctionRequest request, ServiceSpec? service) =>
        IsWithinContainer(request, run, service)
            ? run with
            {
                Family = name,
                Reuse = request.Isolation != Reused ? null : ProgramRules.Number(
                    Number("concurrency", request.Concurrency), 1, MostReuse, null) ?? 1,
            }
            : run;

    private static bool IsWithinContainer(FunctionRequest request, RunSpec run, ServiceSpec? service)
    {
        string? hindrance = service is not null ? "with the http contract calls share instances"
            : run.Runtime is not null ? "only the server's own runtime makes such sandboxes"
            : run.Network != NetworkMode.None ? "such sandboxes have no network"
            : run.Mounts is not null ? "volumes and folders take a container for each call: strict does"
            : run.HasSecretFiles ? "secrets as files take a container for each call: have them as variables, or strict"
            : null;
        Asked asked = new("isolation", request.Isolation);
        return request.Isolation switch
        {
            null => hindrance is null,
            SingleUse or Reused => hindrance is null ? true : throw asked.Refuse(hindrance),
            Strict => service is null ? false : throw asked.Refuse("with the http contract calls share instances"),
            _ => throw asked.Refuse($"expected {SingleUse}, {Strict} or {Reused}"),
        };
    }

    private static Asked Number(string member, int? number) =>
        new(member, number?.ToString(CultureInfo.InvariantCulture));

    private static IReadOnlyList<string>? Words(string member, IReadOnlyList<string>? words) =>
        words is null or [] ? null : ProgramRules.Words(new Asked(member, null), words);
}
