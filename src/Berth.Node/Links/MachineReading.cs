using System.Globalization;
using System.Runtime.InteropServices;
using Berth.Api.Links;
using Berth.Api.Nodes;
using Berth.Oci.Images;

namespace Berth.Node.Links;

/// <summary>What a node tells of its machine, read from the kernel's own files.</summary>
internal static class MachineReading
{
    /// <summary>Of the processor's flags, those that programs are built for.</summary>
    private static readonly string[] Told =
    [
        "sse4_2", "avx", "avx2", "avx512f", "avx512bw", "avx512vl", "avx512_vnni", "amx_tile", "aes", "sha_ni",
        "asimd", "sve", "sve2", "vmx", "svm",
    ];

    public static NodeFacts Facts(NodeInfo info) => new(
        info.Engine, info.CgroupVersion, info.Cores, info.Memory.Bytes, PlatformChoice.Here.Architecture,
        RuntimeInformation.OSDescription, Environment.OSVersion.Version.ToString(),
        info.Features, info.Devices,
        info.HostFolders);

    /// <summary>Of this machine.</summary>
    public static IReadOnlyList<string> Features() => Features(ReadLines("/proc/cpuinfo"));

    /// <summary>Of this machine.</summary>
    public static IReadOnlyList<DeviceFact> Devices() => Devices("/proc/driver/nvidia/gpus");

    public static double Load() =>
        ReadLines("/proc/loadavg").FirstOrDefault()?.Split(' ') is [var first, ..]
        && double.TryParse(first, NumberStyles.Float, CultureInfo.InvariantCulture, out double load)
            ? load
            : 0;

    public static long MemoryFree() => MemoryOf(ReadLines("/proc/meminfo"), "MemAvailable:");

    public static (long Free, long Total) Disk(string folder)
    {
        try
        {
            DriveInfo disk = new(folder);
            return (disk.AvailableFreeSpace, disk.TotalSize);
        }
        catch (IOException)
        {
            return (0, 0);
        }
    }

    /// <summary>Of the lines of /proc/cpuinfo (proc_cpuinfo(5)); arm64 calls them Features.</summary>
    internal static IReadOnlyList<string> Features(IEnumerable<string> lines)
    {
        string? flags = lines.FirstOrDefault(
            l => l.StartsWith("flags", StringComparison.Ordinal) || l.StartsWith("Features", StringComparison.Ordinal));
        HashSet<string> there = [.. (flags?.Split(':', 2).ElementAtOrDefault(1) ?? "").Split(' ')];
        return [.. Told.Where(there.Contains)];
    }

    /// <summary>NVIDIA's driver has a folder for each device, with a file that names its model.</summary>
    internal static IReadOnlyList<DeviceFact> Devices(string folder)
    {
        try
        {
            return !Directory.Exists(folder)
                ? []
                :
                [
                    .. Directory.EnumerateDirectories(folder).Order(StringComparer.Ordinal)
                        .Select(d => ReadLines(Path.Combine(d, "information"))
                            .FirstOrDefault(l => l.StartsWith("Model:", StringComparison.Ordinal)))
                        .OfType<string>()
                        .Select(l => new DeviceFact(l["Model:".Length..].Trim(), 0)),
                ];
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }

    /// <summary>Of a line such as <c>MemAvailable:   123 kB</c>, in bytes; 0 where there is none.</summary>
    internal static long MemoryOf(IEnumerable<string> lines, string name) =>
        lines.FirstOrDefault(l => l.StartsWith(name, StringComparison.Ordinal)) is { } line
        && long.TryParse(line[name.Length..].Replace("kB", "", StringComparison.Ordinal).Trim(),
            NumberStyles.None, CultureInfo.InvariantCulture, out long kibibytes)
            ? kibibytes * 1024
            : 0;

    private static string[] ReadLines(string path)
    {
        try
        {
            return File.ReadAllLines(path);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }
}
