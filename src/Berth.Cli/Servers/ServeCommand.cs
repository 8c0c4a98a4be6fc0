using Berth.Cli.Machines;
using Berth.Commands;
using Berth.Commands.Contexts;
using Berth.Commands.Servers;
using Berth.Core.Pools;
using Berth.Node;
using Berth.Node.Engines;
using Berth.Server;
using Berth.Server.Configuration;
using Berth.Server.Hosting;
using Microsoft.Extensions.Logging;

namespace Berth.Cli.Servers;

/// <summary>
/// <c>berth serve</c>: the control server with this machine as its node, in one process, until a signal.
/// </summary>
internal sealed class ServeCommand : Verb
{
    private readonly ServeSettings settings = new();

    public ServeCommand()
        : base(
            "serve", ServerPart.Serve,
            new("berth serve", $"With everything in {ServerTarget.DefaultDataFolder}, on 127.0.0.1:7070"),
            new("berth serve --data ./data --listen 127.0.0.1:8080 --max-running 4", "Elsewhere, with a limit"),
            new("BERTH_LOG_FORMAT=json berth serve --config /etc/berth/config.json", "As a service"))
        => settings.AddTo(this);

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        ServerOptions options = settings.Read(session);
        PlannedCrash.Arm(session.Terminal.Variable);
        // Two signals, two promises: the first lets what runs finish, the second hands it back at once.
        CancellationToken hurry = session.Interrupts.HearHurry();
        await using BerthServer server = await BerthServer.StartAsync(
            options, MakeNode, session.Terminal.Time, cancellationToken);
        Greet(session, server, options);
        TaskCompletionSource stop = new(TaskCreationOptions.RunContinuationsAsynchronously);
        await using (cancellationToken.Register(stop.SetResult))
        {
            await stop.Task;
        }

        await server.StopAsync(hurry);
        return 0;
    }

    private static LocalNode MakeNode(NodeParts parts)
    {
        NodeOptions node = new(parts.Options.NodeName, NodeOptions.InstanceOf(parts.Options.DataFolder))
        {
            StorageFolder = Path.GetFullPath(parts.Options.DataFolder),
            HostFolders = parts.Options.MountAllow,
            Runtimes = parts.Options.Runtimes,
            Pool = parts.Options.PoolMemory.Bytes == 0
                ? PoolLimits.None
                : PoolLimits.Default with { Memory = parts.Options.PoolMemory },
        };
        RuncEngine engine = new(node, parts.Time, parts.Loggers.CreateLogger<RuncEngine>());
        return new LocalNode(node, engine, parts.Images, parts.Time, parts.Loggers.CreateLogger<LocalNode>());
    }

    // People at a terminal; in a service's log the messages of the start say it all.
    private static void Greet(Session session, BerthServer server, ServerOptions options)
    {
        if (!session.Terminal.ErrorIsTerminal)
        {
            return;
        }

        string address = server.Addresses[0].GetLeftPart(UriPartial.Authority);
        string token = Path.Combine(options.DataFolder, "admin.token");
        session.Say(
            $"""

            Berth is ready at {address}. In another terminal:

              export BERTH_HOST={address} BERTH_TOKEN=$(cat {token})
              berth image ls

            Ctrl-C stops the server and lets what runs finish; a second one does not wait for it.

            """);
    }
}
