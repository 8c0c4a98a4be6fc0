using Berth.Api.Containers;
using Berth.Core.Containers;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Core.Resources;
using Berth.Oci.Images;
using Berth.Server.Calls;
using Berth.Server.Configuration;

namespace Berth.Server.ContainerEndpoints;

/// <summary>
/// Turns a request into what a container is to be: every member checked against the operator's limits, and refused by
/// naming it, its value and the remedy. What the image says about stopping and health is filled in.
/// </summary>
internal sealed class ContainerOrder(ServerOptions server)
{
    private const int MaxMounts = 64;
    private const int MaxText = 4095;

    private static readonly ByteSize LeastMemory = ByteSize.MiB(4);
    private static readonly ByteSize LeastDisk = ByteSize.MiB(16);
    private static readonly ByteSize LeastTemporary = ByteSize.FromBytes(4096);
    private static readonly ByteSize UsualTemporary = ByteSize.MiB(64);
    private static readonly TimeSpan MostTime = TimeSpan.FromDays(1);
    private static readonly TimeSpan LeastHealthTime = TimeSpan.FromMilliseconds(1);

    public ContainerSpec Read(ContainerRequest request, ImageReference image, Digest digest, ImageConfig? config)
    {
        if (request is { Command.Count: > 0, Arguments.Count: > 0 })
        {
            throw Refuse(
                "arguments", request.Arguments[0],
                "command is given too, and it replaces the whole command line: put the arguments there");
        }

        ContainerDefaults defaults = config?.Config ?? new ContainerDefaults();
        RestartPolicy restart = RestartPolicy.Parse(request.Restart ?? "no");
        if (request.AutoRemove && restart.Mode != RestartMode.No)
        {
            throw Refuse("restart", request.Restart!, "a container that is removed at its end can't be started again");
        }

        return new ContainerSpec(
            image.ToString(), digest, Limits(request), Network(request),
            Words("command", request.Command), Words("arguments", request.Arguments), Environment(request),
            User(request), WorkingDirectory(request), request.Terminal, request.OpenInput, request.ReadOnly,
            new MountOrder(server).Read(Few("mounts", request.Mounts, MaxMounts)), HostName(request), restart,
            request.AutoRemove, StopSignal(request, defaults),
            Time("grace", request.Grace, TimeSpan.Zero) ?? server.Grace, Health(request, defaults), Labels(request));
    }

    public static BerthException Refuse(string member, string value, string why) => new(
        ErrorCode.InvalidRequest,
        $"{member} = '{(value.Length > 100 ? value[..100] + "…" : value)}' can't be used: {why}.");

    private SandboxLimits Limits(ContainerRequest request)
    {
        SandboxLimits most = server.MaxLimits;
        SandboxLimits usual = server.DefaultLimits;
        CpuQuota cpu = usual.Cpu;
        if (request.Cpus is { } cpus && !(CpuQuota.TryParse(cpus, out cpu) && cpu.Millicores <= most.Cpu.Millicores))
        {
            throw Refuse(
                "cpus", cpus,
                $"expected 10m to {most.Cpu} (the operator's max-cpus), written such as 0.5, 2 or 500m");
        }

        if (request.Pids is { } pids && (pids < 4 || pids > most.Pids))
        {
            throw Refuse(
                "pids", pids.ToString(System.Globalization.CultureInfo.InvariantCulture),
                $"expected a whole number from 4 to {most.Pids} (the operator's max-pids)");
        }

        return new SandboxLimits(
            Size("memory", request.Memory, LeastMemory, most.Memory, "max-memory") ?? usual.Memory, cpu,
            request.Pids ?? usual.Pids,
            Size("disk", request.Disk, LeastDisk, most.WritableLayer, "max-disk") ?? usual.WritableLayer);
    }

    private NetworkMode Network(ContainerRequest request) => request.Network switch
    {
        null or "none" => NetworkMode.None,
        "host" when server.AllowHostNetwork => NetworkMode.Host,
        "host" => throw new BerthException(
            ErrorCode.Forbidden,
            "network = 'host' is not allowed on this server: the operator's allow-host-network decides."),
        { } other => throw Refuse("network", other, "expected none or host"),
    };

    private static Dictionary<string, string> Environment(ContainerRequest request)
    {
        Dictionary<string, string> environment = new(StringComparer.Ordinal);
        foreach ((string name, string value) in request.Environment ?? new Dictionary<string, string>())
        {
            if (!RunRequest.IsVariableName(name) || value is null || value.Contains('\0', StringComparison.Ordinal))
            {
                throw Refuse(
                    "environment", name,
                    "a name has letters, digits, '_', '.' and '-' and does not start with a digit");
            }

            if (name.StartsWith("BERTH_", StringComparison.Ordinal))
            {
                throw Refuse("environment", name, "names that start with BERTH_ are Berth's own");
            }

            environment[name] = value;
        }

        return environment.Count <= RunRequest.MaxVariables
            ? environment
            : throw Refuse("environment", "…", $"at most {RunRequest.MaxVariables} variables can be given");
    }

    private static Dictionary<string, string> Labels(ContainerRequest request)
    {
        Dictionary<string, string> labels = new(request.Labels ?? new Dictionary<string, string>());
        foreach ((string name, string value) in labels)
        {
            if (value is null || !RunRequest.IsLabel(name, value))
            {
                throw Refuse(
                    "labels", name,
                    "a name has 1 to 63 letters, digits, '_', '.', '/' and '-', "
                    + $"a value at most {RunRequest.MaxLabelLength} characters");
            }
        }

        return labels.Count < RunRequest.MaxLabels
            ? labels
            : throw Refuse("labels", "…", $"at most {RunRequest.MaxLabels - 1} labels can be given");
    }

    private static string[]? Words(string member, IReadOnlyList<string>? words)
    {
        if (words is null or [])
        {
            return null;
        }

        Few(member, words, RunRequest.MaxArguments);
        return words.FirstOrDefault(w => w is null || w.Contains('\0', StringComparison.Ordinal)) is null
            && words.All(w => w is not null)
            ? [.. words]
            : throw Refuse(member, "…", "each must be a text without NUL characters");
    }

    private static IReadOnlyList<T> Few<T>(string member, IReadOnlyList<T>? list, int most) =>
        (list?.Count ?? 0) <= most ? list ?? [] : throw Refuse(member, "…", $"at most {most} can be given");

    private static string? User(ContainerRequest request) => request.User is not { } user || RunRequest.IsUser(user)
        ? request.User
        : throw Refuse(
            "user", user,
            "expected uid, uid:gid, or names of the image's own users and groups; ids are at most 2147483647");

    private static string? WorkingDirectory(ContainerRequest request) =>
        request.WorkingDirectory is not { } path || RunRequest.IsWorkingDirectory(path)
            ? request.WorkingDirectory
            : throw Refuse(
                "workingDirectory", path, "expected an absolute path without '..' that is not in /proc");

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

        if (health.Retries is < 1 or > 1000)
        {
            throw Refuse("health.retries", health.Retries.Value.ToString(
                System.Globalization.CultureInfo.InvariantCulture), "expected 1 to 1000");
        }

        return new HealthCheck(
            Words("health.command", health.Command)!,
            Time("health.interval", health.Interval, LeastHealthTime) ?? own?.Interval ?? HealthCheck.DefaultTime,
            Time("health.timeout", health.Timeout, LeastHealthTime) ?? own?.Timeout ?? HealthCheck.DefaultTime,
            Time("health.startPeriod", health.StartPeriod, TimeSpan.Zero) ?? own?.StartPeriod ?? TimeSpan.Zero,
            health.Retries ?? own?.Retries ?? HealthCheck.DefaultRetries);
    }

    private static ByteSize? Size(string member, string? text, ByteSize least, ByteSize most, string setting) =>
        text is null ? null
            : ByteSize.TryParse(text, out ByteSize size) && size >= least && size <= most ? size
            : throw Refuse(
                member, text, $"expected {least} to {most} (the operator's {setting}), written such as 256Mi or 1.5Gi");

    private static TimeSpan? Time(string member, string? text, TimeSpan least) =>
        text is null ? null
            : Duration.TryParse(text, out TimeSpan time) && time >= least && time <= MostTime ? time
            : throw Refuse(
                member, text,
                $"expected {Duration.Format(least)} to {Duration.Format(MostTime)}, written such as 500ms, 60s or 5m");

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
                        MountKind.Temporary, "", target, ReadOnly: false, Anonymous: false,
                        Size("mounts.size", mount.Size, LeastTemporary, server.MaxLimits.Memory, "max-memory")
                            ?? UsualTemporary),
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
                ? Containers.VolumeKeeper.AnonymousPrefix + ContainerId.New()
                : ContainerName.Check(mount.Source!, "volume");
            return new ContainerMount(MountKind.Volume, name, target, mount.ReadOnly, anonymous, ByteSize.Zero);
        }

        private ContainerMount Host(MountView mount, string target)
        {
            string source = mount.Source ?? "";
            string[] parts = source.Split('/', StringSplitOptions.RemoveEmptyEntries);
            if (!source.StartsWith('/') || source.Length > MaxText || parts.Contains("..") || parts.Contains("."))
            {
                throw Refuse("mounts.source", source, "expected an absolute path without '.' and '..'");
            }

            string path = "/" + string.Join('/', parts);
            if (!server.MountAllow.Any(allowed => IsWithin(path, allowed)))
            {
                throw new BerthException(
                    ErrorCode.Forbidden,
                    $"The folder {path} of the server's machine may not be mounted: the operator's mount-allow "
                    + "decides. A named volume needs no permission: '-v NAME:/path'.");
            }

            string data = Path.GetFullPath(server.DataFolder);
            return IsWithin(path, data) || IsWithin(data, path)
                ? throw new BerthException(
                    ErrorCode.Forbidden, $"The folder {path} holds Berth's own data and can't be mounted.")
                : new ContainerMount(
                    MountKind.Host, path, target, mount.ReadOnly, Anonymous: false, ByteSize.Zero);
        }

        private static bool IsWithin(string path, string folder)
        {
            string parent = folder.TrimEnd('/');
            return path == parent || parent.Length == 0 || path.StartsWith(parent + "/", StringComparison.Ordinal);
        }
    }
}
