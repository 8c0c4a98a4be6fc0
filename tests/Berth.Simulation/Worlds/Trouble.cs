using Berth.Simulation.Actors;

namespace Berth.Simulation.Worlds;

/// <summary>What goes wrong, and when: drawn from the world's seed.</summary>
internal static class Trouble
{
    public static void Begin(World world, IReadOnlyList<Actor> actors, TimeSpan until)
    {
        Random random = world.Random;
        // Some worlds have one kind of trouble only: mixed, one hides the other.
        int kind = random.Next(3) == 0 ? random.Next(7) : -1;
        world.Network.Trouble = random.Next(3) == 0 ? 0.15 * random.NextDouble() : 0;
        TimeSpan at = TimeSpan.Zero;
        while (true)
        {
            at += TimeSpan.FromMilliseconds(random.Next(300, 5000));
            if (at >= until)
            {
                return;
            }

            int what = kind < 0 ? random.Next(7) : kind;
            Actor actor = actors[random.Next(actors.Count)];
            Actor other = actors[random.Next(actors.Count)];
            TimeSpan lasting = TimeSpan.FromMilliseconds(random.Next(100, 20_000));
            world.Time.Add(at, () => Happen(world, what, actor, other, lasting, until));
        }
    }

    private static void Happen(World world, int what, Actor actor, Actor other, TimeSpan lasting, TimeSpan until)
    {
        switch (what)
        {
            case 0:
                actor.Kill();
                world.Time.Add(lasting, actor.Start);
                break;
            case 1:
                actor.Pause();
                world.Time.Add(lasting, actor.Resume);
                break;
            case 2:
                world.Network.Cut(actor, other);
                break;
            case 3:
                world.Network.Heal();
                world.Network.Trouble = world.Random.NextDouble() * 0.3;
                break;
            case 4:
                TimeSpan jump = TimeSpan.FromHours(world.Random.Next(-48, 48));
                world.Tell($"the wall clock of {actor.Name} jumps by {jump.TotalHours} h");
                actor.Jump(jump);
                break;
            default:
                Fill(world, actor, true);
                world.Time.Add(lasting, () => Fill(world, actor, false));
                break;
        }

        if (world.Time.Now + lasting > until)
        {
            world.Tell("which lasts until faults stop");
        }
    }

    private static void Fill(World world, Actor actor, bool isFull)
    {
        switch (actor)
        {
            case SimulatedStore store:
                store.IsFull = isFull;
                break;
            case SimulatedNode node:
                node.IsFull = isFull;
                break;
            default:
                return;
        }

        world.Tell($"the disk of {actor.Name} is {(isFull ? "full" : "free")}");
    }
}
