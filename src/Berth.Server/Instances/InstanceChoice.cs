namespace Berth.Server.Instances;

/// <summary>Who gets the next call. Pure.</summary>
internal static class InstanceChoice
{
    /// <summary>The least busy one that has room, and of those one that is awake; null where all are full.</summary>
    public static Instance? Among(IReadOnlyList<Instance> instances, int concurrency)
    {
        Instance? least = null;
        for (int i = 0; i < instances.Count; i++)
        {
            Instance instance = instances[i];
            if (instance.TakesCalls && instance.Running < concurrency
                && (least is null || instance.Running < least.Running
                    || (instance.Running == least.Running && least.IsFrozen && !instance.IsFrozen)))
            {
                least = instance;
            }
        }

        return least;
    }
}
