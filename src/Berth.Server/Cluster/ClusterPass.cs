using Berth.Core.Errors;
using Berth.Core.Runs;
using Berth.Server.Hosting;
using Berth.Server.Runs;
using Berth.Server.Store;
using Microsoft.Extensions.Logging;

namespace Berth.Server.Cluster;

/// <summary>
/// What one of several equal servers does by itself, every second: it says that it is there, takes over what lost
/// servers had under way, ends what is not its own any more, and hears of tasks that wait and of events elsewhere.
/// </summary>
internal sealed class ClusterPass(
    IClusterStore store, RunManager runs, Func<string, bool> hasImage, string name, TimeProvider time, ILogger logger)
{
    /// <summary>Between looks for what other servers have changed, where none of them says so.</summary>
    private static readonly TimeSpan RefreshInterval = TimeSpan.FromSeconds(1);

    /// <summary>Between two such looks, however many messages come.</summary>
    private static readonly TimeSpan LeastInterval = TimeSpan.FromMilliseconds(50);

    private const int Page = 256;

    /// <summary>Between looks for events of runs that are followed here and are under way elsewhere.</summary>
    private static readonly TimeSpan FollowInterval = TimeSpan.FromMilliseconds(250);

    /// <summary>Between two messages to the other servers, however much comes in.</summary>
    private static readonly TimeSpan TellInterval = TimeSpan.FromMilliseconds(100);

    /// <summary>Between looks for files of runs that another server has struck off.</summary>
    private static readonly TimeSpan SweepInterval = TimeSpan.FromMinutes(5);

    private readonly ServerWatch watch = new(time);
    private readonly Dictionary<RunId, long> followed = [];
    private volatile TaskCompletionSource told = NewNews();

    /// <summary>Where the others reach this server; empty for nowhere.</summary>
    public string Address { get; init; } = "";

    /// <summary>The other servers, as they were seen last.</summary>
    public PeerDirectory Directory { get; init; } = new();

    /// <summary>Tells the others of images; null where there are none.</summary>
    public SharedNames? Names { get; init; }

    /// <summary>By topic: how what others have changed is taken in. Set before it runs.</summary>
    public IReadOnlyDictionary<string, Func<CancellationToken, Task>> Refreshes { get; init; } =
        new Dictionary<string, Func<CancellationToken, Task>>();

    /// <summary>Before anything is claimed, so that whoever watches knows whose it is.</summary>
    public async Task JoinAsync(CancellationToken cancellationToken)
    {
        await store.BeatAsync(name, ServerVersion.Text, Address, cancellationToken);
        Directory.Update(await store.ServersAsync(cancellationToken));
    }

    public Task RunAsync(CancellationToken stop) => Task.WhenAll(
        RepeatAsync(ServerWatch.Interval, LookAsync, stop),
        RepeatAsync(FollowInterval, FollowAsync, stop),
        RepeatAsync(TellInterval, TellAsync, stop),
        RepeatAsync(RefreshInterval, token => Names?.PassAsync(token) ?? Task.CompletedTask, stop),
        RepeatAsync(SweepInterval, token => runs.SweepAsync(store.WithFilesAsync, token), stop),
        RepeatAsync(LeastInterval, RefreshAsync, stop),
        RepeatAsync(ServerWatch.Interval, token => store.ListenAsync(Hear, token), stop));

    /// <summary>After everything of this server has ended: nobody needs to wait for its beat.</summary>
    public async Task LeaveAsync()
    {
        try
        {
            await store.LeaveAsync(store.Self, CancellationToken.None);
        }
        catch (BerthException)
        {
            // The store is away: the others find out by its beat.
            return;
        }
    }

    private async Task LookAsync(CancellationToken stop)
    {
        await store.BeatAsync(name, ServerVersion.Text, Address, stop);
        IReadOnlyList<ServerBeat> servers = await store.ServersAsync(stop);
        Directory.Update(servers);
        foreach (ServerBeat lost in watch.Look([.. servers.Where(s => !s.IsGone)]))
        {
            await TakeOverAsync(lost, stop);
        }

        // Taken before the look: what is claimed meanwhile is not in it.
        IReadOnlyList<(RunId Id, int Generation)> executing = runs.Executing;
        IReadOnlyDictionary<RunId, HeldTask> held = await store.HeldTasksAsync(stop);
        foreach ((RunId id, int generation) in executing)
        {
            bool isHeld = held.TryGetValue(id, out HeldTask task) && task.Generation == generation;
            if ((!isHeld || task.CancelRequested) && runs.EndExecution(id, generation) && !isHeld)
            {
                Log.NotHeld(logger, id.Text);
            }
        }

        string[] reached = [.. Directory.Reached.Select(s => s.Id)];
        IEnumerable<string> waiting = await store.WaitingImagesAsync(stop);
        // What another server has is fetched from there; which one, is found out when it is needed.
        store.Offer([.. reached.Length > 0 ? waiting : waiting.Where(hasImage)], reached);
        await runs.RecountAsync(stop);
    }

    private static TaskCompletionSource NewNews() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private void Hear()
    {
        runs.Awake();
        told.TrySetResult();
    }

    private async Task RefreshAsync(CancellationToken stop)
    {
        using CancellationTokenSource awake = CancellationTokenSource.CreateLinkedTokenSource(stop);
        Task timer = Task.Delay(RefreshInterval, time, awake.Token);
        await Task.WhenAny(timer, told.Task);
        await awake.CancelAsync();
        await timer.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        stop.ThrowIfCancellationRequested();
        // Before the look, so that no news after it is lost.
        told = NewNews();
        foreach (string topic in await store.ChangedAsync(stop))
        {
            if (Refreshes.TryGetValue(topic, out Func<CancellationToken, Task>? refresh))
            {
                await refresh(stop);
            }
        }
    }

    private async Task TakeOverAsync(ServerBeat lost, CancellationToken stop)
    {
        int count = 0;
        IReadOnlyList<Run> adopted;
        do
        {
            adopted = await store.AdoptAsync(lost.Id, Page, stop);
            await runs.RecoverAsync(adopted, stop);
            count += adopted.Count;
        }
        while (adopted.Count > 0);
        await store.AdoptDebtsAsync(lost.Id, stop);
        await store.LeaveAsync(lost.Id, stop);
        Log.TakenOver(logger, lost.Name, lost.Id, count);
    }

    private async Task FollowAsync(CancellationToken stop)
    {
        HashSet<RunId> wanted = [.. runs.FollowedElsewhere];
        foreach (RunId gone in followed.Keys.Where(id => !wanted.Contains(id)).ToArray())
        {
            followed.Remove(gone);
        }

        foreach (RunId id in wanted)
        {
            followed.TryAdd(id, 0);
        }

        if (followed.Count == 0)
        {
            return;
        }

        foreach ((RunId id, NumberedEvent entry) in await store.NewEventsAsync(followed, stop))
        {
            runs.Events.Publish(id, entry.Sequence, entry.Event);
            followed[id] = entry.Sequence;
        }
    }

    private async Task TellAsync(CancellationToken stop)
    {
        if (runs.TakeNews())
        {
            await store.TellAsync(stop);
        }
    }

    private async Task RepeatAsync(TimeSpan interval, Func<CancellationToken, Task> pass, CancellationToken stop)
    {
        while (!stop.IsCancellationRequested)
        {
            try
            {
                await pass(stop);
            }
            catch (OperationCanceledException) when (stop.IsCancellationRequested)
            {
                return;
            }
            catch (BerthException away) when (away.Code == ErrorCode.StorageFault)
            {
                // The store says so itself, once.
            }
            catch (Exception error)
            {
                Log.PassFailed(logger, error);
            }

            await Task.Delay(interval, time, stop).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }
}
