using System.Diagnostics;
using System.Globalization;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Oci.Archives;
using Berth.Oci.Distribution;
using Berth.Oci.Images;
using Berth.Oci.Layers;
using Berth.Testing.Distribution;
using Berth.Testing.Layers;

namespace Berth.IntegrationTests.Archives;

/// <summary>
/// A process that reads hostile files one after the other, and tells of each how it was refused and what that cost. A
/// process of its own, so that what native code takes is seen too, and nobody else's memory.
/// </summary>
internal static class HostileReader
{
    public const string Role = "read-hostile-files";

    /// <summary>How long a file may take on a busy machine; only ends what hangs.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    /// <summary>Starts this executable again in that role.</summary>
    /// <param name="folder">Layers, and images where the name begins with <c>archive-</c>; read in the order of
    /// their names.</param>
    public static Process Start(string folder) => Process.Start(
        new ProcessStartInfo(
            Environment.ProcessPath!, [typeof(HostileReader).Assembly.Location, Role, folder])
        {
            RedirectStandardOutput = true,
            UseShellExecute = false,
        })!;

    public static async Task<int> RunAsync(string[] arguments)
    {
        foreach (string file in Directory.GetFiles(arguments[0]).Order(StringComparer.Ordinal))
        {
            await Console.Out.WriteLineAsync((await ReadAsync(file)).ToString());
        }

        return 0;
    }

    private static async Task<HostileCost> ReadAsync(string file)
    {
        GC.Collect();
        long before = ResetPeak();
        using var self = Process.GetCurrentProcess();
        TimeSpan cpu = self.TotalProcessorTime;
        string how = await HowAsync(file);
        self.Refresh();
        return new HostileCost(
            Path.GetFileName(file), how, (self.TotalProcessorTime - cpu).TotalSeconds, Status("VmHWM:") - before);
    }

    private static async Task<string> HowAsync(string file)
    {
        using CancellationTokenSource limit = new(Patience);
        try
        {
            await (Path.GetFileName(file).StartsWith("archive-", StringComparison.Ordinal)
                ? ImportAsync(file, limit.Token)
                : UnpackAsync(file, limit.Token));
            return "accepted";
        }
        catch (BerthException refusal)
        {
            return refusal.Code.ToString();
        }
        catch (OperationCanceledException)
        {
            return "hangs";
        }
    }

    private static async Task ImportAsync(string file, CancellationToken cancellationToken)
    {
        await using StoreRig rig = new();
        await using FileStream content = File.OpenRead(file);
        using ImageArchive opened = await ImageArchive.OpenAsync(content, rig.Folder, cancellationToken);
        foreach (ArchivedImage image in opened.Images)
        {
            await new ImageCopier(opened, rig.Repository("hostile"), new CopyOptions()).CopyAsync(
                image.Digest.Text, "1", cancellationToken);
            using ImageHandle ready = await rig.Images.OpenAsync(image.Digest, cancellationToken);
        }
    }

    private static async Task UnpackAsync(string file, CancellationToken cancellationToken)
    {
        await using LayerRig rig = new(HostileLayers.Limits);
        Digest digest;
        await using (FileStream content = File.OpenRead(file))
        {
            digest = await rig.PutAsync(content, cancellationToken);
        }

        await rig.Store.EnsureUnpackedAsync(
            new Descriptor(MediaTypes.OciLayer, digest.Text, new FileInfo(file).Length), digest, cancellationToken);
    }

    /// <summary>Begins the peak of resident memory anew (proc_pid_clear_refs(5)). What is resident now.</summary>
    private static long ResetPeak()
    {
        File.WriteAllText("/proc/self/clear_refs", "5");
        return Status("VmRSS:");
    }

    private static long Status(string key) => 1024 * long.Parse(
        File.ReadLines("/proc/self/status").Single(l => l.StartsWith(key, StringComparison.Ordinal))
            .Split([' ', '\t'], StringSplitOptions.RemoveEmptyEntries)[1],
        CultureInfo.InvariantCulture);
}

/// <summary>What reading one file came to.</summary>
/// <param name="How">The error's code, <c>accepted</c> or <c>hangs</c>.</param>
/// <param name="Seconds">Of the processor.</param>
/// <param name="Bytes">That the process grew by at its peak.</param>
internal sealed record HostileCost(string File, string How, double Seconds, long Bytes)
{
    public override string ToString() =>
        string.Create(CultureInfo.InvariantCulture, $"{File}\t{How}\t{Seconds:0.000}\t{Bytes}");

    public static HostileCost Parse(string line)
    {
        string[] parts = line.Split('\t');
        return new HostileCost(
            parts[0], parts[1], double.Parse(parts[2], CultureInfo.InvariantCulture),
            long.Parse(parts[3], CultureInfo.InvariantCulture));
    }
}
