namespace Berth.Core.Runs;

/// <summary>
/// Which of the waiting tasks is served first: a whole number, the higher the sooner. Below zero is for work that fills
/// what would lie idle: it gives its place up to whatever else waits for one.
/// </summary>
public static class RunPriority
{
    public const int Least = -100;
    public const int Usual = 0;
    public const int Most = 100;

    /// <summary>Whether a program of this priority is ended, and begun again later, when others wait for a place.
    /// </summary>
    public static bool GivesWay(int priority) => priority < Usual;
}
