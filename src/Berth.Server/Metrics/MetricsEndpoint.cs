using System.Text;
using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Runs;
using Berth.Registry;
using Berth.Server.Calls;
using Berth.Server.Hosting;
using Berth.Server.Nodes;
using Berth.Server.Results;
using Berth.Server.Rollouts;
using Berth.Server.Runs;
using Berth.Server.Store;
using Berth.Server.Telemetry;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.Metrics;

/// <summary><c>/metrics</c>: gathers the figures of every part when asked.</summary>
internal sealed class MetricsEndpoint(
    RunMeters meters, RolloutFigures rollouts, IRunManager runs, IRunStore store, INode node,
    RegistryCounters registry, ContentFigures content, OverflowRoom overflow, TelemetryExport telemetry,
    TimeProvider time, ResultRoom results, SharedCallCounts shared, NodeFigures nodes, string dataFolder)
{
    public async Task HandleAsync(HttpContext context)
    {
        MetricText text = await GatherAsync(context.RequestAborted);
        byte[] body = Encoding.UTF8.GetBytes(text.ToString());
        context.Response.ContentType = MetricText.MediaType;
        context.Response.ContentLength = body.Length;
        await context.Response.Body.WriteAsync(body, context.RequestAborted);
    }

    /// <summary>While the store is away, all but what only it knows.</summary>
    public async Task<MetricText> GatherAsync(CancellationToken cancellationToken)
    {
        RunCounts? counts = null;
        try
        {
            counts = await store.CountAsync(cancellationToken);
        }
        catch (BerthException away) when (away.Code == ErrorCode.StorageFault)
        {
            // That is when somebody looks: berth_store_accepting tells it.
        }

        return Gather(counts);
    }

    private MetricText Gather(RunCounts? counts)
    {
        MetricText text = new();
        WriteRuns(text, runs.Statistics(), counts);
        meters.Write(text);
        rollouts.Write(text);
        WriteNode(text, node.Status());
        nodes.Write(text);
        WriteDisk(text);
        WriteStore(text, store.Figures());
        WriteRegistry(text);
        ProcessMeters.Write(text);
        text.Begin(MetricCatalog.Build).Sample(1, ServerVersion.Text);
        text.Begin(MetricCatalog.ExportedRuns).Sample(telemetry.Sent, "sent").Sample(telemetry.Dropped, "dropped");
        return text;
    }

    private void WriteRuns(MetricText text, RunStatistics statistics, RunCounts? counts)
    {
        text.Begin(MetricCatalog.Runs);
        foreach (RunKind kind in Enum.GetValues<RunKind>())
        {
            foreach (EndReason reason in Enum.GetValues<EndReason>())
            {
                text.Sample(
                    statistics.Ended.GetValueOrDefault((kind, reason)),
                    RunPresentation.KindWord(kind), RunAnswer.NameOf(reason));
            }
        }

        text.Single(MetricCatalog.Running, statistics.Running);
        text.Single(MetricCatalog.Places, statistics.Places);
        text.Single(MetricCatalog.WaitingCalls, statistics.WaitingCalls);
        text.Single(MetricCatalog.Overflow, overflow.Taken);
        text.Begin(MetricCatalog.SharedCalls)
            .Sample(shared.Hits, "hit").Sample(shared.Coalesced, "coalesced").Sample(shared.Misses, "miss");
        text.Single(MetricCatalog.ResultBytes, results.Taken);
        text.Single(MetricCatalog.Results, results.Count);
        if (counts is not null)
        {
            WriteTasks(text, counts);
        }

        text.Single(MetricCatalog.Submitted, statistics.Submitted);
        text.Single(MetricCatalog.Refused, statistics.Refused);
        text.Single(MetricCatalog.Retried, statistics.Retried);
        text.Single(MetricCatalog.Preempted, statistics.Preempted);
        text.Single(MetricCatalog.LostRecords, statistics.LostRecords);
        text.Begin(MetricCatalog.Callbacks)
            .Sample(statistics.CallbacksDelivered, "delivered").Sample(statistics.CallbacksGivenUp, "given_up");
    }

    private void WriteTasks(MetricText text, RunCounts counts)
    {
        text.Begin(MetricCatalog.Tasks)
            .Sample(counts.Queued, "queued").Sample(counts.Starting, "starting").Sample(counts.Running, "running");
        double oldest = counts.OldestQueued is { } since ? Math.Max(0, (time.GetUtcNow() - since).TotalSeconds) : 0;
        text.Single(MetricCatalog.OldestTask, oldest);
    }

    private static void WriteNode(MetricText text, NodeStatus status)
    {
        text.Begin(MetricCatalog.Sandboxes);
        foreach (string state in (ReadOnlySpan<string>)["preparing", "ready", "running", "removing"])
        {
            text.Sample(status.Sandboxes.Count(s => s.State == state), state);
        }

        text.Begin(MetricCatalog.SandboxesTaken).Sample(status.TakenReady, "ready").Sample(status.TakenCold, "cold");
        text.Single(MetricCatalog.SandboxesRemoved, status.Removed);
        text.Single(MetricCatalog.NodeFaults, status.Faults);
    }

    private void WriteDisk(MetricText text)
    {
        text.Single(MetricCatalog.StoreAccepting, store.Condition == StoreCondition.Accepting ? 1 : 0);
        DriveInfo drive = new(dataFolder);
        text.Single(MetricCatalog.DataFree, drive.AvailableFreeSpace);
        text.Single(MetricCatalog.DataSize, drive.TotalSize);
    }

    private static void WriteStore(MetricText text, StoreFigures figures)
    {
        text.Single(MetricCatalog.StoreCommits, figures.Commits);
        text.Single(MetricCatalog.StoreWrites, figures.Writes);
        text.Single(MetricCatalog.StoreWaiting, figures.Waiting);
        text.Single(MetricCatalog.StoreRefused, figures.Refused);
        text.Single(MetricCatalog.StoreReopened, figures.Reopened);
        text.Single(MetricCatalog.StoreBytes, figures.Bytes);
    }

    private void WriteRegistry(MetricText text)
    {
        text.Begin(MetricCatalog.RegistryManifests)
            .Sample(registry.ManifestsPushed, "pushed").Sample(registry.ManifestsPulled, "pulled");
        text.Single(MetricCatalog.RegistryBlobs, registry.BlobsPushed);
        text.Begin(MetricCatalog.RegistryBytes)
            .Sample(registry.BytesReceived, "received").Sample(registry.BytesSent, "sent");
        text.Single(MetricCatalog.RegistryDamaged, registry.DamagedBlobs);
        text.Single(MetricCatalog.Blobs, content.Blobs);
        text.Single(MetricCatalog.BlobBytes, content.Bytes);
    }
}
