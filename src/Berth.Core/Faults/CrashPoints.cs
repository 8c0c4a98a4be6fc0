namespace Berth.Core.Faults;

/// <summary>
/// Where the source says that it has come to a <see cref="CrashPoint"/>. Nobody watches in normal use; passing a point
/// is then one comparison.
/// </summary>
public static class CrashPoints
{
    private static Action<CrashPoint>? watcher;

    public static void Reach(CrashPoint point) => watcher?.Invoke(point);

    /// <summary>For the whole life of the process; called before anything else runs.</summary>
    public static void Watch(Action<CrashPoint> watch) => watcher = watch;
}
