using Berth.Core.Callbacks;
using Berth.Server.Access;
using Berth.Server.Backups;
using Berth.Server.Calls;
using Berth.Server.Cluster;
using Berth.Server.ContainerEndpoints;
using Berth.Server.Forwarding;
using Berth.Server.FunctionEndpoints;
using Berth.Server.Functions;
using Berth.Server.ImageEndpoints;
using Berth.Server.LambdaEndpoints;
using Berth.Server.Loops;
using Berth.Server.Metrics;
using Berth.Server.Nodes;
using Berth.Server.OpenApi;
using Berth.Server.Results;
using Berth.Server.RolloutEndpoints;
using Berth.Server.RunEndpoints;
using Berth.Server.Triggers;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Logging;

namespace Berth.Server.Hosting;

/// <summary>Maps every route to what answers it. What each needs stands in <see cref="AccessTable"/>.</summary>
internal static class ServerRoutes
{
    /// <summary>What answers the calls of functions, by path and by host name.</summary>
    public static FunctionCalls CallsOf(ServerRooms rooms) => new(
        rooms.Functions, rooms.Options, AnswerOf(rooms), rooms.Instances,
        new Forwarder(rooms.Options, rooms.Revisions, rooms.Time),
        new LambdaForwarder(rooms.Options, rooms.Revisions, rooms.Time),
        new SharedCalls(
            rooms.Runs, AnswerOf(rooms), rooms.Options, rooms.Results, rooms.SharedCalls, rooms.Secrets, rooms.Time),
        rooms.Exit, rooms.Time);

    public static void Map(IEndpointRouteBuilder routes, ServerRooms rooms, FunctionCalls functionCalls)
    {
        MapOperation(routes, rooms);
        MapRuns(routes, rooms);
        MapFunctions(routes, rooms, functionCalls);
        MapImages(routes, rooms);
        MapRepositories(routes, rooms);
        MapContainers(routes, rooms);
        TokenEndpoints tokens = new(rooms.Tokens);
        MapRead(routes, "/v1/tokens", tokens.ListAsync);
        Map(routes, "POST", "/v1/tokens", tokens.CreateAsync);
        Map(routes, "DELETE", "/v1/tokens/{id}", tokens.RevokeAsync);
        IEndpointConventionBuilder registry = rooms.Registry.Map(routes).WithMetadata(AccessTable.Registry);
        registry.Add(endpoint => endpoint.RequestDelegate = WithPatience(endpoint.RequestDelegate!, rooms));
    }

    private static void MapOperation(IEndpointRouteBuilder routes, ServerRooms rooms)
    {
        HealthEndpoints health = new(rooms.Options, rooms.Store, rooms.Lifetime);
        MapRead(routes, "/healthz", health.HealthAsync);
        MapRead(routes, "/readyz", health.ReadyAsync);
        MapRead(routes, "/openapi/v1.json", OpenApiDocument.HandleAsync);
        MapRead(routes, "/metrics", rooms.Metrics.HandleAsync);
        Map(routes, "GET", "/v1/backup", new BackupEndpoint(rooms.Backups).HandleAsync);
        NodeEndpoints node = new(rooms.Node, rooms.Runs);
        MapRead(routes, "/v1/node", node.NodeAsync);
        MapRead(routes, "/v1/sandboxes", node.SandboxesAsync);
        MapRead(routes, "/v1/version", node.VersionAsync);
        NodesEndpoints nodes = new(rooms.Nodes, rooms.Nodes.Drains!, rooms.Time);
        MapRead(routes, "/v1/nodes", nodes.ListAsync);
        MapRead(routes, "/v1/nodes/{name}", nodes.GetAsync);
        Map(routes, "PATCH", "/v1/nodes/{name}", nodes.PatchAsync);
        Map(routes, "DELETE", "/v1/nodes/{name}", nodes.RemoveAsync);
        Map(routes, "POST", "/v1/nodes/{name}/cordon", nodes.CordonAsync);
        Map(routes, "POST", "/v1/nodes/{name}/uncordon", nodes.UncordonAsync);
        Map(routes, "POST", "/v1/nodes/{name}/drain", nodes.DrainAsync);
        Map(routes, "POST", "/v1/nodes/{name}/evict", nodes.EvictAsync);
        Map(routes, "POST", "/v1/node-tokens", nodes.MakeTokenAsync);
        Map(routes, "GET", "/v1/node-tokens", nodes.ListTokensAsync);
        Map(routes, "DELETE", "/v1/node-tokens/{id}", nodes.RemoveTokenAsync);
    }

    private static void MapContainers(IEndpointRouteBuilder routes, ServerRooms rooms)
    {
        ContainerEndpoints.ContainerEndpoints containers = new(
            rooms.Containers, rooms.Catalog, rooms.Networks, rooms.Options, rooms.Lifetime, rooms.Time);
        MapRead(routes, "/v1/containers", containers.ListAsync);
        Map(routes, "POST", "/v1/containers", containers.CreateAsync);
        IEndpointRouteBuilder own = OtherServers.Around(routes, rooms.Store, rooms.Nodes.Directory);
        MapRead(own, "/v1/containers/{id}", containers.GetAsync);
        Map(own, "DELETE", "/v1/containers/{id}", containers.RemoveAsync);
        Map(own, "POST", "/v1/containers/{id}/start", containers.StartAsync);
        Map(own, "POST", "/v1/containers/{id}/stop", containers.StopAsync);
        Map(own, "POST", "/v1/containers/{id}/restart", containers.RestartAsync);
        Map(own, "POST", "/v1/containers/{id}/kill", containers.KillAsync);
        Map(own, "POST", "/v1/containers/{id}/pause", containers.PauseAsync);
        Map(own, "POST", "/v1/containers/{id}/unpause", containers.ResumeAsync);
        Map(own, "POST", "/v1/containers/{id}/rename", containers.RenameAsync);
        MapRead(own, "/v1/containers/{id}/stats", containers.StatsAsync);
        MapRead(own, "/v1/containers/{id}/processes", containers.ProcessesAsync);

        ContainerLogEndpoint logs = new(rooms.Containers, rooms.Lifetime, rooms.Time);
        Map(own, "GET", "/v1/containers/{id}/logs", logs.HandleAsync);
        StreamEndpoints streams = new(rooms.Containers, rooms.Lifetime);
        Map(own, "GET", "/v1/containers/{id}/attach", streams.AttachAsync);
        Map(own, "GET", "/v1/containers/{id}/exec", streams.ExecAsync);
        FileEndpoints files = new(rooms.Containers, rooms.Options.BodyIdleTimeout, rooms.Time);
        MapRead(own, "/v1/containers/{id}/path", files.StatAsync);
        Map(own, "GET", "/v1/containers/{id}/archive", files.ReadAsync);
        Map(own, "PUT", "/v1/containers/{id}/archive", files.WriteAsync);

        VolumeEndpoints volumes = new(rooms.Containers);
        MapRead(routes, "/v1/volumes", volumes.ListAsync);
        Map(routes, "POST", "/v1/volumes", volumes.CreateAsync);
        MapRead(routes, "/v1/volumes/{name}", volumes.GetAsync);
        Map(routes, "DELETE", "/v1/volumes/{name}", volumes.RemoveAsync);
        NetworkEndpoints.NetworkEndpoints networks = new(rooms.Networks, rooms.NetworkUsers, rooms.Options);
        MapRead(routes, "/v1/networks", networks.ListAsync);
        Map(routes, "POST", "/v1/networks", networks.CreateAsync);
        Map(routes, "POST", "/v1/networks/prune", networks.PruneAsync);
        MapRead(routes, "/v1/networks/{name}", networks.GetAsync);
        Map(routes, "DELETE", "/v1/networks/{name}", networks.RemoveAsync);
        SystemEndpoints system = new(rooms.Containers, rooms.Node, rooms.Catalog, rooms.Figures);
        MapRead(routes, "/v1/system/usage", system.UsageAsync);
        Map(routes, "POST", "/v1/system/prune", system.PruneAsync);
    }

    private static void MapRuns(IEndpointRouteBuilder routes, ServerRooms rooms)
    {
        CallEndpoints calls = new(rooms.Catalog, rooms.Networks, rooms.Options, AnswerOf(rooms));
        Map(routes, "POST", "/v1/call/{**reference}", calls.CallAsync);
        Map(routes, "GET", "/v1/call/{**reference}", calls.CallAsync);
        Map(routes, "POST", "/v1/tasks/{**reference}", calls.TaskAsync);

        RunEndpoints.RunEndpoints runs = new(rooms.Runs, rooms.Lifetime);
        LogEndpoint logs = new(rooms.Runs, rooms.Lifetime, rooms.Time);
        EventEndpoints events = new(rooms.Runs, rooms.Lifetime, rooms.Time);
        MapRead(routes, "/v1/runs", runs.ListAsync);
        MapRead(routes, "/v1/runs/{id}", runs.GetAsync);
        MapRead(routes, "/v1/runs/{id}/result", runs.ResultAsync);
        MapRead(routes, "/v1/runs/{id}/input", runs.InputAsync);
        Map(routes, "GET", "/v1/runs/{id}/logs", logs.HandleAsync);
        Map(routes, "GET", "/v1/runs/{id}/events", events.OfRunAsync);
        MapRead(routes, "/v1/runs/{id}/why", runs.WhyAsync);
        Map(routes, "POST", "/v1/runs/{id}/cancel", runs.CancelAsync);
        Map(routes, "GET", "/v1/events", events.OfAllAsync);
        DeadLetterEndpoints letters = new(rooms.Runs);
        MapRead(routes, "/v1/dead-letters", letters.ListAsync);
        Map(routes, "POST", "/v1/dead-letters/{id}/redrive", letters.RedriveAsync);
        Map(routes, "DELETE", "/v1/dead-letters/{id}", letters.PurgeAsync);
    }

    private static CallAnswer AnswerOf(ServerRooms rooms) => new(
        rooms.Runs, rooms.Options, rooms.Meters, rooms.Overflow, rooms.Lifetime, rooms.Time);

    private static void MapFunctions(IEndpointRouteBuilder routes, ServerRooms rooms, FunctionCalls calls)
    {
        FunctionEndpoints.FunctionEndpoints functions = new(
            rooms.Functions, rooms.Instances, rooms.Revisions, rooms.Catalog, rooms.Secrets, rooms.Networks,
            rooms.Nodes.Fleet, rooms.Options, rooms.Time);
        MapRead(routes, "/v1/functions", functions.ListAsync);
        MapRead(routes, "/v1/functions/{name}", calls.OrRoot(functions.GetAsync));
        Map(routes, "PUT", "/v1/functions/{name}", calls.OrRoot(functions.DeployAsync));
        Map(routes, "DELETE", "/v1/functions/{name}", calls.OrRoot(functions.RemoveAsync));
        Map(routes, "POST", "/v1/plans/{name}", functions.PlanAsync);
        MapRead(routes, "/v1/revisions/{name}", functions.RevisionsAsync);
        MapRead(routes, "/v1/revisions/{name}/{number}", functions.RevisionAsync);
        Map(routes, "PUT", "/v1/traffic/{name}", functions.RouteAsync);
        Map(routes, "POST", "/v1/traffic/{name}/rollback", functions.RollBackAsync);
        FunctionLogEndpoint logs = new(
            new FunctionLogs(rooms.Functions, rooms.Runs.Rooms), rooms.Lifetime, rooms.Time);
        Map(routes, "GET", "/v1/logs/{name}", logs.HandleAsync);
        Map(routes, "PUT", "/v1/scale/{name}", functions.ScaleAsync);
        RolloutEndpoints.RolloutEndpoints rollouts = new(rooms.Functions, rooms.Rollouts, rooms.Revisions, rooms.Time);
        MapRead(routes, "/v1/rollouts/{name}", rollouts.GetAsync);
        Map(routes, "PUT", "/v1/rollouts/{name}", rollouts.StartAsync);
        Map(routes, "DELETE", "/v1/rollouts/{name}", rollouts.AbortAsync);
        Map(routes, "POST", "/v1/rollouts/{name}/promote", rollouts.PromoteAsync);
        Map(routes, "POST", "/v1/rollouts/{name}/pause", rollouts.PauseAsync);
        Map(routes, "POST", "/v1/rollouts/{name}/resume", rollouts.ResumeAsync);
        // HEAD goes where GET goes.
        MapRead(routes, FunctionCalls.Pattern, calls.CallAsync).WithMetadata(LoopWork.Own);
        MapRead(routes, FunctionCalls.OpenFaasPattern, calls.CallAsync).WithMetadata(LoopWork.Own);
        foreach (string method in FunctionCalls.Methods.Where(m => m != "GET"))
        {
            Map(routes, method, FunctionCalls.Pattern, calls.CallAsync).WithMetadata(LoopWork.Own);
            Map(routes, method, FunctionCalls.OpenFaasPattern, calls.CallAsync).WithMetadata(LoopWork.Own);
        }

        MapTriggers(routes, rooms);
        SecretEndpoints.SecretEndpoints secrets = new(rooms.Secrets, rooms.SecretUsers);
        MapRead(routes, "/v1/secrets", secrets.ListAsync);
        MapRead(routes, "/v1/secrets/{name}", secrets.GetAsync);
        Map(routes, "PUT", "/v1/secrets/{name}", secrets.PutAsync);
        Map(routes, "DELETE", "/v1/secrets/{name}", secrets.RemoveAsync);
        Map(routes, "POST", FunctionCalls.OpenFaasTaskPattern, calls.TaskAsync);
        OpenFaasEndpoints openFaas = new(rooms.Functions, rooms.Instances, rooms.Revisions);
        MapRead(routes, "/system/functions", openFaas.ListAsync);
        MapRead(routes, "/system/function/{name}", openFaas.GetAsync);
        MapRead(routes, "/system/info", openFaas.InfoAsync);
        MapLambda(routes, rooms);
    }

    private static void MapTriggers(IEndpointRouteBuilder routes, ServerRooms rooms)
    {
        TriggerRooms parts = rooms.Triggers;
        TriggerEndpoints.TriggerEndpoints triggers = new(
            parts.Manager, new TriggerEndpoints.TriggerOrder(parts.Calls, rooms.Secrets, rooms.Time), parts.Firing,
            rooms.Node.Storage, rooms.Time);
        MapRead(routes, "/v1/triggers", triggers.ListAsync);
        MapRead(routes, "/v1/triggers/{name}", triggers.GetAsync);
        Map(routes, "PUT", "/v1/triggers/{name}", triggers.PutAsync);
        Map(routes, "DELETE", "/v1/triggers/{name}", triggers.RemoveAsync);
        Map(routes, "POST", "/v1/triggers/{name}/plan", triggers.PlanAsync);
        Map(routes, "POST", "/v1/triggers/{name}/pause", triggers.PauseAsync);
        Map(routes, "POST", "/v1/triggers/{name}/resume", triggers.ResumeAsync);
        Map(routes, "POST", "/v1/triggers/{name}/fire", triggers.FireAsync);
        TriggerEndpoints.HookEndpoints events = new(parts.Manager, parts.Firing, rooms.Secrets, rooms.Time);
        Map(routes, "POST", "/v1/hooks/{name}", events.HookAsync);
        Map(routes, "POST", "/v1/events/{name}", events.ReceiveAsync);
    }

    private static void MapLambda(IEndpointRouteBuilder routes, ServerRooms rooms)
    {
        InvokeEndpoint invoke = new(
            rooms.Functions, rooms.Instances, rooms.Runs, rooms.Revisions, rooms.Options, rooms.Time);
        Map(routes, "POST", AwsApi.Functions + "/{name}/invocations", invoke.InvokeAsync);
        LambdaFunctionEndpoints functions = new(rooms.Functions);
        MapRead(routes, AwsApi.Functions, functions.ListAsync);
        MapRead(routes, AwsApi.Functions + "/{name}", functions.GetAsync);
        MapRead(routes, AwsApi.Functions + "/{name}/configuration", functions.ConfigurationAsync);
    }

    private static void MapImages(IEndpointRouteBuilder routes, ServerRooms rooms)
    {
        ImageEndpoints.ImageEndpoints images = new(
            rooms.Catalog, rooms.Repositories, rooms.Layers, rooms.Collector, rooms.Figures, rooms.Time);
        ComparisonEndpoints comparisons = new(rooms.Catalog, rooms.Content);
        CopyEndpoints copies = new(
            rooms.Content, rooms.Repositories, rooms.Layers, ServerRooms.OtherRegistries(rooms.Options),
            rooms.Readiness, rooms.Time, rooms.Loggers.CreateLogger<CopyEndpoints>());
        MapRead(routes, "/v1/images", images.ListAsync);
        MapRead(routes, "/v1/images/{**reference}", images.GetAsync);
        Map(routes, "DELETE", "/v1/images/{**reference}", images.DeleteAsync);
        Map(routes, "POST", "/v1/images/pull", copies.PullAsync);
        Map(routes, "POST", "/v1/images/push", copies.PushAsync);
        Map(routes, "POST", "/v1/images/collect", images.CollectAsync);
        Map(routes, "POST", "/v1/images/prune", images.PruneAsync);
        Map(routes, "GET", "/v1/image-diff", comparisons.CompareAsync);
    }

    private static void MapRepositories(IEndpointRouteBuilder routes, ServerRooms rooms)
    {
        RepositoryEndpoints.RepositoryEndpoints repositories = new(
            rooms.Repositories, rooms.Policies, rooms.Retention, new CallbackPolicy(rooms.Options.CallbackAllow));
        MapRead(routes, "/v1/repositories", repositories.ListAsync);
        MapRead(routes, "/v1/repositories/{**scope}", repositories.GetAsync);
        Map(routes, "PUT", "/v1/repositories/{**scope}", repositories.SetAsync);
        Map(routes, "DELETE", "/v1/repositories/{**scope}", repositories.DeleteAsync);
        Map(routes, "POST", "/v1/retention", repositories.RetainAsync);
    }

    private static RequestDelegate WithPatience(RequestDelegate handler, ServerRooms rooms) => context =>
    {
        PatientBody.Install(context, rooms.Options.BodyIdleTimeout, rooms.Time);
        return handler(context);
    };

    /// <summary>A route whose answer is there at once: HEAD tells the same without the body.</summary>
    private static IEndpointConventionBuilder MapRead(
        IEndpointRouteBuilder routes, string pattern, RequestDelegate handler) =>
        routes.MapMethods(pattern, ["GET", "HEAD"], handler).WithMetadata(AccessTable.Find("GET", pattern));

    private static IEndpointConventionBuilder Map(
        IEndpointRouteBuilder routes, string method, string pattern, RequestDelegate handler) =>
        routes.MapMethods(pattern, [method], handler).WithMetadata(AccessTable.Find(method, pattern));
}
