using Berth.Core.Runs;
using Berth.Server.Store;
using Berth.Server.Store.Sqlite;
using Berth.Testing.Content;
using Berth.Testing.Runs;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;
using static Berth.Testing.Runs.RunBuilder;

namespace Berth.Tests.Runs;

/// <summary>
/// Drives runs through the store with steps and faults chosen from a seed: claims, starts, ends, retries, late and
/// repeated reports, cancels, hand-backs, restarts, in any order. After every step the promises are checked.
/// </summary>
public sealed class RunSimulationTests
{
    private const int Steps = 500;

    private static readonly CancellationToken None = CancellationToken.None;
    private static readonly TimeSpan Retention = TimeSpan.FromHours(24);

    public static TheoryData<int> Seeds => [1, 2, 3, 4, 5, 20260102];

    [Theory]
    [MemberData(nameof(Seeds))]
    public async Task Whatever_happens_in_whatever_order_every_run_ends_once(int seed)
    {
        using TemporaryFolder folder = new();
        await using World world = await World.OpenAsync(folder["berth.db"], seed);
        for (int step = 0; step < Steps; step++)
        {
            await world.StepAsync();
            await world.CheckAsync(step);
        }

        await world.FinishAsync();
    }

    private sealed class World(string path, Random random) : IAsyncDisposable
    {
        private readonly List<RunId> accepted = [];
        private readonly Dictionary<RunId, Run> ended = [];

        // Claims that somebody holds, or believes to hold: a stale one is never forgotten, it may report late.
        private readonly List<Run> claims = [];
        private DateTimeOffset now = Noon;
        private SqliteRunStore store = null!;

        public static async Task<World> OpenAsync(string path, int seed)
        {
            World world = new(path, new Random(seed));
            await world.OpenStoreAsync();
            return world;
        }

        public async Task StepAsync()
        {
            now += TimeSpan.FromMilliseconds(random.Next(400));
            switch (random.Next(12))
            {
                case 0 or 1:
                    await AcceptAsync();
                    break;
                case 2 or 3:
                    claims.AddRange((await store.ClaimAsync(new ClaimOrder(random.Next(1, 4), now),
                        None)).Select(claimed => claimed.Run));
                    break;
                case 4 or 5:
                    await WithClaimAsync(run => RunSteps.Start(run, "here", RunTimings.None, now, []));
                    break;
                case 6 or 7:
                    EndReason reason = Enum.GetValues<EndReason>()[random.Next(Enum.GetValues<EndReason>().Length)];
                    await WithClaimAsync(run => RunSteps.End(run, End(reason), At(now), random.NextDouble(), Retention,
                        []));
                    break;
                case 8:
                    await WithClaimAsync(run => RunSteps.HandBack(run, End(EndReason.PlatformFault), At(now)));
                    break;
                case 9:
                    await CancelAsync();
                    break;
                case 10:
                    foreach (Run run in await store.OverAgeAsync(now, 10, None))
                    {
                        await SaveAsync(RunSteps.Expire(run, now, Retention));
                    }

                    break;
                default:
                    await RestartAsync();
                    break;
            }
        }

        public async Task CheckAsync(int step)
        {
            foreach ((RunId id, Run run) in ended)
            {
                // Looking at some is enough: every run is looked at again in the end.
                if (random.Next(ended.Count) < 3)
                {
                    Run? found = await store.FindAsync(id, None);
                    Assert.True(
                        found is not null && (found.State, found.EndedAt) == (run.State, run.EndedAt),
                        $"after step {step} run {id} is {found?.State} although it ended as {run.State}");
                }
            }
        }

        public async Task FinishAsync()
        {
            await RestartAsync();
            now += TimeSpan.FromHours(1);
            while (await store.ClaimAsync(new ClaimOrder(50, now), None) is { Count: > 0 } rest)
            {
                foreach (ClaimedRun claimed in rest)
                {
                    RunChange start = RunSteps.Start(claimed.Run, "here", RunTimings.None, now, []);
                    await SaveAsync(start);
                    await SaveAsync(RunSteps.End(start.Next, End(EndReason.Completed), At(now), 0, Retention, []));
                }
            }

            foreach (RunId id in accepted)
            {
                Run run = (await store.FindAsync(id, None))!;
                IReadOnlyList<NumberedEvent> events = await store.EventsAsync(id, 0, 1000, None);
                Assert.True(run.State.IsTerminal(), $"run {id} is {run.State}");
                Assert.Single(events, e => e.Event.Type == RunEventTypes.Ended);
                Assert.Equal(Enumerable.Range(2, events.Count).Select(i => (long)i), events.Select(e => e.Sequence));
                Assert.Equal(run.LastEvent, events[^1].Sequence);
                Assert.True(run.Attempts <= run.Spec.Retry.MaxAttempts, $"run {id} had {run.Attempts} attempts");
            }
        }

        public ValueTask DisposeAsync() => store.DisposeAsync();

        private async Task OpenStoreAsync() => store = await SqliteRunStore.OpenAsync(
            path, SqliteRunStore.DefaultBallast, NullLogger<SqliteRunStore>.Instance, None);

        private async Task AcceptAsync()
        {
            RunSpec spec = Spec() with
            {
                MaxAge = random.Next(4) == 0 ? TimeSpan.FromSeconds(random.Next(1, 20)) : null,
                Retry = new RetryPolicy(random.Next(1, 4), random.Next(2) == 0),
            };
            Run run = Accepted(now, spec);
            await store.AcceptAsync(new NewRun(run, default, null, default), None);
            accepted.Add(run.Id);
        }

        private async Task WithClaimAsync(Func<Run, RunChange> step)
        {
            if (claims.Count == 0)
            {
                return;
            }

            // Mostly one of the newest, sometimes one that lost its claim long ago.
            int index = random.Next(5) == 0
                ? random.Next(claims.Count) : Math.Max(0, claims.Count - 1 - random.Next(3));
            Run run = claims[index];
            RunChange change = step(run);
            if (await SaveAsync(change) && change.Next.State == RunState.Running)
            {
                claims[index] = change.Next;
            }
        }

        private async Task CancelAsync()
        {
            if (accepted.Count == 0)
            {
                return;
            }

            Run run = (await store.FindAsync(accepted[random.Next(accepted.Count)], None))!;
            if (run.State == RunState.Queued)
            {
                await SaveAsync(RunSteps.CancelWaiting(run, now, Retention));
            }
            else
            {
                await store.RequestCancelAsync(run.Id,
                    new RunEvent(now, RunEventTypes.CancelRequested, run.Attempts, "asked"), None);
            }
        }

        private async Task RestartAsync()
        {
            await store.DisposeAsync();
            await OpenStoreAsync();
            foreach (Run run in await store.UnfinishedAsync(null, 1000, None))
            {
                Assert.True(await SaveAsync(RunSteps.Recover(run, At(now), Retention)),
                    $"run {run.Id} could not be recovered");
            }
        }

        private async Task<bool> SaveAsync(RunChange change)
        {
            SaveOutcome outcome = await store.SaveAsync(change, None);
            if (outcome.Applied && change.Next.State.IsTerminal())
            {
                Assert.True(ended.TryAdd(change.Next.Id, outcome.Current!), $"run {change.Next.Id} ended twice");
            }

            return outcome.Applied;
        }
    }
}
