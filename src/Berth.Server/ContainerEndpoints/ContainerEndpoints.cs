using System.Globalization;
using Berth.Api.Containers;
using Berth.Core.Containers;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Core.Networks;
using Berth.Core.Resources;
using Berth.Oci.Repositories;
using Berth.Server.Access;
using Berth.Server.Configuration;
using Berth.Server.Containers;
using Berth.Server.Hosting;
using Berth.Server.ImageEndpoints;
using Berth.Server.Networks;
using Berth.Server.Runs;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.ContainerEndpoints;

/// <summary>Makes, lists, steers and removes containers.</summary>
internal sealed class ContainerEndpoints(
    ContainerManager containers, ImageCatalog images, NetworkKeeper networks, ServerOptions options,
    ServerLifetime lifetime, TimeProvider time)
{
    private const int DefaultLimit = 100;
    private const int MaxLimit = 1000;

    private static readonly TimeSpan MaxWait = TimeSpan.FromMinutes(10);
    private static readonly TimeSpan MaxGrace = TimeSpan.FromHours(1);

    private readonly ContainerOrder order = new(options);

    public async Task CreateAsync(HttpContext context)
    {
        ContainerRequest request = await JsonBody.ReadAsync(
            context, ContainerRequestJson.Default.ContainerRequest, JsonBody.LargeLength);
        if (string.IsNullOrEmpty(request.Image))
        {
            throw new BerthException(ErrorCode.InvalidRequest, "The member 'image' is missing: name what to run.");
        }

        ImageReference reference = RequestedImage.Own(ImageReference.Parse(request.Image), context.Request);
        CatalogDetail detail = await images.DescribeAsync(reference, context.RequestAborted);
        ContainerSpec spec = order.Read(request, reference, images.Resolve(reference).Digest, detail.Config);
        Container container = await containers.CreateAsync(
            Bound(spec, Caller.Of(context)), request.Name, Caller.Of(context).Name, context.RequestAborted);
        context.Response.Headers.Location = "/v1/containers/" + container.Id;
        await WriteAsync(context, containers.Find(container.Id.Text), StatusCodes.Status201Created);
    }

    /// <summary>In a network of the caller's, where it is in one, and with an address of that.</summary>
    private ContainerSpec Bound(ContainerSpec spec, Caller caller)
    {
        if (spec.Bridge is not { } network)
        {
            return spec;
        }

        NetworkUse use = networks.Bind(network.Use, caller)!;
        NetworkDefinition definition = networks.Resolve(use);
        return network.Address is { } address && !AddressPool.IsToGive(definition.Subnet, address)
            ? throw new BerthException(
                ErrorCode.InvalidRequest,
                $"address = '{address}' can't be used: the network '{use.Name}' has {definition.Subnet}, and "
                + $"{definition.Gateway} is its own.")
            : spec with { Bridge = network with { Use = use } };
    }

    public async Task ListAsync(HttpContext context)
    {
        QueryText query = new(context.Request, "all", "state", "name", "image", "label", "limit", "cursor");
        bool all = query.Switch("all");
        string? state = query.Find("state");
        if (state is not null && !Enum.GetNames<ContainerState>().Append(ContainerPresentation.Unknown)
            .Contains(state, StringComparer.OrdinalIgnoreCase))
        {
            throw QueryText.Refuse(
                "state", state,
                "expected one of " + string.Join(
                    ", ",
                    Enum.GetValues<ContainerState>().Select(ContainerSteps.Word)
                        .Append(ContainerPresentation.Unknown)));
        }

        string? name = query.Find("name");
        string? image = query.Find("image");
        string[] labels = [.. query.FindAll("label").Select(l => l ?? "")];
        int limit = query.Number("limit", 1, MaxLimit, DefaultLimit);
        (DateTimeOffset, string)? after = Cursor(query);
        ContainerEntry[] found =
        [
            .. containers.List()
                .Where(e => state is null
                    ? all || e.Record.State is not (ContainerState.Created or ContainerState.Exited)
                    : state.Equals(ContainerPresentation.StateOf(e), StringComparison.OrdinalIgnoreCase))
                .Where(e => name is null || e.Record.Name.Contains(name, StringComparison.Ordinal))
                .Where(e => image is null || e.Record.Spec.Image == image || e.Record.Spec.Digest.Text == image)
                .Where(e => labels.All(l => Has(e.Record.Spec.Labels, l)))
                .Where(e => after is not { } last || e.Record.CreatedAt < last.Item1
                    || (e.Record.CreatedAt == last.Item1
                        && string.CompareOrdinal(e.Record.Id.Text, last.Item2) > 0))
                .Take(limit + 1),
        ];
        ContainerView[] views = [.. found.Take(limit).Select(ContainerPresentation.View)];
        string? next = found.Length > limit ? CursorOf(found[limit - 1].Record) : null;
        await JsonBody.WriteAsync(context, new ContainerPage(views, next), ContainerJson.Default.ContainerPage);
    }

    /// <summary>One container; with <c>wait</c> once no program of it runs.</summary>
    public async Task GetAsync(HttpContext context)
    {
        QueryText query = new(context.Request, "wait");
        ContainerEntry entry = EntryOf(context);
        if (query.Span("wait", MaxWait) is { } wait && wait > TimeSpan.Zero)
        {
            using CancellationTokenSource either =
                CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, lifetime.Stopping);
            try
            {
                await entry.EndedAsync(wait, either.Token);
            }
            catch (OperationCanceledException) when (!context.RequestAborted.IsCancellationRequested)
            {
                // The server stops: as it is now.
            }
        }

        await WriteAsync(context, entry);
    }

    public Task StartAsync(HttpContext context)
    {
        _ = new QueryText(context.Request);
        return StepAsync(context, null, (entry, _, token) => containers.StartAsync(entry, token));
    }

    public Task StopAsync(HttpContext context) => StepAsync(
        context, Grace(context), (entry, grace, token) => containers.StopAsync(entry, grace, token));

    public Task RestartAsync(HttpContext context) => StepAsync(
        context, Grace(context), (entry, grace, token) => containers.RestartAsync(entry, grace, token));

    public Task PauseAsync(HttpContext context)
    {
        _ = new QueryText(context.Request);
        return StepAsync(context, null, (entry, _, token) => containers.PauseAsync(entry, token));
    }

    public Task ResumeAsync(HttpContext context)
    {
        _ = new QueryText(context.Request);
        return StepAsync(context, null, (entry, _, token) => containers.ResumeAsync(entry, token));
    }

    public Task KillAsync(HttpContext context)
    {
        int signal = SignalName.Parse(new QueryText(context.Request, "signal").Find("signal") ?? "KILL");
        return StepAsync(context, null, (entry, _, token) => containers.KillAsync(entry, signal, token));
    }

    public Task RenameAsync(HttpContext context)
    {
        string name = new QueryText(context.Request, "name").Find("name")
            ?? throw QueryText.Refuse("name", "", "it is missing: say what it is to be called");
        return StepAsync(context, null, (entry, _, token) => containers.RenameAsync(entry, name, token));
    }

    public async Task RemoveAsync(HttpContext context)
    {
        QueryText query = new(context.Request, "force", "volumes");
        await containers.RemoveAsync(
            EntryOf(context), query.Switch("force"), query.Switch("volumes"), context.RequestAborted);
        context.Response.StatusCode = StatusCodes.Status204NoContent;
    }

    /// <summary>What it uses now.</summary>
    public async Task StatsAsync(HttpContext context)
    {
        _ = new QueryText(context.Request);
        ContainerEntry entry = EntryOf(context);
        ContainerStats stats = ContainerPresentation.Stats(entry, time.GetUtcNow())
            ?? throw ContainerSteps.Refuse(entry.Record, "it uses nothing now");
        await JsonBody.WriteAsync(context, stats, ContainerJson.Default.ContainerStats);
    }

    public async Task ProcessesAsync(HttpContext context)
    {
        _ = new QueryText(context.Request);
        LiveContainer live = ContainerManager.LiveOf(EntryOf(context));
        ContainerProcesses processes = new([
            .. (await live.Attempt.ProcessesAsync(context.RequestAborted)).Select(p => new ContainerProcess(
                p.Id, p.User, p.ProcessorTime.TotalMilliseconds, p.Resident.Bytes, p.Command))]);
        await JsonBody.WriteAsync(context, processes, ContainerJson.Default.ContainerProcesses);
    }

    public static string ReferenceOf(HttpContext context) => (string)context.Request.RouteValues["id"]!;

    private ContainerEntry EntryOf(HttpContext context) => containers.Find(ReferenceOf(context));

    private static TimeSpan? Grace(HttpContext context) => new QueryText(context.Request, "grace").Span(
        "grace", MaxGrace);

    private async Task StepAsync(
        HttpContext context, TimeSpan? grace, Func<ContainerEntry, TimeSpan?, CancellationToken, Task<Container>> step)
    {
        ContainerEntry entry = EntryOf(context);
        await step(entry, grace, context.RequestAborted);
        await WriteAsync(context, entry);
    }

    private static Task WriteAsync(HttpContext context, ContainerEntry entry, int status = StatusCodes.Status200OK) =>
        JsonBody.WriteAsync(
            context, ContainerPresentation.View(entry), ContainerJson.Default.ContainerView, status);

    private static bool Has(IReadOnlyDictionary<string, string> labels, string wanted)
    {
        int equals = wanted.IndexOf('=', StringComparison.Ordinal);
        return equals < 0
            ? labels.ContainsKey(wanted)
            : labels.TryGetValue(wanted[..equals], out string? value) && value == wanted[(equals + 1)..];
    }

    private static string CursorOf(Container last) =>
        string.Create(CultureInfo.InvariantCulture, $"{last.CreatedAt.UtcTicks}-{last.Id}");

    private static (DateTimeOffset, string)? Cursor(QueryText query)
    {
        if (query.Find("cursor") is not { } text)
        {
            return null;
        }

        string[] parts = text.Split('-');
        return parts.Length == 2 && ContainerId.TryParse(parts[1], out ContainerId id)
            && long.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out long ticks)
            && ticks <= DateTimeOffset.MaxValue.Ticks
            ? (new DateTimeOffset(ticks, TimeSpan.Zero), id.Text)
            : throw QueryText.Refuse("cursor", text, "pass on the 'next' of the page before");
    }
}
