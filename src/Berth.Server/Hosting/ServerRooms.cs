using Berth.Api.Nodes;
using Berth.Core.Callbacks;
using Berth.Core.Errors;
using Berth.Core.Faults;
using Berth.Core.Images;
using Berth.Core.Resources;
using Berth.Core.Runs;
using Berth.Core.Scaling;
using Berth.Oci.Content;
using Berth.Oci.Images;
using Berth.Oci.Layers;
using Berth.Oci.Repositories;
using Berth.Registry;
using Berth.Registry.Access;
using Berth.Registry.Collection;
using Berth.Registry.Policies;
using Berth.Registry.Unpacking;
using Berth.Server.Access;
using Berth.Server.Callbacks;
using Berth.Server.Backups;
using Berth.Server.Calls;
using Berth.Server.Cluster;
using Berth.Server.Configuration;
using Berth.Server.Containers;
using Berth.Server.Functions;
using Berth.Server.ImageEndpoints;
using Berth.Server.Instances;
using Berth.Server.Lambda;
using Berth.Server.Logs;
using Berth.Server.Loops;
using Berth.Server.Metrics;
using Berth.Server.Networks;
using Berth.Server.Nodes;
using Berth.Server.Results;
using Berth.Server.Rollouts;
using Berth.Server.Runs;
using Berth.Server.Secrets;
using Berth.Server.Spool;
using Berth.Server.Store;
using Berth.Server.Telemetry;
using Berth.Server.Triggers;
using Berth.Server.Webhooks;
using Microsoft.Extensions.Logging;
using ClusterLog = Berth.Server.Cluster.Log;

namespace Berth.Server.Hosting;

/// <summary>What a node is made from.</summary>
public sealed record NodeParts(ServerOptions Options, IImageSource Images, TimeProvider Time, ILoggerFactory Loggers);

/// <summary>
/// Everything that one server consists of, made in order of need and taken down in the opposite order.
/// </summary>
internal sealed class ServerRooms : IAsyncDisposable
{
    /// <summary>Kept for unpacking images while a run is readied.</summary>
    private static readonly TimeSpan StartLimit = TimeSpan.FromMinutes(5);

    private static readonly TimeSpan LeaseSlack = TimeSpan.FromSeconds(30);

    private MetricsEndpoint? metrics;
    private ClusterPass? cluster;

    private ServerRooms(ServerOptions options, DataFolder data, NodeParts parts, INode node, IRunStore store)
    {
        Options = options;
        Data = data;
        Time = parts.Time;
        Loggers = parts.Loggers;
        Exit = new LoopExit(Loggers.CreateLogger<LoopExit>());
        // Its files are where nothing outlasts the server.
        Results = new ResultRoom(data["overflow"], options.ResultCacheLimit, parts.Time);
        Node = node;
        Store = store;
    }

    public ServerOptions Options { get; }

    public DataFolder Data { get; }

    public TimeProvider Time { get; }

    public ILoggerFactory Loggers { get; }

    public required ServerLifetime Lifetime { get; init; }

    public LoopExit Exit { get; }

    public required RunMeters Meters { get; init; }

    public required TelemetryExport Telemetry { get; init; }

    public required BackupWriter Backups { get; init; }

    public INode Node { get; }

    public IRunStore Store { get; }

    public required ContentStore Content { get; init; }

    public required RepositoryStore Repositories { get; init; }

    public required LayerStore Layers { get; init; }

    /// <summary>Images that can be run here, also those that another server has.</summary>
    public required IImageSource Images { get; init; }

    public required ImageCatalog Catalog { get; init; }

    /// <summary>Names of images that several servers share; null for a server by itself.</summary>
    public required SharedNames? Names { get; init; }

    public required TokenStore Tokens { get; init; }

    public required PolicyStore Policies { get; init; }

    public required RetentionPass Retention { get; init; }

    public required WebhookDelivery Webhooks { get; init; }

    public required ImageReadiness Readiness { get; init; }

    public required RegistryServer Registry { get; init; }

    public required GarbageCollector Collector { get; init; }

    public required ContentFigures Figures { get; init; }

    public required OverflowRoom Overflow { get; init; }

    public ResultRoom Results { get; }

    public SharedCallCounts SharedCalls { get; } = new();

    public required RunManager Runs { get; init; }

    public required ContainerManager Containers { get; init; }

    public required FunctionManager Functions { get; init; }

    public required SecretVault Secrets { get; init; }

    public NetworkKeeper Networks => NetworkSharing.Networks;

    public required NetworkSharing NetworkSharing { get; init; }

    public VolumeHomes Volumes => Containers.Volumes.Homes;

    public NetworkUsers NetworkUsers => new(Containers, Functions);

    public SecretUsers SecretUsers => new(Functions, Triggers.Manager);

    public required TriggerRooms Triggers { get; init; }

    public required InstanceManager Instances { get; init; }

    public required NodeRooms Nodes { get; init; }

    public required RevisionMeters Revisions { get; init; }

    public required RolloutPass Rollouts { get; init; }

    /// <summary>Null for a server by itself.</summary>
    public ClusterPass? Cluster => cluster ??= Store is IClusterStore shared
        ? new ClusterPass(
            shared, Runs, digest => Digest.TryParse(digest, out Digest image) && Content.SizeOf(image) is not null,
            Options.NodeName, Time, Loggers.CreateLogger<ClusterPass>())
        {
            Address = Nodes.Advertised,
            Directory = Nodes.Directory,
            Names = Names,
            Refreshes = new Dictionary<string, Func<CancellationToken, Task>>
            {
                ["nodes"] = Nodes.Register.RefreshAsync,
                [TokenStore.Topic] = Tokens.RefreshAsync,
                [SharedPolicies.Topic] = Policies.RefreshAsync,
                [SharedNames.Topic] = Names!.RefreshAsync,
                ["functions"] = Functions.RefreshAsync,
                ["secrets"] = Secrets.RefreshAsync,
                ["networks"] = Networks.RefreshAsync,
                ["volumes"] = async token =>
                {
                    await Volumes.RefreshAsync(token);
                    await Nodes.Fleet.ReclaimVolumesAsync(token);
                },
                ["triggers"] = Triggers.Manager.RefreshAsync,
            },
        }
        : null;

    /// <summary>Opens everything; nothing runs yet.</summary>
    public static async Task<ServerRooms> OpenAsync(
        ServerOptions options, DataFolder data, Func<NodeParts, INode> makeNode, TimeProvider time,
        ILoggerFactory loggers, CancellationToken cancellationToken)
    {
        ContentStore content = new(data["blobs"], time);
        CrashPoints.Reach(CrashPoint.ContentOpened);
        IServerStore store = await StoreOpening.OpenAsync(options, data, time, loggers, cancellationToken);
        PolicyStore policies = await PoliciesOf(store, data, loggers, cancellationToken);
        WebhookOutbox webhooks = new(data["webhooks"], policies, time, loggers.CreateLogger<WebhookOutbox>());
        RepositoryStore repositories = new(data["repositories"], time, content, policies, webhooks);
        CallbackSigner signer = CallbackSigner.LoadOrCreate(data["callback.key"]);
        CallbackPolicy callbacks = new(options.CallbackAllow);
        LayerStore layers = new(content, data["layers"], LayerLimits.Default, time);
        ImageCatalog catalog = new(repositories, content);
        TokenStore tokens = await TokensOf(store, data, time, loggers, cancellationToken);
        ServerLifetime lifetime = new();
        ImageSource here = new(content, layers, PlatformChoice.Here);
        FetchedImages fetched = FetchedOf(content, here, time, loggers);
        PeerImages? elsewhere = store is IClusterStore ? new PeerImages(here, fetched) : null;
        NodeParts parts = new(options, elsewhere as IImageSource ?? here, time, loggers);
        INode node = makeNode(parts);
        ImageReadiness readiness = new(node, options);
        RunMeters meters = new();
        RevisionMeters revisions = new();
        TelemetryExport telemetry = new(options, time, loggers.CreateLogger<TelemetryExport>());
        RunObservers observers = new(meters, telemetry, revisions);
        RunManager runs = RunsOf(store, node, data, parts, callbacks, signer, observers);
        ContainerManager containers = ContainersOf(runs, store, options, data, loggers);
        FunctionManager functions = new(store, node, revisions, time, HostsOf(options));
        SecretVault secrets = SecretsOf(store, data, runs);
        InstanceManager instances = InstancesOf(functions, runs, parts);
        GarbageCollector collector = new(content, repositories, layers, options.CollectGrace, time, loggers)
        { Kept = () => [.. containers.Images(), .. functions.Images()] };
        BackupWriter backups = new(data.Path, store, node.Storage, collector, time);
        backups.Sweep();
        NodeRooms nodes = new(parts, data["node-authority.pem"], node, store, content, runs, lifetime);
        fetched.Origin = nodes.Peers;
        elsewhere?.Peers = nodes.Peers;
        IManifestObserver[] pushed = [new UnpackOnPush(catalog, layers, time, loggers), readiness];
        SharedNames? names = NamesOf(store, repositories, content, fetched, policies, parts);
        return Together(new ServerRooms(options, data, parts, node, store)
        {
            Content = content,
            Repositories = repositories,
            Layers = layers,
            Images = parts.Images,
            Names = names,
            Catalog = catalog,
            Tokens = tokens,
            Policies = policies,
            Webhooks = new WebhookDelivery(
                webhooks, callbacks, signer, time, loggers.CreateLogger<WebhookDelivery>()),
            Retention = new RetentionPass(repositories, catalog, policies, time, loggers),
            Readiness = readiness,
            Registry = RegistryOf(data, policies, names, content, repositories, tokens, pushed, parts),
            Collector = collector,
            Figures = new ContentFigures(content),
            Meters = meters,
            Telemetry = telemetry,
            Backups = backups,
            Overflow = new OverflowRoom(data["overflow"], options.OverflowLimit),
            Runs = runs,
            Containers = containers,
            Functions = functions,
            Secrets = secrets,
            NetworkSharing = SharingOf(NetworksOf(store, runs, functions, nodes), nodes, node, parts),
            Triggers = new TriggerRooms(store, functions, runs, node.Storage, time, loggers),
            Instances = instances,
            Lifetime = lifetime,
            Nodes = nodes,
            Revisions = revisions,
            Rollouts = new RolloutPass(functions, revisions, time, loggers.CreateLogger<RolloutPass>()),
        });
    }

    public MetricsEndpoint Metrics => metrics ??= new MetricsEndpoint(
        Meters, new RolloutFigures(Functions, Revisions, Rollouts), Runs, Store, Node, Registry.Counters, Figures,
        Overflow, Telemetry, Time, Results, SharedCalls, new NodeFigures(Nodes.Register, Nodes.Directory, Time),
        Data.Path);

    public static GuardedConnection OtherRegistries(ServerOptions options) =>
        new(new CallbackPolicy(options.RegistryAllow), ErrorCode.Forbidden, "registry-allow");

    public async ValueTask DisposeAsync()
    {
        await Instances.DisposeAsync();
        await Containers.DisposeAsync();
        await NetworkSharing.DisposeAsync();
        await Nodes.DisposeAsync();
        await Registry.DisposeAsync();
        await Node.DisposeAsync();
        await Layers.DisposeAsync();
        await Store.DisposeAsync();
        Tokens.Dispose();
        Policies.Dispose();
        Names?.Dispose();
        Results.Dispose();
        Collector.Dispose();
        Telemetry.Dispose();
        Lifetime.Dispose();
    }

    private static SharedNames? NamesOf(
        IServerStore store, RepositoryStore repositories, ContentStore content, FetchedImages fetched,
        PolicyStore policies, NodeParts parts) => store is IClusterStore all
        ? new SharedNames(
            all, repositories, content, fetched, name => !policies.IsMirror(name), parts.Time,
            parts.Loggers.CreateLogger<SharedNames>())
        : null;

    private static RegistryServer RegistryOf(
        DataFolder data, PolicyStore policies, SharedNames? names, ContentStore content, RepositoryStore repositories,
        TokenStore tokens, IReadOnlyList<IManifestObserver> observers, NodeParts parts) => new(
        RegistryOptionsOf(parts.Options, data, policies, names), content, repositories,
        new RegistryAuthorizer(tokens, policies), observers, parts.Time, parts.Loggers);

    private static RegistryOptions RegistryOptionsOf(
        ServerOptions options, DataFolder data, PolicyStore policies, IImageSharing? sharing) =>
        new()
        {
            Sharing = sharing,
            UploadFolder = data["uploads"],
            TokenKeyPath = data["registry.key"],
            MaxBlobBytes = options.UploadLimit.Bytes,
            Policies = policies,
            ConnectUpstream = OtherRegistries(options).ConnectAsync,
        };

    private static async Task<TokenStore> TokensOf(
        IServerStore store, DataFolder data, TimeProvider time, ILoggerFactory loggers,
        CancellationToken cancellationToken) => store is IClusterStore shared
        ? await TokenStore.OpenAsync(data.Path, shared, time, loggers.CreateLogger<TokenStore>(), cancellationToken)
        : TokenStore.Open(data.Path, time);

    private static Task<PolicyStore> PoliciesOf(
        IServerStore store, DataFolder data, ILoggerFactory loggers, CancellationToken cancellationToken)
    {
        string file = data["repository-policies.json"];
        string keys = data["secrets.key"];
        return store is IClusterStore shared
            ? SharedPolicies.OpenAsync(
                shared, SecretKeys.LoadOrCreate(keys), keys, file, loggers.CreateLogger<SharedPolicies>(),
                cancellationToken)
            : PolicyStore.OpenAsync(file, cancellationToken);
    }

    private static FetchedImages FetchedOf(
        ContentStore content, ImageSource here, TimeProvider time, ILoggerFactory loggers)
    {
        ILogger logger = loggers.CreateLogger<FetchedImages>();
        return new FetchedImages(content, here, PlatformChoice.Here, time)
        {
            Fetched = (image, parts, took) => ClusterLog.Fetched(logger, image, parts, took),
        };
    }

    private static FunctionHosts HostsOf(ServerOptions options) => new(options.FunctionDomain, options.HostNames);

    private static RunManager RunsOf(
        IRunStore store, INode node, DataFolder data, NodeParts parts, CallbackPolicy callbacks, CallbackSigner signer,
        IRunObserver observer) => new(
        store, node, new RunSpool(data["spool"]),
        new RunLogs(data["logs"], parts.Options.LogLimit, parts.Time, parts.Loggers.CreateLogger<RunLogs>()),
        RunOptionsOf(parts.Options, node.Info), callbacks, signer, parts.Time,
        parts.Loggers.CreateLogger<RunManager>(), observer);

    private static SecretVault SecretsOf(ISecretStore store, DataFolder data, RunManager runs)
    {
        SecretVault secrets = new(store, SecretKeys.LoadOrCreate(data["secrets.key"]), runs.Rooms.Time);
        runs.Rooms.Secrets = secrets.Resolve;
        return secrets;
    }

    private static NetworkKeeper NetworksOf(
        INetworkStore store, RunManager runs, FunctionManager functions, NodeRooms nodes)
    {
        NetworkKeeper networks = new(store, runs.Rooms.Node, runs.Rooms.Time);
        runs.Rooms.Networks = networks.Resolve;
        functions.Networks = networks.Find;
        networks.Address = () => nodes.Register.Own.Underlay;
        networks.Key = () => nodes.Register.Own.Key;
        nodes.Fleet.Networks = networks;
        return networks;
    }

    private static NetworkSharing SharingOf(NetworkKeeper networks, NodeRooms nodes, INode node, NodeParts parts)
    {
        NetworkSharing sharing = new(
            networks, nodes.Register, node, nodes.Peers is { } peers ? new PeerPresence(peers) : null, parts.Time,
            parts.Loggers.CreateLogger<NetworkSharing>());
        networks.Changed = sharing.Poke;
        Action before = nodes.Register.Changed;
        nodes.Register.Changed = () =>
        {
            before();
            sharing.Poke();
        };
        return sharing;
    }

    /// <summary>Tasks and calls keep their results in one place.</summary>
    private static ServerRooms Together(ServerRooms rooms)
    {
        rooms.Runs.Rooms.Results = new SharedTasks(
            rooms.Functions, rooms.Secrets, rooms.Results, rooms.SharedCalls, rooms.Runs.Rooms.Spool, rooms.Time);
        rooms.Runs.Rooms.FunctionLog = new FunctionLog(rooms.Functions, rooms.Runs);
        rooms.Functions.Expecting = rooms.Nodes.Fleet.ExpectMany;
        rooms.Functions.ExpectingImage = rooms.Nodes.Fleet.ExpectImage;
        rooms.Nodes.Changed = rooms.Instances.Review;
        rooms.Nodes.Fleet.Volumes = rooms.Volumes;
        rooms.Nodes.Register.Removed = async (name, token) =>
        {
            await rooms.Networks.ForgetNodeAsync(name, token);
            // They are gone with their machine: a name that is used again is another volume.
            await rooms.Volumes.ForgetAsync(rooms.Volumes.On(name), token);
        };
        rooms.Containers.Machines = rooms.Nodes;
        rooms.Nodes.Drains = new NodeDrains(rooms.Nodes, rooms.Containers.Drains);
        return rooms;
    }

    /// <summary>With them the tasks that are calls of functions know what these are now.</summary>
    private static InstanceManager InstancesOf(
        FunctionManager functions, RunManager runs, NodeParts parts)
    {
        RuntimeApi lambda = new(parts.Options.LambdaPayloadLimit, parts.Time, parts.Loggers);
        InstanceManager instances = new(
            functions, runs, lambda,
            new InstanceMemory(parts.Options.InstanceMemory ?? MemoryShare.DefaultBudget(runs.Rooms.Node.Info.Memory)),
            parts.Time, parts.Loggers.CreateLogger<InstanceManager>());
        runs.Forwarding.Call = new FunctionForwarding(functions).Call;
        runs.DeadLetters.Renew = new FunctionRenewal(functions).Renew;
        runs.Rooms.Services = new ServiceAttempts(
            functions, instances, parts.Options.LambdaPayloadLimit, parts.Time).StartAsync;
        return instances;
    }

    private static ContainerManager ContainersOf(
        RunManager runs, IServerStore store, ServerOptions options, DataFolder data, ILoggerFactory loggers)
    {
        ILogger logger = loggers.CreateLogger<ContainerManager>();
        LogStore logs = new(data["container-logs"], options.LogLimit, runs.Rooms.Time, logger);
        return new(new ContainerRooms(
            runs.Rooms, store, logs, new VolumeHomes(store, runs.Rooms.Time), options.MaxContainers,
            options.ContainerMoveAfter, logger));
    }

    private static RunOptions RunOptionsOf(ServerOptions options, NodeInfo node) => new(
        options.MaxRunning ?? RunCapacity.DefaultPlaces(node.Cores, node.Memory), options.QueueLimit,
        options.WaitingCallsLimit, options.InputLimit, options.ResultRetention, options.LogRetention,
        options.RunRetention, StartLimit, LeaseSlack)
    {
        DeadLetterRetention = options.DeadLetterRetention,
    };
}
