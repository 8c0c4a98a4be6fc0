using Berth.Api.Links;
using Berth.Api.Nodes;
using Berth.Core.Errors;

namespace Berth.Server.Nodes;

/// <summary>One question or order to a node, and its one answer.</summary>
internal static class NodeQuestion
{
    /// <summary>Throws what the node refused it with, and <c>NodeFault</c> where the link ends before the answer.
    /// </summary>
    public static async Task<T> AskAsync<T>(
        NodeLink link, string path, Func<FrameWriter, Task> ask, FrameKind expected, Func<Frame, T> read,
        CancellationToken cancellationToken)
    {
        try
        {
            using LinkExchange exchange = link.Open(path);
            await ask(exchange.Writer);
            Frame answer = NodeAnswer.Require(
                await (await exchange.ReaderAsync(cancellationToken)).ReadAsync(cancellationToken), expected);
            T result = read(answer);
            exchange.Complete();
            return result;
        }
        catch (Exception gone) when (gone is IOException or HttpRequestException)
        {
            throw RemoteAttempt.Lost(link.Name, gone);
        }
    }

    /// <summary>What runs in a container. Throws <c>NodeFault</c>.</summary>
    public static Task<IReadOnlyList<ProcessView>> ProcessesAsync(
        NodeLink link, string attempt, CancellationToken cancellationToken)
    {
        if (!link.HasProcesses)
        {
            throw new BerthException(
                ErrorCode.NodeFault,
                $"The node '{link.Name}' speaks a version of the link that does not tell processes: install this "
                + "server's version of Berth there. Until then 'berth exec' with ps shows them, where the image has "
                + "it.");
        }

        return AskAsync(
            link, LinkProtocol.KeptPath,
            writer => writer.SendAsync(
                FrameKind.AskProcesses, new ProcessesOrder(attempt), ContainerLinkJson.Default.ProcessesOrder,
                cancellationToken),
            FrameKind.Processes, static answer => answer.Read(ContainerLinkJson.Default.ProcessesReport).Read(),
            cancellationToken);
    }
}
