namespace Berth.Simulation.Worlds;

/// <summary>Carries messages: late, twice, not at all, in another order than they were sent, and between some actors
/// for a while none.</summary>
internal sealed class Network(World world)
{
    private readonly HashSet<(Actor, Actor)> cut = [];

    /// <summary>Share of messages that are lost, and of those that come twice.</summary>
    public double Trouble { get; set; }

    public void Cut(Actor a, Actor b)
    {
        world.Tell($"cut between {a.Name} and {b.Name}");
        cut.Add((a, b));
        cut.Add((b, a));
    }

    public void Heal()
    {
        cut.Clear();
        Trouble = 0;
    }

    public void Send(Actor from, Actor to, Action act)
    {
        if (cut.Contains((from, to)) || world.Random.NextDouble() < Trouble)
        {
            return;
        }

        world.Time.Add(Delay(), () => to.Deliver(act));
        if (world.Random.NextDouble() < Trouble)
        {
            world.Time.Add(Delay(), () => to.Deliver(act));
        }
    }

    private TimeSpan Delay() => TimeSpan.FromMilliseconds(
        world.Random.NextDouble() < Trouble ? world.Random.Next(5000) : 1 + world.Random.Next(5));
}
