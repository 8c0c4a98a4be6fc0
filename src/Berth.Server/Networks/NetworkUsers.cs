using Berth.Core.Networks;
using Berth.Core.Runs;
using Berth.Server.Containers;
using Berth.Server.Functions;

namespace Berth.Server.Networks;

/// <summary>What uses a network, in words that a sentence can list.</summary>
internal sealed class NetworkUsers(ContainerManager containers, FunctionManager functions)
{
    /// <summary>Containers, whether they run or not, and functions of which a kept revision names it.</summary>
    public IReadOnlyList<string> Of(Network network) =>
    [
        .. containers.List().Where(e => e.Record.Spec.Bridge?.Use.Id == network.Id)
            .Select(e => $"container {e.Record.Name}"),
        .. functions.All.Where(e => e.Record.Revisions.Any(r => Uses(r.Spec.Run, network)))
            .Select(e => $"function {e.Record.Name}"),
    ];

    private static bool Uses(RunSpec run, Network network) => run.Bridge?.Id == network.Id;
}
