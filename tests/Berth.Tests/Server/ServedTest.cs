using Berth.Api.Client;
using Berth.Server.Configuration;
using Berth.Testing.Server;
using Xunit;

namespace Berth.Tests.Server;

/// <summary>Each test has a server with a node in memory, and a client that speaks as its administrator.</summary>
/// <param name="with">Other settings than <see cref="ServerRig"/>'s.</param>
public abstract class ServedTest(Func<ServerOptions, ServerOptions>? with = null) : IAsyncLifetime
{
    protected static CancellationToken Token => TestContext.Current.CancellationToken;

    protected ServerRig Rig { get; private set; } = null!;

    protected BerthClient Client { get; private set; } = null!;

    public virtual async ValueTask InitializeAsync()
    {
        Rig = await ServerRig.StartAsync(with);
        Client = new BerthClient(Rig.Address, Rig.AdminToken, TimeProvider.System);
    }

    public virtual async ValueTask DisposeAsync()
    {
        Client.Dispose();
        await Rig.DisposeAsync();
        GC.SuppressFinalize(this);
    }
}
