namespace Berth.Core.Runs;

/// <summary>
/// Now, by two clocks. The wall clock may be set, so it gives time stamps and no more; when a run is due and when it is
/// too old is judged by the steady one.
/// </summary>
/// <param name="Steady">A time of day that never jumps while a server runs, comparable to what it stored.</param>
public readonly record struct RunMoment(DateTimeOffset At, DateTimeOffset Steady);
