using Berth.Server.Cluster;
using Berth.Server.Store;
using Berth.Server.Store.Postgres;
using Berth.Testing.Runs;
using Berth.Testing.Store;
using Microsoft.Extensions.Logging.Abstractions;

namespace Berth.Tests.Cluster;

/// <summary>One of several task managers on one database, with a node without containers.</summary>
internal sealed class ClusterMember : IAsyncDisposable
{
    private readonly string id;
    private readonly Func<string, bool> hasImage;
    private CancellationTokenSource quiet = new();
    private Task passes = Task.CompletedTask;

    private ClusterMember(RunManagerRig rig, string id, Func<string, bool> hasImage)
    {
        Rig = rig;
        this.id = id;
        this.hasImage = hasImage;
    }

    public RunManagerRig Rig { get; }

    public static async Task<ClusterMember> StartAsync(string address, string id, Func<string, bool>? hasImage = null)
    {
        RunManagerRig rig = await RunManagerRig.StartAsync(open: async () =>
        {
            PostgresStore store = await PostgresStore.OpenAsync(
                PostgresCluster.Parse(address), id, TimeProvider.System, NullLogger<PostgresStore>.Instance,
                CancellationToken.None);
            await ((IClusterStore)store).BeatAsync(id, "test", "", CancellationToken.None);
            return store;
        });
        ClusterMember member = new(rig, id, hasImage ?? (_ => true));
        member.Speak();
        return member;
    }

    /// <summary>Begins to say that it is there, and to look after the others.</summary>
    public void Speak()
    {
        quiet = new CancellationTokenSource();
        ClusterPass pass = new(
            (IClusterStore)Rig.Store, Rig.Manager, hasImage, id, TimeProvider.System, NullLogger.Instance);
        passes = Task.Run(() => pass.RunAsync(quiet.Token));
    }

    /// <summary>It says nothing any more and hears nothing; what it has under way goes on.</summary>
    public async Task FallSilentAsync()
    {
        await quiet.CancelAsync();
        await passes;
        quiet.Dispose();
    }

    /// <summary>As kill -9 does: nothing that it has under way is stored any more.</summary>
    public async Task DieAsync()
    {
        await FallSilentAsync();
        await Rig.Store.DisposeAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await FallSilentAsync();
        await Rig.DisposeAsync();
    }
}
