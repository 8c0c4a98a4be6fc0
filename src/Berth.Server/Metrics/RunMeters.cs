using Berth.Core.Runs;
using Berth.Server.Runs;

namespace Berth.Server.Metrics;

/// <summary>What ended runs took and used, counted as they end.</summary>
internal sealed class RunMeters : IRunObserver
{
    private readonly PhaseTimes calls = new();
    private readonly PhaseTimes tasks = new();
    private readonly PhaseTimes containers = new();
    private readonly PhaseTimes instances = new();
    private readonly StripedCounter cpuUser = new();
    private readonly StripedCounter cpuSystem = new();
    private readonly StripedCounter bytesIn = new();
    private readonly StripedCounter bytesOut = new();

    /// <summary>From a task's arrival to its durable acceptance.</summary>
    public Histogram Accept { get; } = new();

    public void Ended(Run run)
    {
        PhaseTimes of = run.Kind switch
        {
            RunKind.Call => calls,
            RunKind.Task => tasks,
            RunKind.Container => containers,
            _ => instances,
        };
        of.Record(run.Timings);
        if (run.End is { } end)
        {
            cpuUser.Add(end.Usage.CpuUser.Ticks);
            cpuSystem.Add(end.Usage.CpuSystem.Ticks);
            bytesIn.Add(end.Usage.BytesIn);
            bytesOut.Add(end.Usage.BytesOut);
        }
    }

    public void Write(MetricText text)
    {
        text.Begin(MetricCatalog.RunPhases);
        calls.Write(text, "call");
        tasks.Write(text, "task");
        containers.Write(text, "container");
        instances.Write(text, "instance");
        text.Begin(MetricCatalog.RunCpu)
            .Sample(TimeSpan.FromTicks(cpuUser.Value).TotalSeconds, "user")
            .Sample(TimeSpan.FromTicks(cpuSystem.Value).TotalSeconds, "system");
        text.Begin(MetricCatalog.RunBytes).Sample(bytesIn.Value, "in").Sample(bytesOut.Value, "out");
        text.Begin(MetricCatalog.StoreWait).Sample(Accept);
    }

    private sealed class PhaseTimes
    {
        private readonly Histogram queue = new();
        private readonly Histogram prepare = new();
        private readonly Histogram start = new();
        private readonly Histogram run = new();
        private readonly Histogram total = new();

        public void Record(RunTimings timings)
        {
            queue.Record(timings.Queue);
            prepare.Record(timings.Prepare);
            start.Record(timings.Start);
            run.Record(timings.Run);
            total.Record(timings.Total);
        }

        public void Write(MetricText text, string kind)
        {
            text.Sample(queue, kind, "queue");
            text.Sample(prepare, kind, "prepare");
            text.Sample(start, kind, "start");
            text.Sample(run, kind, "run");
            text.Sample(total, kind, "total");
        }
    }
}
