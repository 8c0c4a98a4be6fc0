using Berth.Testing.Server;
using Xunit;

namespace Berth.Tests.Server;

/// <summary>One server for the tests of a class that leave no marks.</summary>
public sealed class ServerRigFixture : IAsyncLifetime
{
    public ServerRig Rig { get; private set; } = null!;

    public async ValueTask InitializeAsync() => Rig = await ServerRig.StartAsync();

    public ValueTask DisposeAsync() => Rig.DisposeAsync();
}
