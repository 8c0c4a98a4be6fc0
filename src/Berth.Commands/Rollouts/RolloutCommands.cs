using System.CommandLine;
using Berth.Api.Client;
using Berth.Api.Rollouts;
using Berth.Commands.Functions;

namespace Berth.Commands.Rollouts;

/// <summary><c>berth rollout</c>.</summary>
internal static class RolloutCommands
{
    public static Noun All() => new(
        "rollout", "Give a new revision of a function its calls little by little, and take them back where it fails",
        [
            new("berth function deploy --canary 5,25,50 thumbnail demo/thumbnail:2", "Deploy, and begin"),
            new("berth rollout status -w thumbnail", "Watch it until it has ended"),
            new("berth rollout abort thumbnail", "Take all calls from the new revision at once"),
        ],
        new StartRolloutCommand(), new RolloutStatusCommand(),
        new RolloutStepCommand(
            "promote", "Give the revision all calls now", new("berth rollout promote thumbnail", "The old one is kept"),
            (client, name, cancellation) => client.Rollouts.PromoteAsync(name, cancellation)),
        new RolloutStepCommand(
            "abort", "End it: calls go where they went before",
            new("berth rollout abort thumbnail", "At once"),
            async (client, name, cancellation) =>
            {
                await client.Rollouts.AbortAsync(name, cancellation);
                return await client.Rollouts.GetAsync(name, cancellation);
            }),
        new RolloutStepCommand(
            "pause", "Hold it at its step; a revision that fails too much is rolled back all the same",
            new("berth rollout pause thumbnail", "Until it is resumed"),
            (client, name, cancellation) => client.Rollouts.PauseAsync(name, cancellation)),
        new RolloutStepCommand(
            "resume", "Let it go on: its step begins anew", new("berth rollout resume thumbnail", "At the same share"),
            (client, name, cancellation) => client.Rollouts.ResumeAsync(name, cancellation)));
}

internal sealed class StartRolloutCommand : Verb
{
    private readonly FunctionArgument function = new();
    private readonly PlanOptions plan = new("--steps", "Percents of the calls, one after the other (default 5,25,50)");
    private readonly Option<int?> revision = new("--revision")
    {
        HelpName = "N",
        Description = "The one that is to get all calls; the newest if not given",
    };

    private readonly Option<bool> sticky = new("--sticky")
    {
        Description = "Let callers keep their place in the shares, by a cookie: who has met the revision goes on "
            + "with it",
    };

    public StartRolloutCommand()
        : base(
            "start", "Give a revision that has not all calls its calls little by little",
            new("berth rollout start thumbnail", "The newest, by the default plan"),
            new(
                "berth rollout start --steps 5,25,50 --interval 5m --success-rate 99.5 --latency-p95 200ms thumbnail",
                "With a plan"),
            new(
                "berth rollout start --blue-green --interval 10m --latency-p95 1.2x thumbnail",
                "All calls at once, and back where the next ten minutes are not good"))
    {
        plan.AddTo(this);
        Add(revision);
        Add(sticky);
        Add(function);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        string name = session.Get(function);
        RolloutView view = await session.Client.Rollouts.StartAsync(
            name,
            (plan.Read(session) ?? new RolloutRequest()) with
            {
                Revision = session.Get(revision),
                Sticky = session.Get(sticky) ? true : null,
            },
            cancellationToken);
        session.Say(RolloutText.Line(view));
        session.Say($"Watch it with: berth rollout status -w {name}");
        return 0;
    }
}

internal sealed class RolloutStepCommand : Verb
{
    private readonly FunctionArgument function = new();
    private readonly Func<BerthClient, string, CancellationToken, Task<RolloutView>> step;

    public RolloutStepCommand(
        string name, string description, Example example,
        Func<BerthClient, string, CancellationToken, Task<RolloutView>> step)
        : base(name, description, example)
    {
        this.step = step;
        Add(function);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        session.Say(RolloutText.Line(await step(session.Client, session.Get(function), cancellationToken)));
        return 0;
    }
}
