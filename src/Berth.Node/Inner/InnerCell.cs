using Berth.Node.Cgroups;
using Berth.Node.Engines;

namespace Berth.Node.Inner;

/// <summary>A place in an outer container for one sandbox at a time, whose control groups and network outlast it. See
/// <c>Berth.Init.Inner.Cell</c>.</summary>
/// <param name="Number">The outer container's own.</param>
/// <param name="Objects">Its control groups, by its own name.</param>
internal sealed record InnerCell(int Number, HostObjects Objects)
{
    public ICgroup Cgroup => Objects.Cgroup;
}
