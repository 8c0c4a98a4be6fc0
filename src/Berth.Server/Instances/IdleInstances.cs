namespace Berth.Server.Instances;

/// <summary>Those of a pool that have no call. The caller holds the pool's gate: no call may come to one meanwhile.
/// </summary>
internal static class IdleInstances
{
    /// <param name="after">Null for never.</param>
    public static void Freeze(IEnumerable<Instance> instances, TimeSpan? after, TimeSpan now)
    {
        foreach (Instance instance in instances)
        {
            if (instance is { Running: 0, IsDraining: false, IsFrozen: false } && now - instance.IdleSince >= after)
            {
                instance.Freeze();
            }
        }
    }
}
