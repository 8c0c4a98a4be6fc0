using Berth.Api.Containers;
using Berth.Api.Nodes;
using Berth.Core.Runs;
using Berth.Server.Calls;

namespace Berth.Server.ContainerEndpoints;

/// <summary>Turns a request to run a further program in a container into what is run: checked as a container's own
/// program is.</summary>
internal static class ExecOrder
{
    /// <param name="size">Of the terminal, where one is asked for.</param>
    public static ExecutionSpec Read(ExecRequest request, TerminalSize size)
    {
        Asked command = new("command", null);
        return request.Command is { Count: > 0 } words && words[0] is not ""
            ? new ExecutionSpec(
                ProgramRules.Words(command, words),
                ProgramRules.Environment(new Asked("environment", null), Named.Of(request.Environment)),
                ProgramRules.User(new Asked("user", request.User)),
                ProgramRules.WorkingDirectory(new Asked("workingDirectory", request.WorkingDirectory)),
                request.Terminal ? size : null)
            : throw command.Refuse("", "name the program to run");
    }
}
