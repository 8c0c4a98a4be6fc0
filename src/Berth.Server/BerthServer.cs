using System.Net.Sockets;
using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Faults;
using Berth.Server.Access;
using Berth.Server.Configuration;
using Berth.Server.Hosting;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Logging;

namespace Berth.Server;

/// <summary>
/// The control server: the HTTP interface, the registry, the task manager and the store, around one node. The type to
/// open first in this project; <see cref="ServerRooms"/> has its parts, <see cref="ServerRoutes"/> its addresses.
/// </summary>
public sealed class BerthServer : IAsyncDisposable
{
    private readonly ServerRooms rooms;
    private readonly WebApplication host;
    private readonly ILogger logger;
    private readonly CancellationTokenSource passesStop = new();
    private readonly CancellationTokenSource telemetryStop = new();
    private readonly Task passes;
    private int stopped;

    private BerthServer(ServerRooms rooms, WebApplication host, ILogger logger, string? newTokenFile)
    {
        this.rooms = rooms;
        this.host = host;
        this.logger = logger;
        NewTokenFile = newTokenFile;
        Addresses = HttpHost.AddressesOf(host);
        passes = Task.WhenAll(
            Task.Run(() => new CollectPass(rooms, logger).RunAsync(passesStop.Token), CancellationToken.None),
            Task.Run(() => rooms.Webhooks.RunAsync(passesStop.Token), CancellationToken.None),
            Task.Run(() => rooms.Rollouts.RunAsync(passesStop.Token), CancellationToken.None),
            Task.Run(() => rooms.Results.RunAsync(passesStop.Token), CancellationToken.None),
            Task.Run(() => rooms.Triggers.RunAsync(passesStop.Token), CancellationToken.None),
            // Until nothing is under way: whoever is quiet is taken for lost.
            Task.Run(() => rooms.Cluster?.RunAsync(telemetryStop.Token) ?? Task.CompletedTask, CancellationToken.None),
            Task.Run(
                () => rooms.Telemetry.RunAsync(rooms.Metrics.GatherAsync, telemetryStop.Token),
                CancellationToken.None));
    }

    /// <summary>Where it listens, with the ports that were taken.</summary>
    public IReadOnlyList<Uri> Addresses { get; }

    /// <summary>File of the administrator's token when this start made it; null at every later start.</summary>
    public string? NewTokenFile { get; }

    /// <summary>The routes as mapped, for tests.</summary>
    internal Microsoft.AspNetCore.Routing.EndpointDataSource Routes =>
        ((Microsoft.AspNetCore.Routing.IEndpointRouteBuilder)host).DataSources.Single();

    internal ServerRooms Rooms => rooms;

    /// <summary>
    /// Takes the data folder, starts node and task manager, and listens. Returns when it is ready for work. Throws
    /// BerthException (<c>InvalidConfiguration</c>, <c>MissingTool</c>, <c>NodeFault</c>, <c>StorageFault</c>); then
    /// nothing is left running.
    /// </summary>
    /// <param name="makeNode">Makes the node from the server's parts; the server starts, stops and disposes it.</param>
    public static async Task<BerthServer> StartAsync(
        ServerOptions options, Func<NodeParts, INode> makeNode, TimeProvider time, CancellationToken cancellationToken)
    {
        ILoggerFactory loggers = ServerLogs.Create(options);
        DataFolder? data = null;
        ServerRooms? rooms = null;
        try
        {
            data = DataFolder.Open(options.DataFolder);
            CrashPoints.Reach(CrashPoint.DataFolderTaken);
            rooms = await ServerRooms.OpenAsync(options, data, makeNode, time, loggers, cancellationToken);
            return await StartAsync(rooms, cancellationToken);
        }
        catch
        {
            if (rooms is not null)
            {
                await rooms.Instances.StopAsync(TimeSpan.Zero, CancellationToken.None);
                await rooms.Containers.StopAsync(TimeSpan.Zero, CancellationToken.None);
                await rooms.Runs.StopAsync(TimeSpan.Zero, CancellationToken.None);
                await rooms.DisposeAsync();
            }

            data?.Dispose();
            loggers.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Takes nothing new, lets calls finish within the operator's grace, hands tasks back to the queue, stops the node
    /// and closes the store. Cancelling the token skips the waiting. Idempotent.
    /// </summary>
    public async Task StopAsync(CancellationToken cancellationToken)
    {
        if (Interlocked.Exchange(ref stopped, 1) == 1)
        {
            return;
        }

        // 1. Long answers end and new runs are refused, with an answer that says so: it still listens,
        // and is not ready.
        TimeSpan grace = rooms.Options.ShutdownGrace;
        Log.Stopping(logger, grace);
        rooms.Runs.TakeNothingNew();
        rooms.Lifetime.BeginStopping();
        CrashPoints.Reach(CrashPoint.StopBegun);
        await passesStop.CancelAsync();

        // 2. What runs finishes or is handed back; then its answers are sent.
        // The runs first: a task that loses its instance now is handed back.
        await Task.WhenAll(
            rooms.Runs.StopAsync(grace, cancellationToken), rooms.Instances.StopAsync(grace, cancellationToken),
            rooms.Containers.StopAsync(grace, cancellationToken));
        CrashPoints.Reach(CrashPoint.RunsStopped);
        using CancellationTokenSource cut = new(TimeSpan.FromSeconds(5), rooms.Time);
        await host.StopAsync(cut.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);

        // 3. Everything else, in the opposite order of its start.
        await host.DisposeAsync();
        // Not before: the runs that have just ended are told of too.
        await telemetryStop.CancelAsync();
        await passes;
        CrashPoints.Reach(CrashPoint.ListeningEnded);
        await rooms.Node.StopAsync(CancellationToken.None);
        CrashPoints.Reach(CrashPoint.NodeStopped);
        await rooms.Tokens.FlushAsync(CancellationToken.None);
        if (rooms.Cluster is { } cluster)
        {
            await cluster.LeaveAsync();
        }

        await rooms.DisposeAsync();
        passesStop.Dispose();
        telemetryStop.Dispose();
        Log.Stopped(logger);
        rooms.Data.Dispose();
        rooms.Loggers.Dispose();
    }

    public async ValueTask DisposeAsync() => await StopAsync(CancellationToken.None);

    private static async Task<BerthServer> StartAsync(ServerRooms rooms, CancellationToken cancellationToken)
    {
        ILogger logger = rooms.Loggers.CreateLogger<BerthServer>();
        string? tokenFile = await AdministratorToken.EnsureExistsAsync(
            rooms.Tokens, rooms.Data.Path, cancellationToken);
        CrashPoints.Reach(CrashPoint.AdministratorTokenStored);
        await rooms.Node.StartAsync(cancellationToken);
        CrashPoints.Reach(CrashPoint.NodeStarted);
        await rooms.Nodes.StartAsync(cancellationToken);
        await rooms.Secrets.StartAsync(cancellationToken);
        await rooms.Networks.StartAsync(cancellationToken);
        rooms.NetworkSharing.Start();
        await rooms.Containers.Volumes.StartAsync(cancellationToken);
        await rooms.Triggers.Manager.StartAsync(cancellationToken);
        // Before the tasks, which may be calls of them.
        await rooms.Functions.StartAsync(cancellationToken);
        if (rooms.Cluster is { } cluster)
        {
            await cluster.JoinAsync(cancellationToken);
            await rooms.Names!.StartAsync(cancellationToken);
        }

        await rooms.Runs.StartAsync(cancellationToken);
        CrashPoints.Reach(CrashPoint.RunsStarted);
        rooms.Instances.Start();
        await rooms.Containers.StartAsync(cancellationToken);
        WebApplication host = HttpHost.Build(rooms);
        try
        {
            await host.StartAsync(cancellationToken);
        }
        catch (Exception e) when (e is IOException or SocketException)
        {
            await host.DisposeAsync();
            throw new BerthException(
                ErrorCode.InvalidConfiguration,
                $"listen = '{string.Join(",", rooms.Options.Listen)}' can't be used: "
                + $"{e.Message} Choose another with --listen.", e);
        }

        CrashPoints.Reach(CrashPoint.Listening);
        BerthServer server = new(rooms, host, logger, tokenFile);
        if (tokenFile is not null)
        {
            Log.AdministratorToken(logger, tokenFile);
        }

        foreach (Uri address in server.Addresses.Where(a => a.Scheme == "http" && !a.IsLoopback))
        {
            Log.InTheClear(logger, address);
        }

        string addresses = string.Join(", ", server.Addresses);
        Log.Ready(logger, ServerVersion.Text, addresses, rooms.Data.Path);
        return server;
    }
}
