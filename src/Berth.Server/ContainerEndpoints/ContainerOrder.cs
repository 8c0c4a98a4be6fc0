using System.Globalization;
using Berth.Api.Containers;
using Berth.Core.Containers;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Core.Placement;
using Berth.Core.Resources;
using Berth.Core.Runs;
using Berth.Oci.Images;
using Berth.Server.Calls;
using Berth.Server.Configuration;
using Berth.Server.NetworkEndpoints;

namespace Berth.Server.ContainerEndpoints;

/// <summary>
/// Turns a request into what a container is to be: every member checked against the operator's limits, and refused by
/// naming it, its value and the remedy. What the image says about stopping and health is filled in.
/// </summary>
internal sealed class ContainerOrder(ServerOptions server)
{
    private const int MaxMounts = 64;
    private const int MaxRetries = 1000;
    private const int MaxText = 4095;

    private static readonly ByteSize LeastDisk = ByteSize.MiB(16);
    private static readonly ByteSize LeastTemporary = ByteSize.FromBytes(4096);
    private static readonly ByteSize UsualTemporary = ByteSize.MiB(64);
    private static readonly TimeSpan MostTime = TimeSpan.FromDays(1);
    private static readonly TimeSpan LeastHealthTime = TimeSpan.FromMilliseconds(1);

    public ContainerSpec Read(ContainerRequest request, ImageReference image, Digest digest, ImageConfig? config)
    {
        ProgramRules.RequireOneOf(
            "command", request.Command, new Asked("arguments", null), request.Arguments);
        ContainerDefaults defaults = config?.Config ?? new ContainerDefaults();
        RestartPolicy restart = RestartPolicy.Parse(request.Restart ?? "no");
        if (request.AutoRemove && restart.Mode != RestartMode.No)
        {
            throw Refuse("restart", request.Restart!, "a container that is removed at its end can't be started again");
        }

        return new ContainerSpec(
            image.ToString(), digest, Limits(request),
            ProgramRules.Network(new Asked("network", request.Network), server),
            Words("command", request.Command), Words("arguments", request.Arguments),
            ProgramRules.Environment(new Asked("environment", null), Named.Of(request.Environment)),
            ProgramRules.User(new Asked("user", request.User)),
            ProgramRules.WorkingDirectory(new Asked("workingDirectory", request.WorkingDirectory)),
            request.Terminal, request.OpenInput, request.ReadOnly,
            new MountOrder(server).Read(Few("mounts", request.Mounts, MaxMounts)), HostName(request), restart,
            request.AutoRemove, StopSignal(request, defaults),
            Time("grace", request.Grace, TimeSpan.Zero) ?? server.Grace, Health(request, defaults),
            // The run of each start has one more: whose it is.
            ProgramRules.Labels(
                new Asked("labels", null), Named.Of(request.Labels), ProgramRules.MaxLabels - 1),
            ProgramRules.Runtime(new Asked("runtime", request.Runtime), server),
            NetworkOrder.Read(request, ProgramRules.Bridge(new Asked("network", request.Network))),
            PlacementRules.Parse(request.Constraints, request.Tolerations, request.Spread));
    }

    private static BerthException Refuse(string member, string value, string why) =>
        new Asked(member, value).Refuse(why);

    private SandboxLimits Limits(ContainerRequest request) => ProgramRules.Limits(
        new Asked("memory", request.Memory), new Asked("cpus", request.Cpus),
        new Asked("pids", request.Pids?.ToString(CultureInfo.InvariantCulture)), new Asked("disk", request.Disk),
        LeastDisk, server);

    private static IReadOnlyList<string>? Words(string member, IReadOnlyList<string>? words) =>
        words is null or [] ? null : ProgramRules.Words(new Asked(member, null), words);

    private static IReadOnlyList<T> Few<T>(string member, IReadOnlyList<T>? list, int most) =>
        (list?.Count ?? 0) <= most ? list ?? [] : throw Refuse(member, "…", $"at most {most} can be given");

    private static string? HostName(ContainerRequest request)
    {
        // RFC 1123, section 2.1; the kernel takes 64 characters.
        bool valid = request.HostName is not { } name || (name.Length is > 0 and <= 63
            && name[0] != '-' && name[^1] != '-' && name.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '.'));
        return valid
            ? request.HostName
            : throw Refuse("hostName", request.HostName!, "expected 1 to 63 letters, digits, '-' and '.'");
    }

    private static int? StopSignal(ContainerRequest request, ContainerDefaults defaults)
    {
        const int SigTerm = 15;
        int? signal = request.StopSignal is { } asked ? SignalName.Parse(asked)
            : defaults.StopSignal is { Length: > 0 } own ? SignalName.Parse(own)
            : null;
        return signal == SigTerm ? null : signal;
    }

    private static HealthCheck? Health(ContainerRequest request, ContainerDefaults defaults)
    {
        HealthCheck? own = defaults.Healthcheck?.Read();
        if (request.Health is not { } health)
        {
            return own;
        }

        if (health.Command is null or [])
        {
            return HealthCheck.None;
        }

        Asked retries = new("health.retries", health.Retries?.ToString(CultureInfo.InvariantCulture));
        return new HealthCheck(
            Words("health.command", health.Command)!,
            Time("health.interval", health.Interval, LeastHealthTime) ?? own?.Interval ?? HealthCheck.DefaultTime,
            Time("health.timeout", health.Timeout, LeastHealthTime) ?? own?.Timeout ?? HealthCheck.DefaultTime,
            Time("health.startPeriod", health.StartPeriod, TimeSpan.Zero) ?? own?.StartPeriod ?? TimeSpan.Zero,
            ProgramRules.Number(retries, 1, MaxRetries, null) ?? own?.Retries
                ?? HealthCheck.DefaultRetries);
    }

    private static TimeSpan? Time(string member, string? text, TimeSpan least) =>
        ProgramRules.Time(new Asked(member, text), least, MostTime, null);

    /// <summary>What goes into a container's file tree.</summary>
    private sealed class MountOrder(ServerOptions server)
    {
        public IReadOnlyList<ContainerMount> Read(IReadOnlyList<MountView> mounts)
        {
            HashSet<string> targets = new(StringComparer.Ordinal);
            List<ContainerMount> read = [];
            foreach (MountView mount in mounts)
            {
                string target = Target(mount);
                if (!targets.Add(target))
                {
                    throw Refuse("mounts", target, "two mounts can't be at the same place");
                }

                read.Add(mount.Type switch
                {
                    "volume" => Volume(mount, target),
                    "host" => Host(mount, target),
                    "memory" => new ContainerMount(
                        MountKind.Temporary, "", target, mount.ReadOnly, Anonymous: false,
                        ProgramRules.Size(
                            new Asked("mounts.size", mount.Size), LeastTemporary, server.MaxLimits.Memory,
                            "max-memory") ?? UsualTemporary),
                    _ => throw Refuse("mounts.type", mount.Type ?? "", "expected volume, host or memory"),
                });
            }

            // A mount below another one comes after it, or it would be hidden.
            return [.. read.OrderBy(m => m.Target.Count(c => c == '/'))];
        }

        private static string Target(MountView mount)
        {
            string target = mount.Target ?? "";
            string[] parts = target.Split('/', StringSplitOptions.RemoveEmptyEntries);
            bool valid = target.StartsWith('/') && target.Length <= MaxText && parts.Length > 0
                && !parts.Contains("..") && !parts.Contains(".") && parts[0] is not ("proc" or "sys" or "dev")
                && !target.Contains('\0', StringComparison.Ordinal);
            return valid
                ? "/" + string.Join('/', parts)
                : throw Refuse(
                    "mounts.target", target, "expected an absolute path that is not in /proc, /sys or /dev");
        }

        private static ContainerMount Volume(MountView mount, string target)
        {
            bool anonymous = string.IsNullOrEmpty(mount.Source);
            string name = anonymous
                ? ContainerName.AnonymousVolume + ContainerId.New()
                : ContainerName.Check(mount.Source!, "volume");
            return new ContainerMount(MountKind.Volume, name, target, mount.ReadOnly, anonymous, ByteSize.Zero);
        }

        private ContainerMount Host(MountView mount, string target)
        {
            string source = mount.Source ?? "";
            string path = RunMount.Clean(source)
                ?? throw Refuse("mounts.source", source, "expected an absolute path without '.' and '..'");
            new HostFolders(server.MountAllow, Path.GetFullPath(server.DataFolder))
                .Require(path, "the server's machine", "the operator's mount-allow");
            return new ContainerMount(
                MountKind.Host, path, target, mount.ReadOnly, Anonymous: false, ByteSize.Zero);
        }
    }
}
