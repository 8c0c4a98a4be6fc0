using System.Globalization;
using System.Net.Http.Headers;
using System.Runtime.CompilerServices;
using System.Text.Json;
using Berth.Api.Containers;
using Berth.Core.Errors;
using Berth.Core.Resources;

namespace Berth.Api.Client;

/// <summary>Which containers to list; null is any.</summary>
/// <param name="All">Those that have ended or were never started, too.</param>
/// <param name="State">As in <see cref="ContainerView"/>; all of it, whatever <paramref name="All"/> says.</param>
/// <param name="Label"><c>key</c> or <c>key=value</c>.</param>
public sealed record ContainerFilter(
    bool All = false, string? State = null, string? Name = null, string? Image = null, string? Label = null);

/// <summary>Containers: named by name, by id, or by the beginning of an id.</summary>
public sealed class ContainersClient
{
    private const int PageSize = 1000;

    /// <summary>One long poll: below the limit that proxies commonly set on silence.</summary>
    private static readonly TimeSpan Poll = TimeSpan.FromSeconds(30);

    private readonly ApiExchange exchange;

    internal ContainersClient(ApiExchange exchange) => this.exchange = exchange;

    public Task<ContainerView> CreateAsync(ContainerRequest request, CancellationToken cancellationToken) =>
        exchange.PostAsync(
            "v1/containers", request, ContainerJson.Default.ContainerRequest, ContainerJson.Default.ContainerView,
            cancellationToken);

    public Task<ContainerView> GetAsync(string container, CancellationToken cancellationToken) =>
        exchange.GetAsync(PathOf(container), ContainerJson.Default.ContainerView, cancellationToken);

    /// <summary>Newest first, fetched page by page as they are asked for.</summary>
    public async IAsyncEnumerable<ContainerView> ListAsync(
        ContainerFilter filter, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        string? cursor = null;
        do
        {
            string query = Query.Of(
                ("all", filter.All ? "true" : null), ("state", filter.State), ("name", filter.Name),
                ("image", filter.Image), ("label", filter.Label),
                ("limit", PageSize.ToString(CultureInfo.InvariantCulture)), ("cursor", cursor));
            ContainerPage page = await exchange.GetAsync(
                "v1/containers" + query, ContainerJson.Default.ContainerPage, cancellationToken);
            foreach (ContainerView container in page.Containers)
            {
                yield return container;
            }

            cursor = page.Next;
        }
        while (cursor is not null);
    }

    public Task<ContainerView> StartAsync(string container, CancellationToken cancellationToken) =>
        StepAsync(container, "start", cancellationToken);

    /// <param name="grace">Null for the container's own.</param>
    public Task<ContainerView> StopAsync(string container, TimeSpan? grace, CancellationToken cancellationToken) =>
        StepAsync(container, "stop" + GraceOf(grace), cancellationToken);

    public Task<ContainerView> RestartAsync(string container, TimeSpan? grace, CancellationToken cancellationToken) =>
        StepAsync(container, "restart" + GraceOf(grace), cancellationToken);

    /// <param name="signal">Name or number.</param>
    public Task<ContainerView> KillAsync(string container, string signal, CancellationToken cancellationToken) =>
        StepAsync(container, "kill" + Query.Of(("signal", signal)), cancellationToken);

    public Task<ContainerView> PauseAsync(string container, CancellationToken cancellationToken) =>
        StepAsync(container, "pause", cancellationToken);

    public Task<ContainerView> ResumeAsync(string container, CancellationToken cancellationToken) =>
        StepAsync(container, "unpause", cancellationToken);

    public Task<ContainerView> RenameAsync(string container, string name, CancellationToken cancellationToken) =>
        StepAsync(container, "rename" + Query.Of(("name", name)), cancellationToken);

    /// <param name="force">Ends its program first.</param>
    /// <param name="volumes">The volumes made for it alone, too.</param>
    public Task RemoveAsync(string container, bool force, bool volumes, CancellationToken cancellationToken) =>
        exchange.DeleteAsync(
            PathOf(container) + Query.Of(("force", force ? "true" : null), ("volumes", volumes ? "true" : null)),
            cancellationToken);

    /// <summary>The container once no program of it runs.</summary>
    public async Task<ContainerView> WaitAsync(string container, CancellationToken cancellationToken)
    {
        while (true)
        {
            ContainerView view = await exchange.GetAsync(
                PathOf(container) + Query.Of(("wait", Duration.Format(Poll))), ContainerJson.Default.ContainerView,
                cancellationToken);
            if (view.State is "created" or "exited")
            {
                return view;
            }
        }
    }

    /// <summary>What it uses now; throws <c>Conflict</c> where it does not run.</summary>
    public Task<ContainerStats> StatsAsync(string container, CancellationToken cancellationToken) =>
        exchange.GetAsync(PathOf(container) + "/stats", ContainerJson.Default.ContainerStats, cancellationToken);

    public async Task<IReadOnlyList<ContainerProcess>> ProcessesAsync(
        string container, CancellationToken cancellationToken) =>
        (await exchange.GetAsync(
            PathOf(container) + "/processes", ContainerJson.Default.ContainerProcesses, cancellationToken)).Processes;

    /// <summary>Opens what its program wrote, framed as <see cref="StreamProtocol.FramedLog"/>. The caller disposes it.
    /// </summary>
    public async Task<Stream> OpenLogsAsync(string container, LogOptions options, CancellationToken cancellationToken)
    {
        string path = PathOf(container) + "/logs" + Query.Of(
            ("follow", options.Follow ? "true" : null),
            ("tail", options.Tail?.ToString(CultureInfo.InvariantCulture)),
            ("since", options.Since?.ToString("O", CultureInfo.InvariantCulture)),
            ("timestamps", options.Timestamps ? "true" : null));
        HttpResponseMessage response = await exchange.SendSafelyAsync(
            () =>
            {
                HttpRequestMessage request = new(HttpMethod.Get, exchange.UriOf(path));
                request.Headers.Accept.Add(new MediaTypeWithQualityHeaderValue(StreamProtocol.FramedLog));
                return request;
            },
            cancellationToken);
        return await response.Content.ReadAsStreamAsync(cancellationToken);
    }

    /// <summary>Gets what its program writes from now on; one that does not run yet is waited for.</summary>
    public Task<ProgramConnection> AttachAsync(string container, CancellationToken cancellationToken) =>
        ProgramConnection.OpenAsync(exchange, PathOf(container) + "/attach", null, cancellationToken);

    /// <summary>Runs another program in it.</summary>
    /// <param name="size">Of its terminal, where it has one.</param>
    public Task<ProgramConnection> ExecuteAsync(
        string container, ExecRequest exec, (ushort Rows, ushort Columns)? size, CancellationToken cancellationToken) =>
        ProgramConnection.OpenAsync(
            exchange, PathOf(container) + "/exec",
            new StreamMessage("start", Rows: size?.Rows, Columns: size?.Columns, Exec: exec), cancellationToken);

    /// <summary>What there is at a path in it. Throws <c>NotFound</c>.</summary>
    public Task<PathView> StatPathAsync(string container, string path, CancellationToken cancellationToken) =>
        exchange.GetAsync(
            PathOf(container) + "/path" + Query.Of(("path", path)), ContainerJson.Default.PathView, cancellationToken);

    /// <summary>Opens a tar archive of what is at a path. The caller disposes it, and trusts nothing in it.</summary>
    public async Task<Stream> OpenArchiveAsync(string container, string path, CancellationToken cancellationToken)
    {
        HttpResponseMessage response = await exchange.OpenAsync(
            new HttpRequestMessage(
                HttpMethod.Get, exchange.UriOf(PathOf(container) + "/archive" + Query.Of(("path", path)))),
            cancellationToken);
        return await response.Content.ReadAsStreamAsync(cancellationToken);
    }

    /// <summary>Unpacks a tar archive into a folder of it.</summary>
    /// <param name="write">Writes the archive.</param>
    public async Task WriteArchiveAsync(
        string container, string folder, Func<Stream, CancellationToken, Task> write,
        CancellationToken cancellationToken)
    {
        using WrittenContent content = new(write);
        content.Headers.ContentType = new MediaTypeHeaderValue("application/x-tar");
        using HttpRequestMessage request = new(
            HttpMethod.Put, exchange.UriOf(PathOf(container) + "/archive" + Query.Of(("path", folder))))
        {
            Content = content,
        };
        using HttpResponseMessage response = await exchange.OpenPatientlyAsync(request, cancellationToken);
    }

    private static string PathOf(string container) => "v1/containers/" + Uri.EscapeDataString(container);

    private static string GraceOf(TimeSpan? grace) =>
        Query.Of(("grace", grace is { } time ? Duration.Format(time) : null));

    private async Task<ContainerView> StepAsync(string container, string step, CancellationToken cancellationToken)
    {
        using HttpRequestMessage request = new(HttpMethod.Post, exchange.UriOf($"{PathOf(container)}/{step}"));
        using HttpResponseMessage response = await exchange.OpenPatientlyAsync(request, cancellationToken);
        byte[] body = await response.Content.ReadAsByteArrayAsync(cancellationToken);
        return JsonSerializer.Deserialize(body, ContainerJson.Default.ContainerView)
            ?? throw new BerthException(ErrorCode.Upstream, "The server answered with nothing.");
    }
}

/// <summary>Named volumes, and what Berth keeps on disk.</summary>
public sealed class VolumesClient
{
    private readonly ApiExchange exchange;

    internal VolumesClient(ApiExchange exchange) => this.exchange = exchange;

    public async Task<IReadOnlyList<VolumeView>> ListAsync(CancellationToken cancellationToken) =>
        (await exchange.GetAsync("v1/volumes", ContainerJson.Default.VolumeList, cancellationToken)).Volumes;

    public Task<VolumeView> GetAsync(string name, CancellationToken cancellationToken) => exchange.GetAsync(
        "v1/volumes/" + Uri.EscapeDataString(name), ContainerJson.Default.VolumeView, cancellationToken);

    public Task<VolumeView> CreateAsync(VolumeRequest request, CancellationToken cancellationToken) =>
        exchange.PostAsync(
            "v1/volumes", request, ContainerJson.Default.VolumeRequest, ContainerJson.Default.VolumeView,
            cancellationToken);

    public Task RemoveAsync(string name, CancellationToken cancellationToken) =>
        exchange.DeleteAsync("v1/volumes/" + Uri.EscapeDataString(name), cancellationToken);

    public Task<SystemUsage> UsageAsync(CancellationToken cancellationToken) =>
        exchange.GetAsync("v1/system/usage", ContainerJson.Default.SystemUsage, cancellationToken);

    /// <summary>Removes containers that have ended, and volumes that nobody has.</summary>
    /// <param name="volumes">Named ones too.</param>
    public Task<SystemPruneResult> PruneAsync(bool volumes, CancellationToken cancellationToken) => exchange.PostAsync(
        "v1/system/prune", new SystemPruneRequest(volumes), ContainerJson.Default.SystemPruneRequest,
        ContainerJson.Default.SystemPruneResult, cancellationToken);
}

/// <summary>A body of unknown length that somebody writes.</summary>
internal sealed class WrittenContent(Func<Stream, CancellationToken, Task> write) : HttpContent
{
    protected override Task SerializeToStreamAsync(Stream stream, System.Net.TransportContext? context) =>
        SerializeToStreamAsync(stream, context, CancellationToken.None);

    protected override Task SerializeToStreamAsync(
        Stream stream, System.Net.TransportContext? context, CancellationToken cancellationToken) =>
        write(stream, cancellationToken);

    protected override bool TryComputeLength(out long length)
    {
        length = 0;
        return false;
    }
}
