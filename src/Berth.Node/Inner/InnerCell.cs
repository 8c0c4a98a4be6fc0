using Berth.Node.Cgroups;
using Berth.Node.Engines;
using Berth.Node.Init;

namespace Berth.Node.Inner;

/// <summary>A place in an outer container for one sandbox at a time, whose control groups and network outlast it. See
/// <c>Berth.Init.Inner.CellHost</c>.</summary>
/// <param name="Objects">Its control groups, by its own name, and its process.</param>
internal sealed record InnerCell(HostObjects Objects)
{
    public InitChannel Channel => Objects.Channel!;

    /// <summary>Of its process, which is in the control groups beside those of a sandbox.</summary>
    public int Host => Objects.Init!.Pid;

    public ICgroup Cgroup => Objects.Cgroup;
}
