using System.Net;
using Berth.Server.Configuration;
using Berth.Testing.Server;
using Berth.Testing.Store;

namespace Berth.Tests.Cluster;

/// <summary>Two whole servers on one PostgreSQL that have found each other.</summary>
internal sealed class ServerPair : IAsyncDisposable
{
    private ServerPair(string address, ServerRig one, ServerRig two)
    {
        Address = address;
        One = one;
        Two = two;
    }

    public string Address { get; }

    public ServerRig One { get; }

    public ServerRig Two { get; }

    public IReadOnlyList<ServerRig> Both => [One, Two];

    public static async Task<ServerPair> StartAsync(SharedPostgres postgres)
    {
        string address = await (await postgres.Cluster).NewDatabaseAsync();
        ServerRig one = await StartAsync(address, "one", null);
        ServerRig two = await StartAsync(address, "two", one);
        ServerPair pair = new(address, one, two);
        await UntilAsync(() => Task.FromResult(pair.Both.All(s => s.Server.Rooms.Nodes.Peers!.Any)));
        return pair;
    }

    public static Task<ServerRig> StartAsync(string address, string name, ServerRig? beside) =>
        ServerRig.StartAsync(
            options => options with
            {
                Store = PostgresCluster.Parse(address),
                NodeName = name,
                NodeListen = [new ListenAddress(IPAddress.Loopback, 0)],
            },
            beside: beside);

    public static async Task UntilAsync(Func<Task<bool>> holds)
    {
        using CancellationTokenSource limit = new(TimeSpan.FromMinutes(1));
        while (!await holds())
        {
            await Task.Delay(20, limit.Token);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await Two.DisposeAsync();
        await One.DisposeAsync();
    }
}
