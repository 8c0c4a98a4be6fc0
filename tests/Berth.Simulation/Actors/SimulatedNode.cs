using Berth.Core.Placement;
using Berth.Core.Resources;
using Berth.Core.Runs;
using Berth.Simulation.Checks;
using Berth.Simulation.Worlds;

namespace Berth.Simulation.Actors;

/// <summary>
/// A machine with programs. It takes what fits, renews the claims of what it runs, ends a program whose claim it could
/// not renew in time, and reports ends until somebody has written them down. Killed, its programs end with it.
/// </summary>
internal sealed class SimulatedNode(World world, string name) : Actor(world, name)
{
    /// <summary>Cores that a task may ask for: each node alone could take it.</summary>
    public const int LargestTask = 3;

    private readonly NodeResources capacity = new(
        world.Random.Next(LargestTask, 7) * 1000L, ByteSize.GiB(world.Random.Next(1, 4)), ByteSize.GiB(20));

    private readonly string zone = "z" + world.Random.Next(2);
    private readonly Dictionary<RunId, Program> programs = [];
    private readonly Dictionary<RunId, int> newest = [];
    private readonly List<Report> reports = [];

    /// <summary>No room for writable layers.</summary>
    public bool IsFull { get; set; }

    public int Programs => programs.Count;

    private LeaseRules Rules => World.Decisions.HeldBy;

    /// <summary>A run is given to it.</summary>
    /// <param name="beat">Moment of its own clock that whoever claimed had heard of before the claim: the claim counts
    /// from then on.</param>
    public void Begin(Run run, PlacementRequest request, TimeSpan beat)
    {
        if (newest.GetValueOrDefault(run.Id) >= run.Generation)
        {
            return;
        }

        newest[run.Id] = run.Generation;
        RunLease lease = new(run.Generation, beat);
        if (lease.MustStop(Steady, Rules))
        {
            World.Tell($"{Name} refuses {request.Id}: its claim is too old");
            return;
        }

        // An older generation of the same run has no right any more.
        Stop(run.Id);
        if (IsFull)
        {
            AddReport(new Report(run.Id, run.Generation, Fault("No room on the disk."), IsHandBack: false));
            return;
        }

        if (!Fits(request.Resources))
        {
            AddReport(new Report(run.Id, run.Generation, Fault("No room."), IsHandBack: true));
            return;
        }

        Program program = new(run, PlacedRun.Of(request, []), lease);
        programs.Add(run.Id, program);
        World.Tell($"{Name} begins {request.Id}");
        World.Ledger.Begin(run.Id, run.Generation, this);
        Tell(server => server.Started(run.Id, run.Generation, Name));
        After(TimeSpan.FromMilliseconds(Random.Next(50, 12_000)), () => Finish(program));
    }

    /// <summary>Ends what somebody else has by now, or what has to give way.</summary>
    public void Evict(string placed)
    {
        foreach (Program program in programs.Values.Where(program => program.Placed.Id == placed).ToArray())
        {
            Stop(program.Run.Id);
            AddReport(new Report(program.Run.Id, program.Run.Generation, Fault("It gave way."), IsHandBack: true));
        }
    }

    public bool Settle(IReadOnlyCollection<string> stale)
    {
        foreach (Program program in programs.Values.Where(program => stale.Contains(program.Placed.Id)).ToArray())
        {
            Stop(program.Run.Id);
        }

        return true;
    }

    public void CheckCapacity()
    {
        if (programs.Values.Sum(program => program.Placed.Resources.Millicores) > capacity.Millicores
            || programs.Values.Sum(program => program.Placed.Resources.Memory.Bytes) > capacity.Memory.Bytes)
        {
            throw new BrokenPromiseException(Ledger.Capacity, $"{Name} runs {programs.Count} programs");
        }
    }

    protected override void OnStart()
    {
        Every(TimeSpan.FromSeconds(1), Beat);
        Every(TimeSpan.FromMilliseconds(250), LookAtLeases);
        Every(TimeSpan.FromSeconds(1), SendReports);
    }

    protected override void OnKill()
    {
        foreach (RunId run in programs.Keys.ToArray())
        {
            Stop(run);
        }

        newest.Clear();
        reports.Clear();
    }

    protected override void OnResume()
    {
        if (World.Decisions.StopsFirst)
        {
            LookAtLeases();
        }

        World.Ledger.GoOn(programs.Keys);
    }

    private static RunEnd Fault(string detail) =>
        new(EndReason.PlatformFault, null, null, detail, RunUsage.None);

    private void Beat()
    {
        NodeSnapshot node = new(Name, capacity)
        {
            Labels = new Dictionary<string, string> { ["zone"] = zone },
            Runs = [.. programs.Values.Select(program => program.Placed)],
            Load = Random.NextDouble(),
        };
        TimeSpan at = Steady;
        foreach (SimulatedServer server in World.Servers)
        {
            World.Network.Send(this, server, () => server.Hear(this, node, at));
        }
    }

    private void LookAtLeases()
    {
        foreach (Program program in programs.Values.ToArray())
        {
            if (program.Lease.MustStop(Steady, Rules))
            {
                World.Tell($"{Name} ends {program.Placed.Id}: its claim was not renewed");
                Stop(program.Run.Id);
            }
            else if (program.Lease.IsDue(Steady, Rules) && Steady - program.Asked > TimeSpan.FromSeconds(1))
            {
                program.Asked = Steady;
                TimeSpan asked = Steady;
                Tell(server => server.Renew(
                    program.Run.Id, program.Run.Generation,
                    canceled => World.Network.Send(server, this, () => Renewed(program, asked, canceled))));
            }
        }
    }

    private void Renewed(Program program, TimeSpan asked, bool? canceled)
    {
        if (programs.GetValueOrDefault(program.Run.Id) != program)
        {
            return;
        }

        if (canceled is null)
        {
            Stop(program.Run.Id);
            return;
        }

        program.Lease = program.Lease.Renew(program.Run.Generation, asked)!.Value;
        if (canceled == true)
        {
            Stop(program.Run.Id);
            AddReport(new Report(
                program.Run.Id, program.Run.Generation,
                new RunEnd(EndReason.Canceled, null, null, null, RunUsage.None), IsHandBack: false));
        }
    }

    private void Finish(Program program)
    {
        if (programs.GetValueOrDefault(program.Run.Id) != program)
        {
            return;
        }

        Stop(program.Run.Id);
        RunEnd end = Random.Next(8) switch
        {
            0 => new RunEnd(EndReason.ExitCode, 1, null, null, RunUsage.None),
            1 => Fault("The sandbox failed."),
            _ => new RunEnd(EndReason.Completed, 0, null, null, RunUsage.None),
        };
        AddReport(new Report(program.Run.Id, program.Run.Generation, end, IsHandBack: false));
    }

    private void Stop(RunId run)
    {
        if (programs.Remove(run, out Program? program))
        {
            World.Ledger.End(run, program.Run.Generation, this);
        }
    }

    private bool Fits(NodeResources asked) =>
        programs.Values.Sum(program => program.Placed.Resources.Millicores) + asked.Millicores <= capacity.Millicores
        && programs.Values.Sum(program => program.Placed.Resources.Memory.Bytes) + asked.Memory.Bytes
            <= capacity.Memory.Bytes;

    private void AddReport(Report report)
    {
        reports.Add(report);
        SendReports();
    }

    private void SendReports()
    {
        foreach (Report report in reports.ToArray())
        {
            Tell(server => server.Ended(
                report.Run, report.Generation, report.End, report.IsHandBack,
                () => World.Network.Send(server, this, () => reports.Remove(report))));
        }
    }

    private void Tell(Action<SimulatedServer> what)
    {
        SimulatedServer server = World.Servers[Random.Next(World.Servers.Count)];
        World.Network.Send(this, server, () => what(server));
    }

    private sealed class Program(Run run, PlacedRun placed, RunLease lease)
    {
        public Run Run { get; } = run;

        public PlacedRun Placed { get; } = placed;

        public RunLease Lease { get; set; } = lease;

        public TimeSpan Asked { get; set; }
    }

    private sealed record Report(RunId Run, int Generation, RunEnd End, bool IsHandBack);
}
