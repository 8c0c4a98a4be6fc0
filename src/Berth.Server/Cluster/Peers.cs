using System.Globalization;
using System.IO.Pipelines;
using System.Net.Http.Json;
using System.Runtime.CompilerServices;
using System.Text.Json;
using Berth.Api.Links;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Core.Runs;
using Berth.Oci.Images;
using Berth.Server.Functions;
using Berth.Server.Logs;
using Berth.Server.Networks;
using Berth.Server.Store;

namespace Berth.Server.Cluster;

/// <summary>
/// What this server lacks and another one has: inputs, results, logs, and content of images. Everything is streamed.
/// Throws <c>ServerUnreachable</c> with the other one's name where that is not there. The first type to read of
/// how servers help each other; <see cref="PeerAnswers"/> is the other end.
/// </summary>
internal sealed class Peers(IClusterStore store, PeerDirectory directory, PeerDoors doors) : IBlobOrigin
{
    public PeerDirectory Directory => directory;

    /// <summary>What the others are told of networks on this machine.</summary>
    public PresenceFeed Presence { get; } = new();

    /// <summary>Whether any other server could have what is not here.</summary>
    public bool Any => directory.Reached.Any();

    /// <summary>The server that has a run's log and result; null where that is this one, or there is no such
    /// run.</summary>
    public async Task<string?> HolderAsync(RunId id, CancellationToken cancellationToken) =>
        await store.WhereAsync(id, cancellationToken) is { Holder: var holder } && holder != store.Self ? holder : null;

    /// <summary>Null where the run is this server's, or gone there.</summary>
    public async Task<Stream?> OpenResultAsync(Run run, CancellationToken cancellationToken) =>
        await HolderAsync(run.Id, cancellationToken) is { } holder
            ? await OpenAsync(
                holder, string.Create(CultureInfo.InvariantCulture, $"{PeerAnswers.Results}{run.Id}/{run.Generation}"),
                run.Result.Length, cancellationToken)
            : null;

    /// <summary>As <see cref="OpenResultAsync"/>.</summary>
    public async Task<Stream?> OpenInputAsync(Run run, CancellationToken cancellationToken) =>
        await store.WhereAsync(run.Id, cancellationToken) is { Origin: var origin } && origin != store.Self
            ? await OpenAsync(
                origin, PeerAnswers.Inputs + run.Id.Text, run.Input.Length, cancellationToken)
            : null;

    /// <summary>Lines of a run's log at another server, as its own callers get them.</summary>
    public async IAsyncEnumerable<LogLine> LogsAsync(
        string server, RunId id, LogQuery query, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        using HttpResponseMessage answer = await doors.GetAsync(
            server, PeerAnswers.LogPath(id, query), cancellationToken);
        await foreach (LogLine line in PeerLogText.ReadAsync(
            await LinesOfAsync(answer, cancellationToken), Broken(server), cancellationToken))
        {
            yield return line;
        }
    }

    /// <summary>A server's part of a function's log. Throws <c>NotFound</c> where it is too old to tell it.</summary>
    public async IAsyncEnumerable<FunctionLogNews> FunctionLogAsync(
        string server, string name, int? revision, LogQuery query,
        [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        if (directory.Find(server) is { IsGone: true } gone)
        {
            throw PeerDoors.Unreachable(gone, server, null);
        }

        using HttpResponseMessage answer = await doors.GetAsync(
            server, PeerAnswers.FunctionLogPath(name, revision, query), cancellationToken);
        await foreach (FunctionLogNews news in PeerFunctionLog.ReadAsync(
            await LinesOfAsync(answer, cancellationToken), Broken(server), cancellationToken))
        {
            yield return news;
        }
    }

    /// <summary>Those of the other servers that had one of the runs last.</summary>
    public async Task<IReadOnlyCollection<string>> HoldersAsync(
        IReadOnlyCollection<RunId> runs, CancellationToken cancellationToken) =>
        [.. (await store.HoldersAsync(runs, cancellationToken)).Where(holder => holder != store.Self)];

    /// <summary>Content by digest, not verified, from the first server that has it. Throws <c>BlobUnknown</c> where all
    /// that were asked say no, <c>ServerUnreachable</c> where one could not be asked.</summary>
    public async Task<Stream> OpenBlobAsync(Digest digest, CancellationToken cancellationToken)
    {
        BerthException? away = null;
        foreach (ServerBeat peer in directory.Reached)
        {
            try
            {
                HttpResponseMessage answer = await doors.GetAsync(
                    peer.Id, PeerAnswers.Blobs + digest, cancellationToken);
                return await answer.Content.ReadAsStreamAsync(cancellationToken);
            }
            catch (BerthException refusal) when (refusal.Code is ErrorCode.NotFound or ErrorCode.ServerUnreachable)
            {
                away = refusal.Code == ErrorCode.ServerUnreachable ? refusal : away;
            }
        }

        throw away ?? new BerthException(ErrorCode.BlobUnknown, $"No server has the content {digest}.");
    }

    /// <summary>What can be found in networks on a server's own machine: frames, the first at once, a further one at
    /// each change.</summary>
    public async Task<Stream> OpenPresenceAsync(string server, CancellationToken cancellationToken)
    {
        HttpResponseMessage answer = await doors.GetAsync(server, PeerAnswers.Presence, cancellationToken);
        return await answer.Content.ReadAsStreamAsync(cancellationToken);
    }

    /// <summary>Has another server do its part of a node's drain. Throws <c>NotFound</c> where it knows no such node,
    /// or no such question.</summary>
    public async Task<DrainReport> DrainAsync(
        string server, string node, bool evicts, CancellationToken cancellationToken)
    {
        using HttpResponseMessage answer = await doors.PostAsync(
            server, PeerAnswers.Drains + node + (evicts ? "?evict=1" : ""), cancellationToken);
        try
        {
            return await answer.Content.ReadFromJsonAsync(LinkJson.Default.DrainReport, cancellationToken)
                ?? throw new JsonException("It said nothing.");
        }
        catch (Exception error) when (error is HttpRequestException or IOException or JsonException)
        {
            throw Broken(server)(error);
        }
    }

    private static async Task<PipeReader> LinesOfAsync(
        HttpResponseMessage answer, CancellationToken cancellationToken) =>
        PipeReader.Create(await answer.Content.ReadAsStreamAsync(cancellationToken));

    private Func<Exception, BerthException> Broken(string server) =>
        error => PeerDoors.Unreachable(directory.Find(server), server, error);

    private async Task<Stream?> OpenAsync(
        string server, string path, long length, CancellationToken cancellationToken)
    {
        PeerBody body = new(
            (from, token) => doors.GetAsync(
                server, string.Create(CultureInfo.InvariantCulture, $"{path}?from={from}"), token),
            Broken(server), length);
        try
        {
            await body.OpenAsync(cancellationToken);
            return body;
        }
        catch (BerthException gone) when (gone.Code == ErrorCode.NotFound)
        {
            await body.DisposeAsync();
            return null;
        }
    }
}
