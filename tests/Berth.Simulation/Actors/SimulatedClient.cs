using Berth.Core.Images;
using Berth.Core.Resources;
using Berth.Core.Runs;
using Berth.Simulation.Worlds;

namespace Berth.Simulation.Actors;

/// <summary>Submits tasks until each is accepted, asks after them, and changes its mind about some. It is never killed:
/// whoever asks is outside.</summary>
internal sealed class SimulatedClient(World world, string name) : Actor(world, name)
{
    private const int Tasks = 12;

    private static readonly Digest Image = Digest.Sha256("an image"u8);

    private int settled;

    public bool IsDone => settled == Tasks;

    protected override void OnStart()
    {
        for (int i = 0; i < Tasks; i++)
        {
            int number = i;
            RunSpec spec = Spec();
            After(TimeSpan.FromMilliseconds(Random.Next(40_000)), () => Submit($"{Name}/{number}", spec));
        }
    }

    private RunSpec Spec() => RunSpec.For("demo/work:1", Image, RunKind.Task) with
    {
        Retry = new RetryPolicy(Random.Next(1, 6), OnProgramFailure: Random.Next(2) == 0),
        MaxAge = Random.Next(6) == 0 ? TimeSpan.FromSeconds(Random.Next(1, 60)) : null,
        Limits = SandboxLimits.Default with
        {
            Cpu = CpuQuota.FromMillicores(Random.Next(1, SimulatedNode.LargestTask + 1) * 1000),
        },
        Labels = new Dictionary<string, string>
        {
            ["priority"] = Random.Next(3).ToString(),
            ["batch"] = Random.Next(2).ToString(),
        },
    };

    private SimulatedServer AnyServer() => World.Servers[Random.Next(World.Servers.Count)];

    private void Submit(string key, RunSpec spec)
    {
        SimulatedServer server = AnyServer();
        bool isAnswered = false;
        World.Network.Send(this, server, () => server.Submit(key, spec, id => World.Network.Send(server, this, () =>
        {
            if (!isAnswered)
            {
                isAnswered = true;
                Follow(id);
            }
        })));
        // Whether it was accepted is not known: the same key again.
        After(TimeSpan.FromSeconds(3), () =>
        {
            if (!isAnswered)
            {
                isAnswered = true;
                Submit(key, spec);
            }
        });
    }

    private void Follow(RunId id)
    {
        World.Ledger.Accept(id);
        settled++;
        if (Random.Next(8) == 0)
        {
            After(TimeSpan.FromMilliseconds(Random.Next(8000)), () => Cancel(id));
        }

        After(TimeSpan.FromSeconds(2), () => Look(id, 20));
    }

    private void Cancel(RunId id)
    {
        SimulatedServer server = AnyServer();
        World.Network.Send(this, server, () => server.Cancel(id));
    }

    private void Look(RunId id, int times)
    {
        SimulatedServer server = AnyServer();
        World.Network.Send(this, server, () => server.Show(
            id, state => World.Network.Send(server, this, () => World.Ledger.See(id, state))));
        if (times > 0)
        {
            After(TimeSpan.FromSeconds(5), () => Look(id, times - 1));
        }
    }
}
