using System.Text;
using Berth.Api.Client;
using Berth.Api.Functions;
using Berth.Core.Resources;
using Berth.Server.Results;
using Berth.Testing.Clocks;
using Berth.Testing.Server;
using Xunit;

namespace Berth.Tests.Functions;

/// <summary>A server with a node in memory and a clock that the test moves, and one function, <c>f</c>, whose results
/// may answer more than one call.</summary>
public abstract class SharedResultTest : IAsyncLifetime
{
    protected ManualTime Time { get; } = new();

    protected ServerRig Rig { get; private set; } = null!;

    protected BerthClient Client { get; private set; } = null!;

    private protected SharedCallCounts Counts => Rig.Server.Rooms.SharedCalls;

    private protected ResultRoom Room => Rig.Server.Rooms.Results;

    public async ValueTask InitializeAsync() => await StartAsync(ByteSize.MiB(40));

    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        GC.SuppressFinalize(this);
    }

    /// <summary>Another server, with room for so much.</summary>
    protected async Task RestartAsync(ByteSize room)
    {
        await StopAsync();
        await StartAsync(room);
    }

    protected Task<FunctionDeployment> DeployAsync(FunctionRequest request) =>
        Client.Functions.DeployAsync("f", request, CancellationToken.None);

    protected Task<HttpResponseMessage> CallAsync(
        string body, string path = "/v1/functions/f", (string, string)? headers = null,
        CancellationToken cancellationToken = default)
    {
        HttpRequestMessage request = new(HttpMethod.Post, path)
        {
            Content = new ByteArrayContent(Encoding.UTF8.GetBytes(body)),
        };
        if (headers is var (name, value) && name is not null)
        {
            request.Headers.TryAddWithoutValidation(name, value);
        }

        return Rig.SendAsync(request, cancellationToken);
    }

    /// <summary>The program's sleep has begun when it has begun; so the clock goes on until all is answered.</summary>
    protected async Task AdvanceUntilAsync(Task task)
    {
        while (!task.IsCompleted)
        {
            Time.Advance(TimeSpan.FromSeconds(5));
            await Task.WhenAny(task, Task.Delay(20));
        }

        await task;
    }

    private async Task StartAsync(ByteSize room)
    {
        Rig = await ServerRig.StartAsync(o => o with { ResultCacheLimit = room }, time: Time);
        Client = new BerthClient(Rig.Address, Rig.AdminToken, TimeProvider.System);
    }

    private async Task StopAsync()
    {
        Client.Dispose();
        await Rig.DisposeAsync();
    }

    /// <summary>Of the run that answered.</summary>
    protected static string Run(HttpResponseMessage answer) => answer.Headers.GetValues("Berth-Run-Id").Single();
}
