using Berth.Simulation.Actors;
using Berth.Simulation.Checks;

namespace Berth.Simulation.Worlds;

/// <summary>A cluster from a seed: servers, nodes, one store, clients, and the troubles they get into. The same seed is
/// the same story, step by step.</summary>
internal sealed class World
{
    private static readonly TimeSpan Troubled = TimeSpan.FromSeconds(45);
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(20);
    private static readonly TimeSpan Aftermath = TimeSpan.FromSeconds(30);

    private readonly List<string> story = [];
    private readonly List<Actor> actors = [];

    public World(int seed, Decisions decisions)
    {
        Random = new Random(seed);
        Decisions = decisions;
        Network = new Network(this);
        Store = new SimulatedStore(this);
        Servers = [.. Enumerable.Range(0, Random.Next(1, 4)).Select(i => new SimulatedServer(this, $"server-{i}"))];
        Nodes = [.. Enumerable.Range(0, Random.Next(2, 6)).Select(i => new SimulatedNode(this, $"node-{i}"))];
        actors.AddRange([Store, .. Servers, .. Nodes]);
        Clients = [.. Enumerable.Range(0, 3).Select(i => new SimulatedClient(this, $"client-{i}"))];
    }

    public Timeline Time { get; } = new();

    public Random Random { get; }

    public Network Network { get; }

    public Ledger Ledger { get; } = new();

    public Decisions Decisions { get; }

    public SimulatedStore Store { get; }

    public IReadOnlyList<SimulatedServer> Servers { get; }

    public IReadOnlyList<SimulatedNode> Nodes { get; }

    public IReadOnlyList<SimulatedClient> Clients { get; }

    public IReadOnlyList<string> Story => story;

    public void Tell(string what) => story.Add($"{Time.Now.TotalSeconds:0.000} {what}");

    /// <exception cref="BrokenPromiseException">With what was broken first.</exception>
    public void Play()
    {
        foreach (Actor actor in (Actor[])[.. actors, .. Clients])
        {
            actor.Start();
        }

        // 1. Troubles of every kind while the clients ask.
        Trouble.Begin(this, actors, Troubled);
        while (Time.Step(Troubled))
        {
        }

        // 2. Everything is put in order, and what was accepted comes to its end.
        Heal();
        TimeSpan until = Time.Now + Patience;
        while (!(Clients.All(client => client.IsDone) && Store.IsDone) && Time.Step(until))
        {
        }

        // 3. Nobody holds anything any more.
        until = Time.Now + Aftermath;
        while (Time.Step(until))
        {
        }

        Ledger.Finish(Store, Nodes, Servers);
    }

    private void Heal()
    {
        Tell("faults stop");
        Network.Heal();
        foreach (Actor actor in actors)
        {
            actor.Resume();
            actor.Start();
        }

        Store.IsFull = false;
        foreach (SimulatedNode node in Nodes)
        {
            node.IsFull = false;
        }
    }
}
