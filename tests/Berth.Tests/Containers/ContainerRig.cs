using Berth.Api.Client;
using Berth.Api.Containers;
using Berth.Testing.Content;
using Berth.Testing.Server;

namespace Berth.Tests.Containers;

/// <summary>A server with a node without containers, spoken to by the client.</summary>
internal sealed class ContainerRig : IAsyncDisposable
{
    private ContainerRig(ServerRig server)
    {
        Server = server;
        Client = new BerthClient(server.Address, server.AdminToken, TimeProvider.System);
    }

    public ServerRig Server { get; }

    public BerthClient Client { get; }

    public ContainersClient Containers => Client.Containers;

    public static async Task<ContainerRig> StartAsync(TemporaryFolder? folder = null, int most = 1000) => new(
        await ServerRig.StartAsync(
            options => options with { MaxContainers = most, MountAllow = ["/srv/shared"] }, folder));

    public Task<ContainerView> CreateAsync(string name, params string[] command) =>
        CreateAsync(new ContainerRequest(Name: name, Command: command));

    public Task<ContainerView> CreateAsync(ContainerRequest request) => Containers.CreateAsync(
        request with { Image = request.Image ?? ServerRig.Image }, CancellationToken.None);

    public async Task<ContainerView> RunAsync(ContainerRequest request)
    {
        ContainerView made = await CreateAsync(request);
        return await Containers.StartAsync(made.Id, CancellationToken.None);
    }

    public Task<ContainerView> GetAsync(string name) => Containers.GetAsync(name, CancellationToken.None);

    /// <summary>The container once it is as wanted.</summary>
    public async Task<ContainerView> UntilAsync(string name, Func<ContainerView, bool> wanted)
    {
        using CancellationTokenSource limit = new(TimeSpan.FromSeconds(30));
        while (true)
        {
            ContainerView view = await GetAsync(name);
            if (wanted(view))
            {
                return view;
            }

            if (limit.IsCancellationRequested)
            {
                throw new TimeoutException(
                    $"The container {name} is {view.State}, exit {view.ExitCode}: not as wanted.");
            }

            await Task.Delay(10);
        }
    }

    public async Task<string> LogAsync(string name)
    {
        using HttpResponseMessage response = await Server.Client.GetAsync($"/v1/containers/{name}/logs");
        return await response.Content.ReadAsStringAsync();
    }

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        await Server.DisposeAsync();
    }
}
