using System.Globalization;
using Berth.Core.Runs;
using Berth.Simulation.Checks;
using Berth.Simulation.Worlds;
using Xunit;

namespace Berth.Simulation;

/// <summary>Clusters from seeds. <c>BERTH_SIMULATION_SEEDS</c> says how many, <c>BERTH_SIMULATION_SEED</c> plays one
/// alone, with its story.</summary>
public sealed class SimulationTests(ITestOutputHelper output)
{
    private const int Usual = 300;
    private const int ToBeCaught = 200;

    [Fact]
    public void Whatever_fails_nothing_accepted_is_lost_doubled_or_left_behind()
    {
        int starts = 0;
        int accepted = 0;
        int again = 0;
        foreach (int seed in Seeds())
        {
            World world = new(seed, Decisions.Real);
            if (Play(world) is { } broken)
            {
                Assert.Fail(
                    $"Seed {seed}: {broken.Message}. BERTH_SIMULATION_SEED={seed} plays it again. Its last steps:\n"
                    + string.Join('\n', world.Story.TakeLast(60)));
            }

            starts += world.Ledger.Starts;
            accepted += world.Ledger.Accepted;
            again += world.Ledger.Claims - world.Ledger.Accepted;
            if (Variable("BERTH_SIMULATION_SEED") is not null)
            {
                output.WriteLine(string.Join('\n', world.Story));
            }
        }

        output.WriteLine($"{accepted} tasks accepted, {starts} programs begun, {again} claims more than tasks");
        // Otherwise nothing went wrong, and nothing was shown.
        Assert.True(accepted > 0 && again > 0);
    }

    [Fact]
    public void A_seed_plays_the_same_story_twice()
    {
        foreach (int seed in (int[])[1, 2, 3])
        {
            World first = new(seed, Decisions.Real);
            World second = new(seed, Decisions.Real);

            first.Play();
            second.Play();

            Assert.Equal(first.Time.Steps, second.Time.Steps);
            Assert.Equal(first.Story, second.Story);
        }
    }

    [Fact]
    public void A_planner_that_forgets_what_it_placed_in_the_same_round_is_caught() => Catch(
        Ledger.Capacity, Decisions.Real with { Place = (index, request) => index.Plan(request) });

    [Fact]
    public void A_store_that_accepts_an_old_generation_is_caught() => Catch(Ledger.OneResult, Decisions.Real with
    {
        Admits = (stored, change) => RunClaims.Admits(stored with { Generation = change.ExpectedGeneration }, change),
    });

    [Fact]
    public void A_lease_that_is_taken_early_is_caught() => Catch(Ledger.Leases, Decisions.Real with
    {
        JudgedBy = LeaseRules.Default with { Length = TimeSpan.FromSeconds(3) },
    });

    [Fact]
    public void A_node_that_looks_at_its_leases_too_late_after_a_pause_is_caught() =>
        Catch(Ledger.Leases, Decisions.Real with { StopsFirst = false });

    [Fact]
    public void An_answer_that_leaves_before_the_row_is_written_is_caught() =>
        Catch(Ledger.NothingLost, Decisions.Real with { WritesFirst = false });

    [Fact]
    public void A_lapsed_claim_that_nobody_takes_over_is_caught() =>
        Catch(Ledger.Ends, Decisions.Real with { Recover = (_, _, _) => null });

    [Fact]
    public void A_poison_task_that_is_taken_over_for_ever_is_caught() => Catch(Ledger.Ends, Decisions.Real with
    {
        Recover = (run, now, retention) => RunSteps.Recover(
            run with { Spec = run.Spec with { Retry = run.Spec.Retry with { MaxAttempts = int.MaxValue } } }, now,
            retention) is var change
            ? change with { Next = change.Next with { Spec = run.Spec } }
            : null,
    });

    private static void Catch(string promise, Decisions mutant)
    {
        List<string> others = [];
        for (int seed = 0; seed < ToBeCaught; seed++)
        {
            if (Play(new World(seed, mutant)) is { } broken)
            {
                if (broken.Promise == promise)
                {
                    return;
                }

                others.Add($"{seed}: {broken.Message}");
            }
        }

        Assert.Fail($"In {ToBeCaught} worlds nobody noticed that it is broken: {promise}. Noticed was: "
            + string.Join("; ", others.Take(5)));
    }

    private static BrokenPromiseException? Play(World world)
    {
        try
        {
            world.Play();
            return null;
        }
        catch (BrokenPromiseException broken)
        {
            return broken;
        }
    }

    private static IEnumerable<int> Seeds() => Variable("BERTH_SIMULATION_SEED") is { } one
        ? [one]
        : Enumerable.Range(0, Variable("BERTH_SIMULATION_SEEDS") ?? Usual);

    private static int? Variable(string name) => Environment.GetEnvironmentVariable(name) is { Length: > 0 } text
        ? int.Parse(text, CultureInfo.InvariantCulture)
        : null;
}
