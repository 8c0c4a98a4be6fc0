namespace Berth.Server.Metrics;

internal enum MetricType
{
    Counter,
    Gauge,
    Histogram,
}

/// <summary>One family of metrics.</summary>
/// <param name="Labels">Names of its labels, in the order in which values are given.</param>
internal sealed record Metric(string Name, MetricType Type, string Help, params string[] Labels);

/// <summary>The one table of what /metrics tells; docs/reference/metrics.md is made from it.</summary>
internal static class MetricCatalog
{
    public static readonly Metric Runs = new(
        "berth_runs_total", MetricType.Counter, "Runs that ended, by kind (call, task) and reason.", "kind", "reason");

    public static readonly Metric RunPhases = new(
        "berth_run_duration_seconds", MetricType.Histogram,
        "Time of ended runs by kind and phase: queue, prepare, start, run and total.", "kind", "phase");

    public static readonly Metric RunCpu = new(
        "berth_run_cpu_seconds_total", MetricType.Counter,
        "CPU time of ended runs, in all their attempts, by mode (user, system).", "mode");

    public static readonly Metric RunBytes = new(
        "berth_run_bytes_total", MetricType.Counter,
        "Bytes into (in) and out of (out) the programs of ended runs, in all their attempts.", "direction");

    public static readonly Metric FunctionCalls = new(
        "berth_function_calls_total", MetricType.Counter,
        "Ended calls and tasks by function, revision and outcome: succeeded, or failed by the program's own fault. Of "
            + "the first 1,000 revisions that were called, by name.",
        "function", "revision", "outcome");

    public static readonly Metric FunctionTimes = new(
        "berth_function_call_seconds", MetricType.Gauge,
        "Within what time that share of a revision's calls of the last five minutes succeeded, starting included and "
            + "waiting not. Of the same revisions.",
        "function", "revision", "quantile");

    public static readonly Metric Rollouts = new(
        "berth_rollouts", MetricType.Gauge, "Rollouts under way, by state (running, paused).", "state");

    public static readonly Metric RolloutsEnded = new(
        "berth_rollouts_ended_total", MetricType.Counter,
        "Rollouts that ended by themselves, by outcome: promoted, rolled_back.", "outcome");

    public static readonly Metric Running = new(
        "berth_runs_running", MetricType.Gauge, "Places taken by calls and tasks now.");

    public static readonly Metric Places = new(
        "berth_runs_places", MetricType.Gauge, "Sandboxes that may run at once.");

    public static readonly Metric WaitingCalls = new(
        "berth_calls_waiting", MetricType.Gauge, "Calls waiting for a place.");

    public static readonly Metric Overflow = new(
        "berth_calls_overflow_bytes", MetricType.Gauge,
        "Disk space taken by output of calls whose callers send without reading, and by input that programs leave.");

    public static readonly Metric SharedCalls = new(
        "berth_function_shared_calls_total", MetricType.Counter,
        "Calls of functions whose results are shared: answered with a kept one (hit), with that of an equal call "
            + "under way (coalesced), or executed (miss).",
        "cache");

    public static readonly Metric ResultBytes = new(
        "berth_function_result_bytes", MetricType.Gauge,
        "Memory and disk space taken by kept results, and by inputs and results of such calls under way.");

    public static readonly Metric Results = new(
        "berth_function_results", MetricType.Gauge, "Results kept to answer further calls.");

    public static readonly Metric Tasks = new("berth_tasks", MetricType.Gauge, "Tasks under way, by state.", "state");

    public static readonly Metric OldestTask = new(
        "berth_tasks_oldest_queued_seconds", MetricType.Gauge, "Age of the longest waiting task; 0 when none waits.");

    public static readonly Metric Submitted = new("berth_tasks_submitted_total", MetricType.Counter, "Tasks accepted.");

    public static readonly Metric Refused = new(
        "berth_runs_refused_total", MetricType.Counter,
        "Calls and tasks refused because too much was waiting or the server stopped.");

    public static readonly Metric Preempted = new(
        "berth_tasks_preempted_total", MetricType.Counter,
        "Attempts that were ended because others waited for their place, memory or processor time.");

    public static readonly Metric Retried = new(
        "berth_runs_retried_total", MetricType.Counter, "Attempts that followed a failed one.");

    public static readonly Metric LostRecords = new(
        "berth_call_records_lost_total", MetricType.Counter,
        "Ended calls whose record the failing store could not keep.");

    public static readonly Metric Callbacks = new(
        "berth_callbacks_total", MetricType.Counter, "Callbacks by outcome: delivered, given_up.", "outcome");

    public static readonly Metric Sandboxes = new(
        "berth_sandboxes", MetricType.Gauge, "Sandboxes on this machine, by state.", "state");

    public static readonly Metric SandboxesTaken = new(
        "berth_sandboxes_taken_total", MetricType.Counter,
        "Sandboxes taken for runs: ready (pool hit) or cold (pool miss).", "pool");

    public static readonly Metric SandboxesRemoved = new(
        "berth_sandboxes_removed_total", MetricType.Counter, "Sandboxes removed.");

    public static readonly Metric NodeFaults = new(
        "berth_node_faults_total", MetricType.Counter, "Attempts that the machine failed.");

    public static readonly Metric Nodes = new(
        "berth_nodes", MetricType.Gauge,
        "Machines that run work, as this server sees them, its own among them, by state: joined (it has never come), "
            + "ready, suspect, lost, refused.",
        "state");

    public static readonly Metric NodesCordoned = new(
        "berth_nodes_cordoned", MetricType.Gauge, "Machines that are given nothing new because an operator said so.");

    public static readonly Metric CertificatesLate = new(
        "berth_node_certificates_late", MetricType.Gauge,
        "Nodes whose certificate ends within five days or has ended; it should have been renewed five days ago.");

    public static readonly Metric NodeDisksLow = new(
        "berth_node_disks_low", MetricType.Gauge, "Linked nodes with less than a tenth of their disk free.");

    public static readonly Metric NodeFetched = new(
        "berth_node_fetched_bytes_total", MetricType.Counter,
        "Bytes of images that nodes linked to this server have fetched, by where they came from: neighbours, servers.",
        "from");

    public static readonly Metric Servers = new(
        "berth_servers", MetricType.Gauge, "Servers of the store that are there, this one among them.");

    public static readonly Metric StoreAccepting = new(
        "berth_store_accepting", MetricType.Gauge,
        "1 while the store takes new records; 0 while its disk is full, or it fails or is away.");

    public static readonly Metric DataFree = new(
        "berth_data_free_bytes", MetricType.Gauge, "Free disk space of the data folder.");

    public static readonly Metric DataSize = new(
        "berth_data_bytes", MetricType.Gauge, "Size of the file system of the data folder.");

    public static readonly Metric StoreCommits = new(
        "berth_store_commits_total", MetricType.Counter, "Transactions made durable.");

    public static readonly Metric StoreWrites = new(
        "berth_store_writes_total", MetricType.Counter,
        "Records written by them; divided by the commits it is the size of a batch.");

    public static readonly Metric StoreWaiting = new(
        "berth_store_writes_waiting", MetricType.Gauge, "Writes waiting for their commit.");

    public static readonly Metric StoreRefused = new(
        "berth_store_writes_refused_total", MetricType.Counter, "Writes refused because the disk was full or failing.");

    public static readonly Metric StoreReopened = new(
        "berth_store_reopened_total", MetricType.Counter, "Times the store was reopened after a failed write.");

    public static readonly Metric StoreBytes = new("berth_store_bytes", MetricType.Gauge, "Size of the store's file.");

    public static readonly Metric StoreWait = new(
        "berth_store_accept_duration_seconds", MetricType.Histogram,
        "Time from a task's submission to its durable acceptance, spooling of its input included.");

    public static readonly Metric RegistryManifests = new(
        "berth_registry_manifests_total", MetricType.Counter, "Manifests pushed and pulled.", "direction");

    public static readonly Metric RegistryBlobs = new(
        "berth_registry_blobs_pushed_total", MetricType.Counter, "Blobs pushed.");

    public static readonly Metric RegistryBytes = new(
        "berth_registry_bytes_total", MetricType.Counter, "Bytes received and sent by the registry.", "direction");

    public static readonly Metric RegistryDamaged = new(
        "berth_registry_damaged_blobs_total", MetricType.Counter, "Stored blobs found damaged and taken out of use.");

    public static readonly Metric Blobs = new(
        "berth_blobs", MetricType.Gauge, "Blobs in the content store, counted at each collection.");

    public static readonly Metric BlobBytes = new(
        "berth_blob_bytes", MetricType.Gauge, "Bytes of blobs in the content store, counted at each collection.");

    public static readonly Metric Cpu = new(
        "process_cpu_seconds_total", MetricType.Counter, "CPU time of the server itself, without sandboxes.");

    public static readonly Metric Memory = new(
        "process_resident_memory_bytes", MetricType.Gauge, "Resident memory of the server.");

    public static readonly Metric Files = new("process_open_fds", MetricType.Gauge, "Open file descriptors.");

    public static readonly Metric Started = new(
        "process_start_time_seconds", MetricType.Gauge, "Start of the server, in seconds since 1970.");

    public static readonly Metric Heap = new("dotnet_heap_bytes", MetricType.Gauge, "Managed memory in use.");

    public static readonly Metric Collections = new(
        "dotnet_collections_total", MetricType.Counter,
        "Garbage collections of managed memory, by generation.", "generation");

    public static readonly Metric Threads = new("dotnet_threadpool_threads", MetricType.Gauge, "Threads of the pool.");

    public static readonly Metric ThreadQueue = new(
        "dotnet_threadpool_queue_length", MetricType.Gauge, "Work waiting for a thread.");

    public static readonly Metric ExportedRuns = new(
        "berth_otlp_runs_total", MetricType.Counter,
        "Ended runs that the OTLP collector was told of (sent), or never will be (dropped).", "outcome");

    public static readonly Metric Build = new(
        "berth_build_info", MetricType.Gauge, "Always 1; the label has the version.", "version");

    public static IReadOnlyList<Metric> All { get; } =
    [
        Runs, RunPhases, RunCpu, RunBytes, FunctionCalls, FunctionTimes, Rollouts, RolloutsEnded,
        Running, Places, WaitingCalls, Overflow, SharedCalls, ResultBytes, Results, Tasks, OldestTask, Submitted,
        Refused, Retried, Preempted, LostRecords, Callbacks, Sandboxes, SandboxesTaken, SandboxesRemoved, NodeFaults,
        Nodes, NodesCordoned, CertificatesLate, NodeDisksLow, NodeFetched, Servers, StoreAccepting, DataFree, DataSize,
        StoreCommits, StoreWrites, StoreWaiting, StoreRefused, StoreReopened, StoreBytes, StoreWait,
        RegistryManifests, RegistryBlobs, RegistryBytes, RegistryDamaged, Blobs, BlobBytes, Cpu, Memory, Files,
        Started, Heap, Collections, Threads, ThreadQueue, ExportedRuns, Build,
    ];
}
