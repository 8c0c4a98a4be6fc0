using Berth.Core.Resources;

namespace Berth.Cli.Machines;

internal enum FindingState
{
    Ok,
    Warning,
    Missing,
}

/// <summary>One thing that was looked at.</summary>
/// <param name="Remedy">What to do, a command where one does it; null when nothing is to be done.</param>
internal sealed record Finding(string Name, FindingState State, string Detail, string? Remedy = null);

/// <summary>Judges whether a machine can run Berth, from the facts alone.</summary>
internal static class Checkup
{
    /// <summary>Id-mapped layers on overlayfs, so that unpacked layers can be shared between user namespaces.</summary>
    private static readonly Version KernelForIdMappedOverlay = new(5, 19);

    private static readonly ByteSize ComfortableDisk = ByteSize.GiB(5);

    private static readonly ByteSize LeastDisk = ByteSize.MiB(500);

    public static IReadOnlyList<Finding> Judge(MachineFacts facts) =>
    [
        System(facts), Root(facts), Runc(facts), .. Libraries(facts), Cgroups(facts), UserNamespaces(facts),
        Overlay(facts), Seccomp(facts), Disk(facts), .. Store(facts), Port(facts),
    ];

    private static Finding System(MachineFacts facts) => facts switch
    {
        { IsLinux: false } =>
            new("kernel", FindingState.Missing, "not Linux", "run the server on Linux; the other commands work here"),
        { Kernel: { } kernel } when kernel < KernelForIdMappedOverlay => new(
            "kernel", FindingState.Missing, $"Linux {kernel} has no id-mapped overlay mounts",
            $"use Linux {KernelForIdMappedOverlay} or newer"),
        _ => new("kernel", FindingState.Ok, $"Linux {facts.Kernel}, id-mapped overlay mounts"),
    };

    private static Finding Root(MachineFacts facts) => facts.IsRoot
        ? new("user", FindingState.Ok, "root")
        : new("user", FindingState.Warning, "not root", "run 'berth serve' as root; the other commands need no rights");

    private static Finding Runc(MachineFacts facts)
    {
        const string name = "runc";
        if (facts.RuncVersion is null)
        {
            return new(name, FindingState.Missing, "not found in PATH", "apt-get install runc");
        }

        IReadOnlyList<string> open = SecurityReview.OpenAdvisories(facts.RuncVersion);
        return open.Count == 0
            ? new(name, FindingState.Ok, facts.RuncVersion)
            : new(
                name, FindingState.Warning,
                $"{facts.RuncVersion} may lack the fixes for {string.Join(", ", open)}; Berth runs everything in user "
                + "namespaces, which closes the known ways in",
                "apt-get update && apt-get install --only-upgrade runc, or " + SecurityReview.InstallFixed);
    }

    private static IEnumerable<Finding> Libraries(MachineFacts facts) => MachineFacts.RequiredLibraries.Select(
        library => facts.MissingLibraries.Contains(library.Key)
            ? new Finding(library.Key, FindingState.Missing, "not found", "apt-get install " + library.Value)
            : new Finding(library.Key, FindingState.Ok, "found"));

    private static Finding Cgroups(MachineFacts facts)
    {
        string[] absent = [.. new[] { "memory", "cpu", "pids" }.Except(facts.CgroupControllers)];
        string kind = $"version {facts.CgroupVersion}";
        return absent.Length == 0
            ? new("cgroups", FindingState.Ok, kind)
            : new(
                "cgroups", FindingState.Missing, $"{kind} without {string.Join(", ", absent)}",
                "boot with systemd, or mount the controllers; memory may need the kernel option cgroup_enable=memory");
    }

    private static Finding UserNamespaces(MachineFacts facts) => facts.UserNamespaces > 0
        ? new("user namespaces", FindingState.Ok, $"up to {facts.UserNamespaces}")
        : new("user namespaces", FindingState.Missing, "switched off", "sysctl -w user.max_user_namespaces=100000");

    private static Finding Overlay(MachineFacts facts) => facts.HasOverlay
        ? new("overlayfs", FindingState.Ok, "known to the kernel")
        : new("overlayfs", FindingState.Missing, "not loaded", "modprobe overlay");

    private static Finding Seccomp(MachineFacts facts) => facts.HasSeccomp
        ? new("seccomp", FindingState.Ok, "known to the kernel")
        : new("seccomp", FindingState.Missing, "not in this kernel", "use a kernel with CONFIG_SECCOMP_FILTER");

    private static Finding Disk(MachineFacts facts)
    {
        if (facts.FreeBytes is not { } free)
        {
            return new("disk", FindingState.Warning, $"{facts.DataFolder} could not be looked at");
        }

        ByteSize size = ByteSize.FromBytes(free);
        FindingState state = size < LeastDisk
            ? FindingState.Missing : size < ComfortableDisk ? FindingState.Warning
            : FindingState.Ok;
        return new(
            "disk", state, $"{size} free for {facts.DataFolder}",
            state == FindingState.Ok
                ? null
                : "free some space, or put the data folder elsewhere: berth serve --data PATH");
    }

    private static IEnumerable<Finding> Store(MachineFacts facts)
    {
        if (facts.StoreIsInUse)
        {
            yield return new("store", FindingState.Ok, "a server has it open; 'berth backup' looks at all of it");
        }
        else if (facts.Store is { Damage: { } damage })
        {
            yield return new(
                "store", FindingState.Missing, damage, "look at the disk, then restore a backup: berth restore FILE");
        }
        else if (facts.Store is { HasChecksums: true } store)
        {
            yield return new("store", FindingState.Ok, $"{store.Pages} pages, each as it was written");
        }
        else if (facts.Store is not null)
        {
            yield return new("store", FindingState.Ok, "without checksums; the next start adds them");
        }
    }

    private static Finding Port(MachineFacts facts) => facts switch
    {
        { PortIsFree: true } => new("port", FindingState.Ok, $"{facts.Port} is free"),
        { ServerAnswers: true } => new("port", FindingState.Ok, $"a server answers on {facts.Port}"),
        _ => new(
            "port", FindingState.Warning, $"another program listens on {facts.Port}",
            "berth serve --listen 127.0.0.1:PORT with another port"),
    };
}
