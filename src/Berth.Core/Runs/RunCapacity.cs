using Berth.Core.Resources;

namespace Berth.Core.Runs;

/// <summary>How many runs fit on a machine at once when nobody says.</summary>
public static class RunCapacity
{
    /// <summary>Programs often wait for files and networks, so there are several to a core.</summary>
    private const int PlacesPerCore = 8;

    /// <summary>
    /// Eight to a core, but no more than three quarters of the memory holds at the default limit; 2 to 1,024.
    /// </summary>
    public static int DefaultPlaces(int cores, ByteSize memory)
    {
        long byMemory = memory.Bytes / 4 * 3 / SandboxLimits.Default.Memory.Bytes;
        return (int)Math.Clamp(Math.Min((long)cores * PlacesPerCore, byMemory), 2, 1024);
    }
}
