using System.CommandLine;
using Berth.Api.Rollouts;
using Berth.Commands.Functions;
using Berth.Commands.Output;

namespace Berth.Commands.Rollouts;

/// <summary><c>berth rollout status</c>. Watching, a terminal is drawn anew; whatever else reads gets a line for each
/// thing that happens.</summary>
internal sealed class RolloutStatusCommand : Verb
{
    /// <summary>Nothing is decided more often.</summary>
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    private readonly FunctionArgument function = new();
    private readonly OutputOption output = new();
    private readonly Option<bool> watch = new("--watch", "-w")
    {
        Description = "Go on until it has ended; exit code 1 where the revision was not promoted",
    };

    public RolloutStatusCommand()
        : base(
            "status", "Tell how the newest rollout of a function stands, and why",
            new("berth rollout status thumbnail", "Now"),
            new("berth rollout status -w thumbnail && echo promoted", "Until it has ended"))
    {
        Add(watch);
        Add(output);
        Add(function);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        if (!session.Get(watch))
        {
            Write(session, await GetAsync(session, cancellationToken));
            return 0;
        }

        int code = 0;
        await session.WhileReadAsync(
            async stop => code = await WatchAsync(session, stop), cancellationToken);
        return code;
    }

    private async Task<int> WatchAsync(Session session, CancellationToken cancellationToken)
    {
        bool json = session.Get(output) == "json";
        bool redraws = session.Terminal.OutputIsTerminal && !json;
        DateTimeOffset told = DateTimeOffset.MinValue;
        while (true)
        {
            RolloutView view = await GetAsync(session, cancellationToken);
            if (redraws)
            {
                await session.Terminal.Out.WriteAsync("\e[H\e[2J");
                RolloutText.Write(session, view);
            }
            else if (json)
            {
                JsonOutput.WriteLine(session.Terminal, view, RolloutJson.Default.RolloutView);
            }
            else
            {
                foreach (RolloutEventView entry in view.Events.Where(e => e.At > told))
                {
                    await session.Terminal.Out.WriteLineAsync(RolloutText.EventLine(entry));
                }

                told = view.Events[^1].At;
            }

            await session.Terminal.Out.FlushAsync(cancellationToken);
            if (!RolloutText.IsUnderWay(view))
            {
                return view.State == "promoted" ? 0 : 1;
            }

            await Task.Delay(Interval, session.Terminal.Time, cancellationToken);
        }
    }

    private Task<RolloutView> GetAsync(Session session, CancellationToken cancellationToken) =>
        session.Client.Rollouts.GetAsync(session.Get(function), cancellationToken);

    private void Write(Session session, RolloutView view)
    {
        if (session.Get(output) == "json")
        {
            JsonOutput.Write(session.Terminal, view, RolloutJson.Default.RolloutView);
        }
        else
        {
            RolloutText.Write(session, view);
        }
    }
}
