using System.Collections.Frozen;

namespace Berth.Server.Access;

/// <summary>A route and what it needs. Attached to the endpoint when the route is mapped.</summary>
public sealed record AccessRow(string Method, string Pattern, Permission Permission)
{
    /// <summary>Whether its <c>{name}</c> is a function's.</summary>
    public bool IsOfFunction { get; } = Pattern.Contains("function/{name}", StringComparison.Ordinal)
        || Pattern.Contains("functions/{name}", StringComparison.Ordinal);
}

/// <summary>
/// The one table of routes and what each needs. A route that is not in it can't be mapped; a row that is not
/// mapped fails a test.
/// </summary>
public static class AccessTable
{
    private static readonly AccessRow[] Table =
    [
        new("GET", "/healthz", Permission.Open),
        new("GET", "/readyz", Permission.Open),
        new("GET", "/openapi/v1.json", Permission.Authenticated),
        new("GET", "/metrics", Permission.MetricsRead),

        new("POST", "/v1/call/{**reference}", Permission.RunCreate),
        new("GET", "/v1/call/{**reference}", Permission.RunCreate),
        new("POST", "/v1/tasks/{**reference}", Permission.RunCreate),

        new("GET", "/v1/runs", Permission.RunRead),
        new("GET", "/v1/runs/{id}", Permission.RunRead),
        new("GET", "/v1/runs/{id}/result", Permission.RunRead),
        new("GET", "/v1/runs/{id}/input", Permission.RunRead),
        new("GET", "/v1/runs/{id}/logs", Permission.RunRead),
        new("GET", "/v1/runs/{id}/events", Permission.RunRead),
        new("GET", "/v1/runs/{id}/why", Permission.RunRead),
        new("POST", "/v1/runs/{id}/cancel", Permission.RunCancel),
        new("GET", "/v1/events", Permission.RunRead),
        new("GET", "/v1/dead-letters", Permission.RunRead),
        new("POST", "/v1/dead-letters/{id}/redrive", Permission.RunCreate),
        new("DELETE", "/v1/dead-letters/{id}", Permission.RunCancel),

        new("GET", "/v1/functions", Permission.FunctionRead),
        new("GET", "/v1/functions/{name}", Permission.FunctionRead),
        new("PUT", "/v1/functions/{name}", Permission.FunctionManage),
        new("DELETE", "/v1/functions/{name}", Permission.FunctionManage),
        new("POST", "/v1/plans/{name}", Permission.FunctionManage),
        new("GET", "/v1/revisions/{name}", Permission.FunctionManage),
        new("GET", "/v1/revisions/{name}/{number}", Permission.FunctionManage),
        new("PUT", "/v1/traffic/{name}", Permission.FunctionManage),
        new("POST", "/v1/traffic/{name}/rollback", Permission.FunctionManage),
        new("GET", "/v1/logs/{name}", Permission.RunRead),
        new("PUT", "/v1/scale/{name}", Permission.FunctionManage),
        new("GET", "/v1/rollouts/{name}", Permission.FunctionRead),
        new("PUT", "/v1/rollouts/{name}", Permission.FunctionManage),
        new("DELETE", "/v1/rollouts/{name}", Permission.FunctionManage),
        new("POST", "/v1/rollouts/{name}/promote", Permission.FunctionManage),
        new("POST", "/v1/rollouts/{name}/pause", Permission.FunctionManage),
        new("POST", "/v1/rollouts/{name}/resume", Permission.FunctionManage),
        new("GET", "/v1/secrets", Permission.SecretRead),
        new("GET", "/v1/secrets/{name}", Permission.SecretRead),
        new("PUT", "/v1/secrets/{name}", Permission.SecretManage),
        new("DELETE", "/v1/secrets/{name}", Permission.SecretManage),
        new("GET", "/v1/triggers", Permission.FunctionManage),
        new("GET", "/v1/triggers/{name}", Permission.FunctionManage),
        new("PUT", "/v1/triggers/{name}", Permission.FunctionManage),
        new("DELETE", "/v1/triggers/{name}", Permission.FunctionManage),
        new("POST", "/v1/triggers/{name}/plan", Permission.FunctionManage),
        new("POST", "/v1/triggers/{name}/pause", Permission.FunctionManage),
        new("POST", "/v1/triggers/{name}/resume", Permission.FunctionManage),
        new("POST", "/v1/triggers/{name}/fire", Permission.FunctionManage),
        new("POST", "/v1/hooks/{name}", Permission.Open),
        new("POST", "/v1/events/{name}", Permission.RunCreate),
        new("GET", "/v1/functions/{name}/{**path}", Permission.FunctionCall),
        new("POST", "/v1/functions/{name}/{**path}", Permission.FunctionCall),
        new("PUT", "/v1/functions/{name}/{**path}", Permission.FunctionCall),
        new("PATCH", "/v1/functions/{name}/{**path}", Permission.FunctionCall),
        new("DELETE", "/v1/functions/{name}/{**path}", Permission.FunctionCall),
        new("OPTIONS", "/v1/functions/{name}/{**path}", Permission.FunctionCall),
        new("GET", "/function/{name}/{**path}", Permission.FunctionCall),
        new("POST", "/function/{name}/{**path}", Permission.FunctionCall),
        new("PUT", "/function/{name}/{**path}", Permission.FunctionCall),
        new("PATCH", "/function/{name}/{**path}", Permission.FunctionCall),
        new("DELETE", "/function/{name}/{**path}", Permission.FunctionCall),
        new("OPTIONS", "/function/{name}/{**path}", Permission.FunctionCall),
        new("POST", "/async-function/{name}/{**path}", Permission.RunCreate),
        new("GET", "/system/functions", Permission.FunctionRead),
        new("GET", "/system/function/{name}", Permission.FunctionRead),
        new("GET", "/system/info", Permission.Authenticated),
        new("POST", "/2015-03-31/functions/{name}/invocations", Permission.RunCreate),
        new("GET", "/2015-03-31/functions", Permission.FunctionRead),
        new("GET", "/2015-03-31/functions/{name}", Permission.FunctionRead),
        new("GET", "/2015-03-31/functions/{name}/configuration", Permission.FunctionRead),

        new("GET", "/v1/containers", Permission.ContainerRead),
        new("POST", "/v1/containers", Permission.ContainerManage),
        new("GET", "/v1/containers/{id}", Permission.ContainerRead),
        new("DELETE", "/v1/containers/{id}", Permission.ContainerManage),
        new("POST", "/v1/containers/{id}/start", Permission.ContainerManage),
        new("POST", "/v1/containers/{id}/stop", Permission.ContainerManage),
        new("POST", "/v1/containers/{id}/restart", Permission.ContainerManage),
        new("POST", "/v1/containers/{id}/kill", Permission.ContainerManage),
        new("POST", "/v1/containers/{id}/pause", Permission.ContainerManage),
        new("POST", "/v1/containers/{id}/unpause", Permission.ContainerManage),
        new("POST", "/v1/containers/{id}/rename", Permission.ContainerManage),
        new("GET", "/v1/containers/{id}/stats", Permission.ContainerRead),
        new("GET", "/v1/containers/{id}/processes", Permission.ContainerRead),
        new("GET", "/v1/containers/{id}/logs", Permission.ContainerRead),
        new("GET", "/v1/containers/{id}/attach", Permission.ContainerManage),
        new("GET", "/v1/containers/{id}/exec", Permission.ContainerManage),
        new("GET", "/v1/containers/{id}/path", Permission.ContainerManage),
        new("GET", "/v1/containers/{id}/archive", Permission.ContainerManage),
        new("PUT", "/v1/containers/{id}/archive", Permission.ContainerManage),
        new("GET", "/v1/volumes", Permission.ContainerRead),
        new("POST", "/v1/volumes", Permission.ContainerManage),
        new("GET", "/v1/volumes/{name}", Permission.ContainerRead),
        new("DELETE", "/v1/volumes/{name}", Permission.ContainerManage),
        new("GET", "/v1/networks", Permission.ContainerRead),
        new("POST", "/v1/networks", Permission.ContainerManage),
        new("POST", "/v1/networks/prune", Permission.ContainerManage),
        new("GET", "/v1/networks/{name}", Permission.ContainerRead),
        new("DELETE", "/v1/networks/{name}", Permission.ContainerManage),
        new("GET", "/v1/system/usage", Permission.ContainerRead),
        new("POST", "/v1/system/prune", Permission.ContainerManage),

        new("GET", "/v1/sandboxes", Permission.NodeRead),
        new("GET", "/v1/node", Permission.NodeRead),
        new("GET", "/v1/version", Permission.Authenticated),
        new("GET", "/v1/nodes", Permission.NodeRead),
        new("GET", "/v1/nodes/{name}", Permission.NodeRead),
        new("PATCH", "/v1/nodes/{name}", Permission.NodeManage),
        new("DELETE", "/v1/nodes/{name}", Permission.NodeManage),
        new("POST", "/v1/nodes/{name}/cordon", Permission.NodeManage),
        new("POST", "/v1/nodes/{name}/uncordon", Permission.NodeManage),
        new("POST", "/v1/nodes/{name}/drain", Permission.NodeManage),
        new("POST", "/v1/nodes/{name}/evict", Permission.NodeManage),
        new("POST", "/v1/node-tokens", Permission.NodeManage),
        new("GET", "/v1/node-tokens", Permission.NodeManage),
        new("DELETE", "/v1/node-tokens/{id}", Permission.NodeManage),

        new("GET", "/v1/backup", Permission.Backup),

        new("GET", "/v1/images", Permission.ImageRead),
        new("GET", "/v1/images/{**reference}", Permission.ImageRead),
        new("DELETE", "/v1/images/{**reference}", Permission.ImageDelete),
        new("POST", "/v1/images/pull", Permission.ImageWrite),
        new("POST", "/v1/images/push", Permission.ImageWrite),
        new("POST", "/v1/images/collect", Permission.ImageCollect),
        new("POST", "/v1/images/prune", Permission.ImageCollect),
        new("GET", "/v1/image-diff", Permission.ImageRead),

        new("GET", "/v1/repositories", Permission.ImageRead),
        new("GET", "/v1/repositories/{**scope}", Permission.ImageRead),
        new("PUT", "/v1/repositories/{**scope}", Permission.RepositoryManage),
        new("DELETE", "/v1/repositories/{**scope}", Permission.RepositoryManage),
        new("POST", "/v1/retention", Permission.RepositoryManage),

        new("GET", "/v1/tokens", Permission.TokenManage),
        new("POST", "/v1/tokens", Permission.TokenManage),
        new("DELETE", "/v1/tokens/{id}", Permission.TokenManage),
    ];

    private static readonly FrozenDictionary<(string, string), AccessRow> ByRoute =
        Table.ToFrozenDictionary(r => (r.Method, r.Pattern));

    public static IReadOnlyList<AccessRow> All => Table;

    /// <summary>What every route of the registry protocol is marked with.</summary>
    public static AccessRow Registry { get; } = new("*", "/v2/{**path}", Permission.Registry);

    public static AccessRow Find(string method, string pattern) => ByRoute.GetValueOrDefault((method, pattern))
        ?? throw new InvalidOperationException($"{method} {pattern} has no row in the table of access.");
}
