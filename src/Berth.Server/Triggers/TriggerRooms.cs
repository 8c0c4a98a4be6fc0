using Berth.Api.Nodes;
using Berth.Server.Functions;
using Berth.Server.Runs;
using Berth.Server.Store;
using Microsoft.Extensions.Logging;

namespace Berth.Server.Triggers;

/// <summary>The parts of triggers, and what they do by themselves.</summary>
internal sealed class TriggerRooms
{
    private readonly ClockPass clocks;
    private readonly UploadPass uploads;

    public TriggerRooms(
        ITriggerStore store, FunctionManager functions, RunManager runs, INodeStorage storage, TimeProvider time,
        ILoggerFactory loggers)
    {
        ILogger logger = loggers.CreateLogger<TriggerRooms>();
        Manager = new TriggerManager(store, time);
        Calls = new TriggerCall(functions);
        Firing = new TriggerFiring(Manager, Calls, runs, time);
        clocks = new ClockPass(Manager, Firing, runs, time, logger);
        uploads = new UploadPass(Manager, Firing, storage, time, logger);
        Manager.Changed = clocks.Poke;
    }

    public TriggerManager Manager { get; }

    public TriggerCall Calls { get; }

    public TriggerFiring Firing { get; }

    public Task RunAsync(CancellationToken stop) => Task.WhenAll(clocks.RunAsync(stop), uploads.RunAsync(stop));
}
