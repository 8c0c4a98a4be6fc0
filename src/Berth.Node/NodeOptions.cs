using System.Security.Cryptography;
using System.Text;
using Berth.Api.Nodes;
using Berth.Core.Pools;

namespace Berth.Node;

/// <summary>What an operator can decide about a node. Everything has a default but the name and the instance.</summary>
/// <param name="Name">Shown in runs and in <c>berth ps</c>.</param>
/// <param name="Instance">Tells the host objects of two servers on one machine
/// apart; see <see cref="InstanceOf"/>.</param>
public sealed record NodeOptions(string Name, string Instance)
{
    /// <summary>Where runtime state lives that must not survive a reboot.</summary>
    public string RuntimeFolder { get; init; } = "/run/berth";

    /// <summary>Where what outlasts sandboxes lives: writable layers of containers, named volumes. Null: there are
    /// none.</summary>
    public string? StorageFolder { get; init; }

    /// <summary>Of this machine, that may be put into sandboxes with all that is below them; never what holds
    /// <see cref="StorageFolder"/>. Whoever may run programs with them reads and writes there as root.</summary>
    public IReadOnlyList<string> HostFolders { get; init; } = [];

    /// <summary>Path of runc; null looks in the usual folders.</summary>
    public string? Runc { get; init; }

    /// <summary>Runtimes that sandboxes can be made with beside runc.</summary>
    public IReadOnlyList<RegisteredRuntime> Runtimes { get; init; } = [];

    /// <summary>First host user and group id given to sandboxes. Each takes a range of 65,536, one after the
    /// other, so ids from here up must not belong to people or services of the machine.</summary>
    public uint FirstOwner { get; init; } = 1_000_000;

    public PoolLimits Pool { get; init; } = PoolLimits.Default;

    /// <summary>How often leftovers are looked for.</summary>
    public TimeSpan SweepPeriod { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>Eight hexadecimal digits that stand for a data folder.</summary>
    public static string InstanceOf(string dataFolder) =>
        Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(Path.GetFullPath(dataFolder))).AsSpan(0, 4));
}
