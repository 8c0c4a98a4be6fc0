using System.CommandLine;
using Berth.Api.Client;

namespace Berth.Commands.Runs;

/// <summary>The options that say which nodes may have the program; calls, tasks and functions share them.</summary>
internal sealed class PlacementOptions
{
    private readonly Option<string[]> constraints = Repeated(
        "--constraint", "EXPRESSION",
        "Run on nodes that are so: zone=cellar, zone!=cellar, cpu.feature=avx2, ssd, !ssd");

    private readonly Option<string?> node = new("--node")
    {
        HelpName = "NAME",
        Description = "Run on this node: short for --constraint node=NAME",
    };

    private readonly Option<string[]> tolerations = Repeated(
        "--tolerate", "TAINT", "Run also on nodes with this taint: KEY or KEY=VALUE");

    private readonly Option<string?> spread = new("--spread")
    {
        HelpName = "LABEL",
        Description = "Spread evenly over the values of this label of nodes, such as zone",
    };

    /// <param name="spreads">Whether it is for programs, which are spread, and have no node of their own
    /// otherwise.</param>
    public void AddTo(Command command, bool spreads = true)
    {
        command.Add(constraints);
        command.Add(tolerations);
        if (spreads)
        {
            command.Add(node);
            command.Add(spread);
        }
    }

    public RunOptions Add(Session session, RunOptions options) => options with
    {
        Constraints =
        [
            .. session.Get(constraints) ?? [],
            .. session.Get(node) is { } name ? [$"node={name}"] : Array.Empty<string>(),
        ],
        Tolerations = session.Get(tolerations) ?? [],
        Spread = session.Get(spread),
    };

    private static Option<string[]> Repeated(string name, string value, string description) => new(name)
    {
        HelpName = value,
        Description = description + " (repeatable)",
        AllowMultipleArgumentsPerToken = false,
    };
}
