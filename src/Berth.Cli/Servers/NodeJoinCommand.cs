using System.CommandLine;
using System.Net;
using Berth.Api.Links;
using Berth.Commands;
using Berth.Commands.Servers;
using Berth.Core.Containers;
using Berth.Core.Errors;
using Berth.Core.Nodes;
using Berth.Core.Pools;
using Berth.Core.Resources;
using Berth.Core.Runs;
using Berth.Node;
using Berth.Node.Engines;
using Berth.Node.Links;
using Berth.Oci.Content;
using Berth.Oci.Images;
using Berth.Oci.Layers;
using Berth.Server.Configuration;
using Berth.Server.Hosting;
using Microsoft.Extensions.Logging;

namespace Berth.Cli.Servers;

/// <summary><c>berth node join</c>: this machine runs work for a server elsewhere, until a signal.</summary>
internal sealed class NodeJoinCommand : Verb
{
    private const string DefaultFolder = "/var/lib/berth-node";

    private readonly Argument<string> server = new("server")
    {
        Description = "The server's address for nodes (its --node-listen), such as https://berth.example:7071; of "
            + "several servers any, or some with commas between",
    };

    private readonly Option<string?> token = new("--token")
    {
        HelpName = "TOKEN",
        Description = "From 'berth node token create'; needed the first time only",
    };

    private readonly Option<string?> tokenFile = new("--token-file")
    {
        HelpName = "FILE",
        Description = "The same from a file, where other users of this machine don't see it",
    };

    private readonly Option<string?> name = new("--name", "-n")
    {
        HelpName = "NAME",
        Description = "What the server is to call it (default: the host name)",
    };

    private readonly Option<string[]> labels = new("--label", "-l")
    {
        HelpName = "NAME=VALUE",
        Description = "A label of the new node (repeatable)",
    };

    private readonly Option<string> data = new("--data")
    {
        HelpName = "PATH",
        Description = "Folder for its identity and for images",
        DefaultValueFactory = _ => DefaultFolder,
    };

    private readonly Option<int?> places = new("--max-running")
    {
        HelpName = "NUMBER",
        Description = "Sandboxes that run at once (default: eight to a core, as far as memory reaches)",
    };

    private readonly Option<string> pool = new("--pool-memory")
    {
        HelpName = "SIZE",
        Description = "Memory that sandboxes prepared ahead may hold altogether",
        DefaultValueFactory = _ => "256Mi",
    };

    private readonly Option<string?> advertise = new("--advertise")
    {
        HelpName = "ADDRESS",
        Description = "IPv4 address under which other nodes reach this one, for networks across nodes (default: the "
            + "one it reaches the server from)",
    };

    private readonly Option<string[]> folders = new("--mount-allow")
    {
        HelpName = "PATH",
        Description = "Folder of this machine that programs may have in their files, with everything below it; whoever "
            + "may run programs can read and write there as root (repeatable; default: none)",
        AllowMultipleArgumentsPerToken = false,
    };

    private readonly Option<string?> share = new("--share-layers")
    {
        HelpName = "ADDRESS:PORT",
        Description = "Offer the layers of images that are here to other nodes, which reach this one at that IP "
            + "address and port (default: to nobody)",
    };

    public NodeJoinCommand()
        : base(
            "join", ServerPart.Join,
            new("berth node join https://berth.example:7071 --token-file token", "The first time"),
            new("berth node join https://berth.example:7071", "From then on, as a service"))
    {
        Add(server);
        Add(token);
        Add(tokenFile);
        Add(name);
        Add(labels);
        Add(data);
        Add(places);
        Add(pool);
        Add(advertise);
        Add(share);
        Add(folders);
        Validators.Add(result =>
        {
            if (result.GetResult(token) is not null && result.GetResult(tokenFile) is not null)
            {
                result.AddError("--token and --token-file can't be used together: each is the token.");
            }

            if (result.GetResult(advertise) is { Tokens: [var address] } && Address(address.Value) is null)
            {
                result.AddError("--advertise is an IPv4 address of this machine, such as 192.168.7.2.");
            }

            if (result.GetResult(share) is { Tokens: [var place] } && LayerOffer.ReadAddress(place.Value) is null)
            {
                result.AddError(
                    "--share-layers is an IP address of this machine and a port, such as 192.168.7.2:7081.");
            }

            if (result.GetValue(folders) is { } allowed
                && (allowed.Length > HostFolders.Most || allowed.Any(f => RunMount.Clean(f) is null)))
            {
                result.AddError($"--mount-allow takes {HostFolders.Expected}, at most {HostFolders.Most} of them.");
            }

            if (result.GetValue(places) is < 1 or > 10_000)
            {
                result.AddError("--max-running is a number from 1 to 10000.");
            }
        });
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        Uri[] addresses = [.. session.Get(server)!.Split(',', StringSplitOptions.TrimEntries).Select(ServerDoor.Parse)];
        string folder = Path.GetFullPath(session.Get(data)!);
        Prepare(folder);
        TimeProvider time = session.Terminal.Time;
        NodeIdentity identity = NodeIdentity.Load(folder)
            ?? await JoinAsync(session, addresses, folder, time, cancellationToken);
        using ILoggerFactory loggers = ServerLogs.Create(ConfigurationReader.Read(
            new ConfigurationSources(
                new Dictionary<string, IReadOnlyList<string>>(), session.Terminal.Variable, File: null)));
        ContentStore content = new(Path.Combine(folder, "blobs"), time);
        await using LayerStore layers = new(content, Path.Combine(folder, "layers"), LayerLimits.Default, time);
        FetchedImages images = new(
            content, new ImageSource(content, layers, PlatformChoice.Here), PlatformChoice.Here, time)
        {
            Fetched = LinkedNode.ToldTo(loggers),
        };
        await using LocalNode node = MakeNode(session, identity.Name, folder, images, loggers);
        await node.StartAsync(cancellationToken);
        await using LinkedNode linked = new(
            node, images, addresses, identity, folder,
            session.Get(places) ?? RunCapacity.DefaultPlaces(node.Info.Cores, node.Info.Memory),
            Address(session.Get(advertise)), time, loggers)
        {
            ShareLayers = LayerOffer.ReadAddress(session.Get(share)),
            Linked = address => session.Say(
                $"Node {identity.Name} runs work for {address.Authority}. Ctrl-C stops it."),
        };
        Task collecting = new ImageCollection(content, layers, images, time, loggers).RunAsync(cancellationToken);
        await linked.RunAsync(cancellationToken);
        await collecting;
        await node.StopAsync(CancellationToken.None);
        return 0;
    }

    private static IPAddress? Address(string? text) =>
        IPAddress.TryParse(text, out IPAddress? address) ? LinkAddress.OfMachine(address) : null;

    private static void Prepare(string folder)
    {
        try
        {
            Directory.CreateDirectory(
                folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new BerthException(
                ErrorCode.InvalidConfiguration,
                $"The data folder {folder} can't be made: {error.Message} Choose another with --data.", error);
        }
    }

    private async Task<NodeIdentity> JoinAsync(
        Session session, Uri[] addresses, string folder, TimeProvider time, CancellationToken cancellationToken)
    {
        string? text = session.Get(tokenFile) is { } file ? ReadToken(file) : session.Get(token);
        if (text is null)
        {
            throw new BerthException(
                ErrorCode.InvalidRequest,
                $"This machine has not joined yet ({folder} has no identity): give --token-file or --token with what "
                + "'berth node token create' prints on the server.");
        }

        string wanted = session.Get(name) is { } given ? NodeName.Check(given) : NodeName.From(Environment.MachineName);
        for (int i = 0; ; i++)
        {
            try
            {
                return await ServerDoor.JoinAsync(
                    addresses[i], text, wanted, Labels(session), folder, time, cancellationToken);
            }
            catch (BerthException away) when (away.Code == ErrorCode.Upstream && i < addresses.Length - 1)
            {
                session.Say(away.Message);
            }
        }
    }

    private static string ReadToken(string file)
    {
        try
        {
            return File.ReadAllText(file).Trim();
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new BerthException(ErrorCode.InvalidRequest, $"{file} can't be read: {error.Message}", error);
        }
    }

    private Dictionary<string, string> Labels(Session session)
    {
        Dictionary<string, string> given = new(StringComparer.Ordinal);
        foreach (string text in session.Get(labels) ?? [])
        {
            string[] parts = text.Split('=', 2);
            given[parts[0]] = parts.ElementAtOrDefault(1) ?? "";
        }

        NodeLabels.Check(given);
        return given;
    }

    private LocalNode MakeNode(
        Session session, string called, string folder, FetchedImages images, ILoggerFactory loggers)
    {
        ByteSize ahead = ByteSize.Parse(session.Get(pool)!);
        NodeOptions options = new(called, NodeOptions.InstanceOf(folder))
        {
            StorageFolder = folder,
            HostFolders = session.Get(folders) ?? [],
            Pool = ahead.Bytes == 0 ? PoolLimits.None : PoolLimits.Default with { Memory = ahead },
        };
        RuncEngine engine = new(options, session.Terminal.Time, loggers.CreateLogger<RuncEngine>());
        return new LocalNode(options, engine, images, session.Terminal.Time, loggers.CreateLogger<LocalNode>());
    }
}
