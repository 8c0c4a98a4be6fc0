using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text;
using Berth.Api.Runs;
using Berth.Core.Images;
using Berth.Oci.Content;
using Berth.Oci.Images;
using Berth.Server;
using Berth.Server.Access;
using Berth.Server.Configuration;
using Berth.Testing.Content;
using Berth.Testing.Nodes;

namespace Berth.Testing.Server;

/// <summary>A whole server on a free port, with a node without containers and one image,
/// <c>demo/echo:1</c>, that runs <c>cat</c>.</summary>
public sealed class ServerRig : IAsyncDisposable
{
    public const string Image = "demo/echo:1";

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly TemporaryFolder folder;
    private readonly bool ownsFolder;

    private ServerRig(TemporaryFolder folder, bool ownsFolder, BerthServer server, FakeNode node)
    {
        this.folder = folder;
        this.ownsFolder = ownsFolder;
        Server = server;
        Node = node;
        AdminToken = File.ReadAllText(folder[AdministratorToken.FileName]).Trim();
        Client = ClientWith(AdminToken);
    }

    public BerthServer Server { get; }

    public FakeNode Node { get; }

    public string AdminToken { get; }

    public Uri Address => Server.Addresses[0];

    public string Folder => folder.Path;

    /// <summary>Speaks as the administrator.</summary>
    public HttpClient Client { get; }

    /// <summary>The digest of <see cref="Image"/>.</summary>
    public Digest Digest { get; private set; }

    /// <param name="folder">A data folder to go on with; null for a new one.</param>
    /// <param name="beside">Another server of the same store, whose files this one is given as an operator
    /// does.</param>
    public static async Task<ServerRig> StartAsync(
        Func<ServerOptions, ServerOptions>? with = null, TemporaryFolder? folder = null, TimeProvider? time = null,
        ServerRig? beside = null)
    {
        TemporaryFolder data = folder ?? new TemporaryFolder();
        foreach (string file in (string[])(beside is null ? [] : ["secrets.key", AdministratorToken.FileName]))
        {
            File.Copy(beside!.folder[file], data[file]);
        }

        ServerOptions options = ConfigurationReader.Defaults() with
        {
            DataFolder = data.Path,
            Listen = [new ListenAddress(IPAddress.Loopback, 0)],
            LogLevel = LogLevelName.Error,
            ShutdownGrace = TimeSpan.FromSeconds(5),
            MaxRunning = 16,
            NodeName = "fake",
        };
        FakeNode? node = null;
        BerthServer server = await BerthServer.StartAsync(
            with?.Invoke(options) ?? options,
            parts => node = new FakeNode(parts.Time, parts.Options.NodeName), time ?? TimeProvider.System,
            CancellationToken.None);
        ServerRig rig = new(data, folder is null, server, node!);
        rig.Digest = await rig.AddImageAsync("demo/echo", "1");
        return rig;
    }

    public HttpClient ClientWith(string? token)
    {
        HttpClient client = new(
            new SocketsHttpHandler { UseCookies = false, AllowAutoRedirect = false, UseProxy = false })
        {
            BaseAddress = Address,
        };
        if (token is not null)
        {
            client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", token);
        }

        return client;
    }

    /// <summary>A request to run a command of the node's shell.</summary>
    public static HttpRequestMessage Call(
        string[]? command = null, HttpContent? body = null, string route = "call",
        params (string Name, string Value)[] headers)
    {
        HttpRequestMessage request = new(HttpMethod.Post, $"/v1/{route}/{Image}") { Content = body };
        foreach (string word in command ?? [])
        {
            request.Headers.TryAddWithoutValidation("Berth-Command", Uri.EscapeDataString(word));
        }

        foreach ((string name, string value) in headers)
        {
            request.Headers.TryAddWithoutValidation(name, value);
        }

        return request;
    }

    public Task<HttpResponseMessage> SendAsync(
        HttpRequestMessage request, CancellationToken cancellationToken = default) =>
        Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellationToken);

    /// <summary>What is told of a run.</summary>
    public Task<RunWhy> WhyAsync(string id) => Client.GetFromJsonAsync($"/v1/runs/{id}/why", RunJson.Default.RunWhy)!;

    /// <summary>What is told of a run once it is so. Throws where that takes long.</summary>
    public async Task<RunWhy> UntilAsync(string id, Func<RunWhy, bool> holds)
    {
        using CancellationTokenSource limit = new(Patience);
        while (true)
        {
            RunWhy why = await WhyAsync(id);
            if (holds(why))
            {
                return why;
            }

            if (limit.IsCancellationRequested)
            {
                throw new TimeoutException($"The run is still so: {string.Join("; ", why.Events)}.");
            }

            await Task.Delay(20);
        }
    }

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        // Without waiting for what runs: on a clock that only the test moves, that would be for ever.
        await Server.StopAsync(new CancellationToken(canceled: true)).WaitAsync(TimeSpan.FromMinutes(2));
        if (ownsFolder)
        {
            folder.Dispose();
        }
    }

    /// <summary>Lets <see cref="Image"/>'s tag name another image, which differs in its configuration.</summary>
    public Task MoveImageAsync() => AddImageAsync("demo/echo", "1", "arm64");

    /// <summary>Puts an image without layers under a name.</summary>
    public async Task<Digest> AddImageAsync(string repository, string tag, string architecture = "amd64")
    {
        ContentStore content = Server.Rooms.Content;
        Digest config = await PutAsync(
            content,
            $$$"""{"architecture":"{{{architecture}}}","os":"linux","config":{"Cmd":["cat"]}"""
            + ""","rootfs":{"type":"layers","diff_ids":[]}}""");
        long? size = content.SizeOf(config);
        string manifest =
            $$$"""
            {"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","layers":[],"config":{
            "mediaType":"application/vnd.oci.image.config.v1+json","digest":"{{{config}}}","size":{{{size}}}}}
            """;
        Digest digest = await PutAsync(content, manifest);
        Server.Rooms.Repositories.PutManifest(
            repository, tag, digest, content.SizeOf(digest)!.Value,
            ManifestDocument.Parse(Encoding.UTF8.GetBytes(manifest), null));
        return digest;
    }

    private static async Task<Digest> PutAsync(ContentStore content, string text)
    {
        await using IBlobWriter writer = content.BeginWrite();
        await writer.WriteAsync(Encoding.UTF8.GetBytes(text), CancellationToken.None);
        return await writer.CommitAsync(null, CancellationToken.None);
    }
}
