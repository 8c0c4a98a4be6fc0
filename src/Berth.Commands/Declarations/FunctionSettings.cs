using System.Globalization;
using Berth.Api.Functions;
using Berth.Api.Rollouts;
using Berth.Core.Secrets;

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
        ["cache"] = (q, n, v, r) => q with { Cache = r.Text(n, "cache", v) },
        ["singleFlight"] = (q, n, v, r) => q with { SingleFlight = r.Flag(n, "singleFlight", v) },
        ["labels"] = (q, n, v, r) => q with { Labels = r.Pairs(n, "labels", v) },
        ["secrets"] = (q, n, v, r) => q with { Secrets = Secrets(n, v, r) },
        ["volumes"] = (q, n, v, r) => q with { Volumes = r.Words(n, "volumes", v) },
        ["tmpfs"] = (q, n, v, r) => q with { Tmpfs = r.Words(n, "tmpfs", v) },
        ["hosts"] = (q, n, v, r) => q with { Hosts = r.Words(n, "hosts", v) },
        ["public"] = (q, n, v, r) => q with { Public = r.Flag(n, "public", v) },
        ["traffic"] = Group(new(StringComparer.Ordinal)
        {
            ["percent"] = (q, n, v, r) => q with { Traffic = r.Whole(n, "traffic", v) },
            ["tag"] = (q, n, v, r) => q with { Tag = r.Text(n, "tag", v) },
            ["matches"] = (q, n, v, r) => q with { Matches = r.Words(n, "matches", v) },
            ["sticky"] = (q, n, v, r) => q with { Sticky = r.Flag(n, "sticky", v) },
        }),
        ["resources"] = Group(new(StringComparer.Ordinal)
        {
            ["memory"] = (q, n, v, r) => q with { Memory = r.Text(n, "memory", v) },
            ["cpus"] = (q, n, v, r) => q with { Cpus = r.Text(n, "cpus", v) },
            ["pids"] = (q, n, v, r) => q with { Pids = r.Whole(n, "pids", v) },
            ["disk"] = (q, n, v, r) => q with { Disk = r.Text(n, "disk", v) },
        }),
        ["placement"] = Group(new(StringComparer.Ordinal)
        {
            ["constraints"] = (q, n, v, r) => q with { Constraints = r.Words(n, "constraints", v) },
            ["tolerations"] = (q, n, v, r) => q with { Tolerations = r.Words(n, "tolerations", v) },
            ["spread"] = (q, n, v, r) => q with { Spread = r.Text(n, "spread", v) },
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
            ["warm"] = (q, n, v, r) => q with { Warm = Warm(n, v, r) },
            ["freeze"] = (q, n, v, r) => q with { Freeze = r.Text(n, "freeze", v) },
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
        ["steps", "interval", "minCalls", "successRate", "latencyP95", "maxWait", "sticky"];

    private static readonly string[] SpanNames = ["start", "end", "zone", "min"];

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
                "maxWait" => plan with { MaxWait = read.Text(full, full, value) },
                _ => plan with { Sticky = read.Flag(full, full, value) },
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

    /// <summary>What is no name is not told: a value may have been written in its place.</summary>
    private static List<string>? Secrets(string name, YamlNode node, SettingReader read)
    {
        List<string>? uses = read.Words(name, "secrets", node);
        foreach (YamlNode item in (node as YamlList)?.Items ?? [])
        {
            if (item is YamlText text && !SecretUse.TryParse(text.Value, out _))
            {
                read.Complain(
                    item.At,
                    $"'{name}' must name secrets, as NAME, NAME:{SecretUse.Folder}/FILE or NAME:env=VARIABLE; a value "
                    + "is given to 'berth secret create', never to a file.");
            }
        }

        return uses;
    }

    private static List<WarmSpan>? Warm(string name, YamlNode node, SettingReader read)
    {
        read.Places["warm"] = node.At;
        if (node is not YamlList list)
        {
            read.Complain(node.At, $"'{name}' must be a list of groups with {string.Join(", ", SpanNames)}.");
            return null;
        }

        List<WarmSpan> spans = [];
        foreach (YamlNode item in list.Items)
        {
            WarmSpan span = new();
            string api = $"warm[{spans.Count.ToString(CultureInfo.InvariantCulture)}]";
            if (read.Group(name, item) is { } map)
            {
                read.Each($"'{name}'", map, SpanNames, (member, value) => span = member switch
                {
                    "start" => span with { Start = read.Text($"{name}.{member}", $"{api}.{member}", value) },
                    "end" => span with { End = read.Text($"{name}.{member}", $"{api}.{member}", value) },
                    "zone" => span with { Zone = read.Text($"{name}.{member}", $"{api}.{member}", value) },
                    _ => span with { Min = read.Whole($"{name}.{member}", $"{api}.{member}", value) },
                });
            }

            spans.Add(span);
        }

        return spans;
    }

    private static string? Joined(List<string>? words) => words is null ? null : string.Join(',', words);
}
