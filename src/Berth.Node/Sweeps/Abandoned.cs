using Berth.Node.Cgroups;
using Berth.Node.Engines;
using Berth.Node.Linux;
using Microsoft.Extensions.Logging;

namespace Berth.Node.Sweeps;

/// <summary>
/// Removes the host objects of servers that were killed and whose data folder is gone since: nobody will ever start on
/// it and find them. Where the folder is there, its own next start recovers what was left, and where the server lives,
/// it holds its lock: neither is touched.
/// </summary>
internal sealed class Abandoned(
    NodeOptions options, ICgroups cgroups, ReadinessPoller poller, TimeProvider time, ILogger logger)
{
    public async Task RemoveAsync(CancellationToken cancellationToken)
    {
        foreach (string path in Directory.GetFiles(options.RuntimeFolder, "*" + EngineFolders.LockEnding))
        {
            string instance = Path.GetFileNameWithoutExtension(path);
            if (instance == options.Instance || InstanceLock.TryTake(path, make: false) is not { } held)
            {
                continue;
            }

            using (held)
            {
                if (held.DataFolder is { } folder && NodeOptions.InstanceOf(folder) == instance
                    && !Directory.Exists(folder))
                {
                    await RemoveAsync(held, options with { Instance = instance }, folder, cancellationToken);
                }
            }
        }
    }

    private async Task RemoveAsync(
        InstanceLock held, NodeOptions dead, string dataFolder, CancellationToken cancellationToken)
    {
        EngineFolders folders = new(dead);
        Log.Abandoned(logger, dead.Instance, dataFolder);
        await new Leftovers(folders, cgroups, poller, time, logger).RemoveAllAsync(cancellationToken);
        // What does not go now is found again by its lock.
        if (!folders.Exist && cgroups.At(folders.CgroupParent).TryRemove())
        {
            held.Delete();
        }
    }
}
