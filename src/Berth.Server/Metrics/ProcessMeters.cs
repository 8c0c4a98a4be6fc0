using System.Diagnostics;

namespace Berth.Server.Metrics;

/// <summary>What the server itself uses.</summary>
internal static class ProcessMeters
{
    public static void Write(MetricText text)
    {
        using Process own = Process.GetCurrentProcess();
        text.Single(MetricCatalog.Cpu, Environment.CpuUsage.TotalTime.TotalSeconds);
        text.Single(MetricCatalog.Memory, own.WorkingSet64);
        text.Single(MetricCatalog.Files, Directory.EnumerateFileSystemEntries("/proc/self/fd").Count());
        text.Single(MetricCatalog.Started, new DateTimeOffset(own.StartTime).ToUnixTimeMilliseconds() / 1000.0);
        text.Single(MetricCatalog.Heap, GC.GetTotalMemory(forceFullCollection: false));
        text.Begin(MetricCatalog.Collections);
        for (int generation = 0; generation <= GC.MaxGeneration; generation++)
        {
            text.Sample(GC.CollectionCount(generation), $"{generation}");
        }

        text.Single(MetricCatalog.Threads, ThreadPool.ThreadCount);
        text.Single(MetricCatalog.ThreadQueue, ThreadPool.PendingWorkItemCount);
    }
}
