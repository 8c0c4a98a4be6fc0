using Berth.Core.Resources;
using Berth.Core.Runs;

namespace Berth.Server.Runs;

/// <summary>Limits and times of the task manager. Built by the configuration, which checks the ranges.</summary>
/// <param name="MaxRunning">Sandboxes running at once, calls and tasks together.</param>
/// <param name="QueueLimit">Tasks waiting before new ones are refused.</param>
/// <param name="WaitingCallsLimit">Calls waiting for a place before new ones are refused.</param>
/// <param name="InputLimit">Largest input of a task.</param>
/// <param name="ResultRetention">How long after a run's end input and result are kept.</param>
/// <param name="LogRetention">How long after its last line a log is kept.</param>
/// <param name="RunRetention">How long after a run's end its record is kept.</param>
/// <param name="StartLimit">Longest time for readying a sandbox; unpacking an image is part of it.</param>
/// <param name="LeaseSlack">How long after an attempt's deadline and grace its report is waited for.</param>
public sealed record RunOptions(
    int MaxRunning,
    int QueueLimit,
    int WaitingCallsLimit,
    ByteSize InputLimit,
    TimeSpan ResultRetention,
    TimeSpan LogRetention,
    TimeSpan RunRetention,
    TimeSpan StartLimit,
    TimeSpan LeaseSlack)
{
    /// <summary>How long after a dead letter's end it is listed, and its input kept.</summary>
    public TimeSpan DeadLetterRetention { get; init; } = TimeSpan.FromDays(14);

    public static RunOptions Default(int cores, ByteSize memory) => new(
        RunCapacity.DefaultPlaces(cores, memory), QueueLimit: 100_000, WaitingCallsLimit: 1000, ByteSize.GiB(1),
        TimeSpan.FromHours(24), TimeSpan.FromDays(7), TimeSpan.FromDays(30), TimeSpan.FromMinutes(5),
        TimeSpan.FromSeconds(30));
}
