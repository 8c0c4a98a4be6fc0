using System.Collections.Concurrent;
using System.IO.Pipelines;
using Berth.Api.Links;
using Berth.Core.Errors;
using Berth.Core.Networks;
using Berth.Server.Cluster;

namespace Berth.Server.Networks;

/// <summary>What can be found on the other servers' own machines, as each of them says for as long as it is there. A
/// server that was away is asked again at the next look.</summary>
internal sealed class PeerPresence(Peers peers) : IAsyncDisposable
{
    private readonly ConcurrentDictionary<string, IReadOnlyList<NetworkPresence>> said = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, Task> following = new(StringComparer.Ordinal);
    private readonly CancellationTokenSource stop = new();

    /// <summary>Told when one says something else.</summary>
    public Action Changed { get; set; } = static () => { };

    /// <param name="server">Its id.</param>
    public IReadOnlyList<NetworkPresence> Of(string server) => said.GetValueOrDefault(server) ?? [];

    /// <summary>What the others are told of this machine. False where it is more than can be told.</summary>
    public bool Tell(IReadOnlyList<NetworkPresence> present) => peers.Presence.Tell(present);

    /// <summary>Asks those that are there and are not listened to. Called by one at a time.</summary>
    public void Look()
    {
        foreach (string server in peers.Directory.Reached.Select(s => s.Id))
        {
            if (following.GetValueOrDefault(server) is null or { IsCompleted: true })
            {
                following[server] = Task.Run(() => FollowAsync(server, stop.Token), CancellationToken.None);
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        await stop.CancelAsync();
        await Task.WhenAll(following.Values);
        stop.Dispose();
    }

    private async Task FollowAsync(string server, CancellationToken cancellationToken)
    {
        try
        {
            await using Stream stream = await peers.OpenPresenceAsync(server, cancellationToken);
            FrameReader frames = new(PipeReader.Create(stream));
            while (await frames.ReadAsync(cancellationToken) is { Kind: FrameKind.Presence } frame)
            {
                said[server] = frame.Read(NetworkLinkJson.Default.PresenceReport).Read();
                Changed();
            }
        }
        catch (Exception gone) when (gone is IOException or OperationCanceledException or HttpRequestException
            or BerthException { Code: ErrorCode.ServerUnreachable or ErrorCode.NotFound })
        {
            // It is away, or knows of nothing like this.
        }
        finally
        {
            if (said.TryRemove(server, out _))
            {
                Changed();
            }
        }
    }
}
