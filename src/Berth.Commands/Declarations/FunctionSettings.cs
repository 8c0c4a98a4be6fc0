using Berth.Api.Functions;
using Berth.Api.Rollouts;

namespace Berth.Commands.Declarations;

/// <summary>The settings of a function in a file, and what each is in the HTTP interface.</summary>
internal static class FunctionSettings
{
    private delegate FunctionRequest Setter(FunctionRequest request, string name, YamlNode node, SettingReader read);

    private static readonly Dictionary<string, Setter> Top = new(StringComparer.Ordinal)
    {
        ["image"] = (q, n, v, r) => q with { Image = r.Text(n, "image", v) },
        ["command"] = (q, n, v, r) => q with { Command = r.Words(n, "command", v) },
        ["arguments"] = (q, n, v, r) => q with { Arguments = r.Words(n, "arguments", v) },
        ["passArguments"] = (q, n, v, r) => q with { PassArguments = r.Flag(n, "passArguments", v) },
        ["environment"] = (q, n, v, r) => q with { Environment = r.Pairs(n, "environment", v) },
        ["user"] = (q, n, v, r) => q with { User = r.Text(n, "user", v) },
        ["workingDirectory"] = (q, n, v, r) => q with { WorkingDirectory = r.Text(n, "workingDirectory", v) },
        ["network"] = (q, n, v, r) => q with { Network = r.Text(n, "network", v) },
        ["runtime"] = (q, n, v, r) => q with { Runtime = r.Text(n, "runtime", v) },
        ["isolation"] = (q, n, v, r) => q with { Isolation = r.Text(n, "isolation", v) },
        ["contract"] = (q, n, v, r) => q with { Contract = r.Text(n, "contract", v) },
        ["port"] = (q, n, v, r) => q with { Port = r.Whole(n, "port", v) },
        ["probe"] = (q, n, v, r) => q with { Probe = r.Text(n, "probe", v) },
        ["concurrency"] = (q, n, v, r) => q with { Concurrency = r.Whole(n, "concurrency", v) },
        ["startTimeout"] = (q, n, v, r) => q with { StartTimeout = r.Text(n, "startTimeout", v) },
        ["timeout"] = (q, n, v, r) => q with { Timeout = r.Text(n, "timeout", v) },
        ["outputLimit"] = (q, n, v, r) => q with { OutputLimit = r.Text(n, "outputLimit", v) },
        ["contentType"] = (q, n, v, r) => q with { ContentType = r.Text(n, "contentType", v) },
        ["labels"] = (q, n, v, r) => q with { Labels = r.Pairs(n, "labels", v) },
        ["resources"] = Group(new(StringComparer.Ordinal)
        {
            ["memory"] = (q, n, v, r) => q with { Memory = r.Text(n, "memory", v) },
            ["cpus"] = (q, n, v, r) => q with { Cpus = r.Text(n, "cpus", v) },
            ["pids"] = (q, n, v, r) => q with { Pids = r.Whole(n, "pids", v) },
            ["disk"] = (q, n, v, r) => q with { Disk = r.Text(n, "disk", v) },
        }),
        ["limits"] = Group(new(StringComparer.Ordinal)
        {
            ["running"] = (q, n, v, r) => q with { MaxRunning = r.Whole(n, "maxRunning", v) },
            ["waiting"] = (q, n, v, r) => q with { MaxWaiting = r.Whole(n, "maxWaiting", v) },
        }),
        ["scale"] = Group(new(StringComparer.Ordinal)
        {
            ["min"] = (q, n, v, r) => q with { MinInstances = r.Whole(n, "minInstances", v) },
            ["max"] = (q, n, v, r) => q with { MaxInstances = r.Whole(n, "maxInstances", v) },
            ["target"] = (q, n, v, r) => q with { Target = r.Whole(n, "target", v) },
            ["idle"] = (q, n, v, r) => q with { Idle = r.Text(n, "idle", v) },
            ["downDelay"] = (q, n, v, r) => q with { ScaleDownDelay = r.Text(n, "scaleDownDelay", v) },
        }),
        ["retry"] = Group(new(StringComparer.Ordinal)
        {
            ["attempts"] = (q, n, v, r) => q with { Attempts = r.Whole(n, "attempts", v) },
            ["failures"] = (q, n, v, r) => q with { RetryFailures = r.Flag(n, "retryFailures", v) },
            ["on"] = (q, n, v, r) => q with
            {
                RetryOn = v is YamlList ? Joined(r.Words(n, "retryOn", v)) : r.Text(n, "retryOn", v),
            },
            ["delay"] = (q, n, v, r) => q with { RetryDelay = r.Text(n, "retryDelay", v) },
            ["maxDelay"] = (q, n, v, r) => q with { RetryMaxDelay = r.Text(n, "retryMaxDelay", v) },
            ["maxAge"] = (q, n, v, r) => q with { MaxAge = r.Text(n, "maxAge", v) },
        }),
        ["destinations"] = Group(new(StringComparer.Ordinal)
        {
            ["success"] = (q, n, v, r) => q with { OnSuccess = r.Text(n, "onSuccess", v) },
            ["failure"] = (q, n, v, r) => q with { OnFailure = r.Text(n, "onFailure", v) },
        }),
        ["lambda"] = Group(new(StringComparer.Ordinal)
        {
            ["handler"] = (q, n, v, r) => q with { Handler = r.Text(n, "handler", v) },
            ["event"] = (q, n, v, r) => q with { Event = r.Text(n, "event", v) },
        }),
        ["rollout"] = (q, n, v, r) => q with { Rollout = Rollout(n, v, r) },
    };

    private static readonly string[] RolloutNames =
        ["steps", "interval", "minCalls", "successRate", "latencyP95", "maxWait"];

    /// <summary>Names at the top of a function.</summary>
    public static IReadOnlyCollection<string> Names => Top.Keys;

    public static FunctionRequest Set(FunctionRequest request, string name, YamlNode value, SettingReader read) =>
        Top[name](request, name, value, read);

    private static Setter Group(Dictionary<string, Setter> members) => (request, name, node, read) =>
    {
        if (read.Group(name, node) is { } map)
        {
            read.Each(
                $"'{name}'", map, members.Keys,
                (member, value) => request = members[member](request, $"{name}.{member}", value, read));
        }

        return request;
    };

    private static RolloutRequest? Rollout(string name, YamlNode node, SettingReader read)
    {
        read.Places["rollout"] = node.At;
        if (read.Group(name, node) is not { } map)
        {
            return null;
        }

        RolloutRequest plan = new();
        read.Each($"'{name}'", map, RolloutNames, (member, value) =>
        {
            string full = $"{name}.{member}";
            plan = member switch
            {
                "steps" => plan with { Steps = Steps(full, value, read) },
                "interval" => plan with { Interval = read.Text(full, full, value) },
                "minCalls" => plan with { MinCalls = read.Whole(full, full, value) },
                "successRate" => plan with { SuccessRate = read.Number(full, full, value) },
                "latencyP95" => plan with { LatencyP95 = read.Text(full, full, value) },
                _ => plan with { MaxWait = read.Text(full, full, value) },
            };
        });
        if (plan.Steps is null)
        {
            read.Complain(
                node.At, "'rollout' has no steps: add for instance 'steps: [5, 25, 50]'; [100] is blue/green.");
        }

        return plan;
    }

    private static int[]? Steps(string name, YamlNode node, SettingReader read)
    {
        read.Places[name] = node.At;
        if (node is YamlList list)
        {
            return [.. list.Items.Select(i => read.Whole(name, name, i) ?? 0)];
        }

        read.Complain(node.At, $"'{name}' must be a list of whole percents, for instance [5, 25, 50].");
        return null;
    }

    private static string? Joined(List<string>? words) => words is null ? null : string.Join(',', words);
}
