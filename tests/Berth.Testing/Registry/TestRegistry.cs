using System.Net;
using System.Net.Http.Headers;
using Berth.Core.Images;
using Berth.Oci.Content;
using Berth.Oci.Layers;
using Berth.Oci.Repositories;
using Berth.Registry;
using Berth.Registry.Collection;
using Berth.Registry.Policies;
using Berth.Testing.Clocks;
using Berth.Testing.Content;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Berth.Testing.Registry;

/// <summary>The registry in a real Kestrel on a free port of the loopback, over a folder of its own.</summary>
public sealed class TestRegistry : IAsyncDisposable
{
    private readonly TemporaryFolder folder;
    private readonly long maxBlobBytes;
    private WebApplication? application;
    private RegistryServer? server;

    private TestRegistry(long maxBlobBytes, TemporaryFolder folder)
    {
        this.maxBlobBytes = maxBlobBytes;
        this.folder = folder;
    }

    public ManualTime Time { get; } = new();

    /// <summary>Told of pushes; a test adds its own.</summary>
    public List<IManifestObserver> Observers { get; } = [];

    public FakeAuthorizer Authorizer { get; } = new();

    public ContentStore Content { get; private set; } = null!;

    public RepositoryStore Repositories { get; private set; } = null!;

    public PolicyStore Policies { get; private set; } = null!;

    /// <summary>Asked for connections to upstream registries from the next start on.</summary>
    public Func<SocketsHttpConnectionContext, CancellationToken, ValueTask<Stream>>? ConnectUpstream { get; set; }

    public RegistryServer Server => server!;

    public string Folder => folder.Path;

    /// <summary>Host and port, as image references begin with.</summary>
    public string Host { get; private set; } = "";

    /// <summary>Sends the administrator's token.</summary>
    public HttpClient Client { get; private set; } = null!;

    /// <param name="folder">The data folder, which is removed at the end; null for a new one.</param>
    public static async Task<TestRegistry> StartAsync(
        long maxBlobBytes = long.MaxValue, TemporaryFolder? folder = null)
    {
        TestRegistry registry = new(maxBlobBytes, folder ?? new TemporaryFolder());
        await registry.StartServerAsync();
        return registry;
    }

    /// <summary>Stops the server and starts another over the same folder.</summary>
    public async Task RestartAsync()
    {
        await StopServerAsync();
        await StartServerAsync();
    }

    /// <param name="kept">Images that are kept without a name.</param>
    public GarbageCollector Collector(
        TimeSpan grace, ICollectableLayers? layers = null, IReadOnlyCollection<Digest>? kept = null) =>
        new(Content, Repositories, layers, grace, Time, NullLoggerFactory.Instance) { Kept = () => kept ?? [] };

    public HttpClient ClientWith(AuthenticationHeaderValue? authorization)
    {
        HttpClient client = new() { BaseAddress = new Uri($"http://{Host}") };
        client.DefaultRequestHeaders.Authorization = authorization;
        return client;
    }

    public async ValueTask DisposeAsync()
    {
        await StopServerAsync();
        folder.Dispose();
    }

    private async Task StartServerAsync()
    {
        Content = new ContentStore(folder["blobs"], Time);
        Policies = await PolicyStore.OpenAsync(folder["policies.json"], CancellationToken.None);
        Authorizer.MayAnonymous = Policies.HasAnonymous ? Policies.IsAnonymous : null;
        Repositories = new RepositoryStore(folder["repositories"], Time, Content, Policies);
        RegistryOptions options = new()
        {
            UploadFolder = folder["uploads"],
            TokenKeyPath = folder["registry.key"],
            MaxBlobBytes = maxBlobBytes,
            Policies = Policies,
            ConnectUpstream = ConnectUpstream,
        };
        server = new RegistryServer(
            options, Content, Repositories, Authorizer, Observers, Time, NullLoggerFactory.Instance);
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            // As the server has it: every route says for itself how much more it takes.
            kestrel.Limits.MaxRequestBodySize = 64 * 1024;
            kestrel.Listen(IPAddress.Loopback, 0);
        });
        application = builder.Build();
        application.MapRegistry(server);
        await application.StartAsync();
        string address = application.Services.GetRequiredService<IServer>().Features
            .Get<IServerAddressesFeature>()!.Addresses.Single();
        Host = new Uri(address).Authority;
        Client = ClientWith(new AuthenticationHeaderValue("Bearer", FakeAuthorizer.Admin));
    }

    private async Task StopServerAsync()
    {
        Client.Dispose();
        await application!.DisposeAsync();
        await server!.DisposeAsync();
    }
}
