using Berth.Core.Errors;
using Berth.Core.Runs;
using Berth.Server.Functions;
using Berth.Server.Logs;
using Berth.Server.Runs;
using Berth.Server.Store;

namespace Berth.Server.Cluster;

/// <summary>What the programs of a function wrote, wherever they ran: the parts of all servers as one log. One that
/// can't be had is named in its place.</summary>
internal sealed class FunctionLogs(FunctionManager functions, RunRooms rooms)
{
    private readonly FunctionLog here = rooms.FunctionLog!;

    /// <inheritdoc cref="FunctionLog.Check"/>
    public void Check(string name, int? revision) => here.Check(name, revision);

    /// <inheritdoc cref="FunctionLog.ReadAsync"/>
    public IAsyncEnumerable<FunctionLogNews> ReadAsync(
        string name, int? revision, LogQuery query, CancellationToken cancellationToken)
    {
        FunctionLogOrigin own = new("", null, (rest, token) => here.ReadAsync(name, revision, rest, token));
        return new JoinedFunctionLog(
            () => [.. Reached(name, revision), own],
            async token => await GoneAsync(name, revision, token),
            () => functions.Find(name) is not null, rooms.Time).ReadAsync(query, cancellationToken);
    }

    private IEnumerable<FunctionLogOrigin> Reached(string name, int? revision) =>
        rooms.Peers is { } peers ? peers.Directory.Reached.Select(s => Of(peers, s.Id, name, revision)) : [];

    /// <summary>Servers that had one of the newest runs, and can't be asked.</summary>
    private async Task<IReadOnlyList<FunctionLogOrigin>> GoneAsync(
        string name, int? revision, CancellationToken cancellationToken)
    {
        if (rooms.Peers is not { } peers)
        {
            return [];
        }

        IReadOnlyList<Run> recent = await here.RecentAsync(name, revision, cancellationToken);
        IEnumerable<string> holders = await peers.HoldersAsync([.. recent.Select(r => r.Id)], cancellationToken);
        return
        [
            .. holders.Except(peers.Directory.Reached.Select(s => s.Id), StringComparer.Ordinal)
                .Select(server => Of(peers, server, name, revision)),
        ];
    }

    private static FunctionLogOrigin Of(Peers peers, string server, string name, int? revision) => new(
        server, error => WhyMissing(peers, server, error),
        (query, token) => peers.FunctionLogAsync(server, name, revision, query, token));

    private static string WhyMissing(Peers peers, string server, Exception error)
    {
        ServerBeat? peer = peers.Directory.Find(server);
        string why = error switch
        {
            TimeoutException => "does not answer",
            BerthException { Code: ErrorCode.NotFound } => "has a version of Berth that does not tell them",
            _ => PeerDoors.WhyNot(peer, error.InnerException),
        };
        return $"the server '{peer?.Name ?? server}' {why}: its lines are missing here";
    }
}
