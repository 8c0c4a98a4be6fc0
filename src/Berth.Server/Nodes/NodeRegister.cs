using System.Collections.Concurrent;
using System.Security.Cryptography.X509Certificates;
using Berth.Api.Links;
using Berth.Core.Errors;
using Berth.Core.Nodes;
using Berth.Core.Placement;
using Berth.Server.Store;
using Microsoft.Extensions.Logging;

namespace Berth.Server.Nodes;

/// <summary>
/// The nodes there are: who joined, with which certificate, what the operator said of them, and which are linked now.
/// What outlasts the server is in the store before it holds here.
/// </summary>
internal sealed class NodeRegister(
    INodeStore store, NodeAuthority authority, string own, NodeIndex index, TimeProvider time, ILogger logger)
    : IDisposable
{
    /// <summary>A cluster this large is another engine's to place.</summary>
    private const int MostNodes = 10_000;

    private static readonly TimeSpan LongestToken = TimeSpan.FromDays(7);

    /// <summary>So long after a start nodes are waited for that were there before: they dial again every 5 s at
    /// least.</summary>
    private static readonly TimeSpan DiallingTime = TimeSpan.FromSeconds(10);

    private readonly ConcurrentDictionary<string, NodeEntry> nodes = new(StringComparer.Ordinal);
    private readonly SemaphoreSlim writing = new(1, 1);
    private readonly long begun = time.GetTimestamp();
    private TaskCompletionSource linksChanged = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Told when nodes have come or gone, or may take more or less.</summary>
    public Action Changed { get; set; } = static () => { };

    /// <summary>Takes away what was kept for a node that was removed; set before anything runs.</summary>
    public Func<string, CancellationToken, Task> Removed { get; set; } = static (_, _) => Task.CompletedTask;

    /// <summary>Whether one of the servers that share the store is there; set before anything runs.</summary>
    public Func<string, bool> HasServer { get; set; } = static _ => false;

    /// <summary>Completes when a node has come, gone or got another link. Take it before looking.</summary>
    public Task LinksChanged => Volatile.Read(ref linksChanged).Task;

    /// <summary>What nodes have fetched of images.</summary>
    public FetchedBytes Fetched { get; } = new();

    /// <summary>How long it is still worth waiting for nodes that have not dialled since the server began.</summary>
    public TimeSpan DiallingLeft =>
        TimeSpan.FromTicks(Math.Max(0, (DiallingTime - time.GetElapsedTime(begun)).Ticks));

    /// <summary>In no order.</summary>
    public IEnumerable<NodeEntry> All => nodes.Values;

    /// <summary>Of a server's own machine: whether that server is there.</summary>
    public bool IsServing(NodeRecord record) => record.Server is { } server && HasServer(server);

    /// <summary>As people are told it: another server's own machine is as that server is.</summary>
    public string StateOf(NodeEntry node) => node.IsOwn || !node.Record.IsServers ? node.State
        : IsServing(node.Record) ? "ready" : "lost";

    /// <summary>Whether a node that may have this was there before the server began, and has not dialled since.
    /// </summary>
    public bool ExpectsOne(IReadOnlyList<NodeConstraint> constraints) => nodes.Values.Any(
        node => node is { IsOwn: false, Problem: null }
            && node.Record is { IsServers: false, IsCordoned: false, SeenAt: not null }
            && node.Node is null or { Link.Closed.IsCancellationRequested: false }
            && index.StateOf(node.Name) == NodeAvailability.Lost && index.FirstUnmet(node.Name, constraints) is null);

    public bool Has(NodeEntry node) => nodes.TryGetValue(node.Name, out NodeEntry? there) && there == node;

    /// <summary>The server's own node.</summary>
    public NodeEntry Own => nodes[own];

    /// <param name="facts">Of the server's own machine.</param>
    public async Task StartAsync(NodeFacts facts, CancellationToken cancellationToken)
    {
        foreach (NodeRecord record in await store.AllNodesAsync(cancellationToken))
        {
            nodes[record.Name] = new NodeEntry(record, record.Name == own);
        }

        if (store is IClusterStore shared)
        {
            await AddOwnAsync(shared, facts, cancellationToken);
        }
        else
        {
            nodes.TryAdd(own, new NodeEntry(NodeRecord.Own(own, null, time.GetUtcNow()), isOwn: true));
        }

        Own.Record = Own.Record with { Facts = facts };
        foreach (NodeEntry entry in nodes.Values)
        {
            Note(entry);
        }
    }

    /// <summary>Takes in what other servers have changed.</summary>
    public async Task RefreshAsync(CancellationToken cancellationToken)
    {
        await writing.WaitAsync(cancellationToken);
        try
        {
            await ReadAsync(cancellationToken);
        }
        finally
        {
            writing.Release();
        }

        WakeWaiting();
        Changed();
    }

    /// <summary>Null where there is none.</summary>
    public NodeEntry? Find(string name) => nodes.GetValueOrDefault(name);

    /// <summary>Throws <c>NotFound</c>.</summary>
    public NodeEntry Get(string name) => nodes.GetValueOrDefault(name)
        ?? throw new BerthException(
            ErrorCode.NotFound, $"There is no node '{Quoted.Of(name)}'; 'berth node ls' lists those there are.");

    /// <summary>The node that a certificate is of; null where it is of none, or not any more.</summary>
    public NodeEntry? Holder(X509Certificate2? certificate)
    {
        if (certificate is null || !authority.IsNode(certificate))
        {
            return null;
        }

        string hash = LinkCertificates.FingerprintOf(certificate);
        string name = certificate.GetNameInfo(X509NameType.SimpleName, forIssuer: false);
        return nodes.GetValueOrDefault(name) is { } entry && entry.Record.Certificates.Contains(hash) ? entry : null;
    }

    /// <summary>Whether a node has a certificate: it was neither removed nor replaced.</summary>
    /// <param name="hash">SHA-256 of it.</param>
    public bool HasCertificate(string node, string hash) =>
        nodes.GetValueOrDefault(node)?.Record.Certificates.Contains(hash) ?? false;

    public async Task<(JoinToken Token, DateTimeOffset End)> MakeTokenAsync(
        TimeSpan life, string caller, CancellationToken cancellationToken)
    {
        if (life <= TimeSpan.Zero || life > LongestToken)
        {
            throw new BerthException(
                ErrorCode.InvalidRequest,
                $"A token for joining lives for up to {LongestToken.TotalDays:0} days: say for instance 1h.");
        }

        JoinToken token = JoinToken.New(authority.Fingerprint);
        DateTimeOffset now = time.GetUtcNow();
        await store.AddJoinTokenAsync(
            new JoinTokenRecord(token.Id, token.HashOfSecret(), now, now + life, caller), now, cancellationToken);
        Log.TokenMade(logger, caller, token.Id, now + life);
        return (token, now + life);
    }

    /// <summary>Tokens for joining that are kept, the newest first.</summary>
    public Task<IReadOnlyList<JoinTokenRecord>> TokensAsync(CancellationToken cancellationToken) =>
        store.AllJoinTokensAsync(cancellationToken);

    /// <summary>Takes a token back: nobody joins with it from now on. Throws <c>NotFound</c>.</summary>
    public async Task RemoveTokenAsync(string id, string caller, CancellationToken cancellationToken)
    {
        if (!await store.DeleteJoinTokenAsync(id, cancellationToken))
        {
            throw new BerthException(
                ErrorCode.NotFound,
                $"There is no token for joining '{Quoted.Of(id)}'; 'berth node token ls' lists those there are.");
        }

        Log.TokenRemoved(logger, caller, id);
    }

    /// <summary>Spends a token. Throws <c>Unauthorized</c>, <c>Conflict</c>, <c>InvalidRequest</c>.</summary>
    public async Task<CertificateAnswer> JoinAsync(JoinRequest request, CancellationToken cancellationToken)
    {
        DateTimeOffset now = time.GetUtcNow();
        JoinTokenRecord spent = await CheckAsync(request.Token, now, cancellationToken);
        string name = NodeName.Check(request.Name);
        IReadOnlyDictionary<string, string> labels = request.Labels ?? new Dictionary<string, string>();
        NodeLabels.Check(labels);
        if (NodeLink.ClockComplaint(request.Clock, now) is { } complaint)
        {
            Log.JoinRefused(logger, name, complaint);
            throw new BerthException(ErrorCode.Conflict, $"Node '{name}' can't join. {complaint}");
        }

        using X509Certificate2 certificate = authority.Issue(request.Request, name);
        NodeRecord record = new(
            name, [LinkCertificates.FingerprintOf(certificate)], now, NodeAuthority.EndOf(certificate), labels, [],
            IsCordoned: false);
        await writing.WaitAsync(cancellationToken);
        try
        {
            if (nodes.ContainsKey(name) || nodes.Count >= MostNodes)
            {
                throw nodes.ContainsKey(name)
                    ? Taken(name)
                    : new BerthException(ErrorCode.Conflict, $"There are {MostNodes} nodes already.");
            }

            if (await store.JoinAsync(spent.Id, record, cancellationToken) is not { } added)
            {
                JoinTokenRecord? token = await store.FindJoinTokenAsync(spent.Id, cancellationToken);
                throw token is null ? NotValid(spent.Id) : token.UsedBy is null ? Taken(name) : Spent(token);
            }

            NodeEntry entry = new(added, isOwn: false);
            nodes[name] = entry;
            index.Update(entry);
        }
        finally
        {
            writing.Release();
        }

        Log.Joined(logger, name, spent.Caller);
        return new CertificateAnswer(name, certificate.ExportCertificatePem());
    }

    /// <summary>Another certificate for a node that has one.</summary>
    public async Task<CertificateAnswer> RenewAsync(
        NodeEntry node, string present, RenewRequest request, CancellationToken cancellationToken)
    {
        using X509Certificate2 certificate = authority.Issue(request.Request, node.Name);
        await ChangeAsync(
            node.Name,
            // The present one goes on until the next was used: an answer can be lost on its way.
            record => record with
            {
                Certificates = [LinkCertificates.FingerprintOf(certificate), present],
                ExpiresAt = NodeAuthority.EndOf(certificate),
            },
            cancellationToken);
        DateTimeOffset end = NodeAuthority.EndOf(certificate);
        Log.Renewed(logger, node.Name, end);
        return new CertificateAnswer(node.Name, certificate.ExportCertificatePem());
    }

    /// <summary>Takes in that a node has come or gone, or may take more or less.</summary>
    public void Tell(NodeEntry node)
    {
        Note(node);
        WakeWaiting();
        Changed();
    }

    /// <summary>Takes in what a node said of itself.</summary>
    public void Note(NodeEntry node)
    {
        // One that was removed meanwhile is not brought back. Another server's own machine is given nothing from here.
        if (Has(node) && (node.IsOwn || !node.Record.IsServers))
        {
            index.Update(node);
        }
    }

    /// <summary>Makes a change durable, then true. Throws <c>NotFound</c>.</summary>
    public async Task<NodeEntry> ChangeAsync(
        string name, Func<NodeRecord, NodeRecord> change, CancellationToken cancellationToken)
    {
        await writing.WaitAsync(cancellationToken);
        try
        {
            NodeEntry changed = await StaleRecordsException.RetryAsync(
                async () =>
                {
                    NodeEntry entry = Get(name);
                    entry.Record = await store.PutNodeAsync(change(entry.Record), cancellationToken);
                    return entry;
                },
                ReadAsync, cancellationToken);
            Tell(changed);
            return changed;
        }
        finally
        {
            writing.Release();
        }
    }

    /// <summary>Forgets a node: its certificate is worth nothing from now on, and its link ends.</summary>
    public async Task RemoveAsync(string name, CancellationToken cancellationToken)
    {
        await writing.WaitAsync(cancellationToken);
        try
        {
            NodeEntry entry = Get(name);
            if (entry.Record.IsServers && (name == own || IsServing(entry.Record)))
            {
                throw new BerthException(
                    ErrorCode.Conflict,
                    name == own
                        ? $"'{name}' is the server's own node: keep work from it with 'berth node cordon {name}'."
                        : $"'{name}' is the machine of another server that is there: stop that one first.");
            }

            await store.DeleteNodeAsync(name, cancellationToken);
            nodes.TryRemove(name, out _);
            index.Remove(name);
            entry.Node?.Link.Dispose();
        }
        finally
        {
            writing.Release();
        }

        Log.Removed(logger, name);
        WakeWaiting();
        await Removed(name, cancellationToken);
        Changed();
    }

    public void Dispose() => writing.Dispose();

    private void WakeWaiting() => Interlocked.Exchange(
        ref linksChanged, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).SetResult();

    private static BerthException Taken(string name) => new(
        ErrorCode.Conflict,
        $"There is a node '{name}' already: choose another name with --name, or remove that one first with 'berth node "
        + $"rm {name}'.");

    /// <summary>Says to the other servers which machine is this one's. Throws <c>InvalidConfiguration</c> where another
    /// one has its name.</summary>
    private async Task AddOwnAsync(IClusterStore shared, NodeFacts facts, CancellationToken cancellationToken)
    {
        NodeRecord fresh = NodeRecord.Own(own, shared.Self, time.GetUtcNow()) with { Facts = facts };
        NodeRecord record = nodes.TryGetValue(own, out NodeEntry? before) ? before.Record : fresh;
        IReadOnlyList<ServerBeat> servers = await shared.ServersAsync(cancellationToken);
        if (!record.IsServers || servers.Any(s => s.Id == record.Server && s is { IsGone: false, IsSelf: false }))
        {
            throw NotOwn(null);
        }

        try
        {
            nodes[own] = new NodeEntry(
                record.Number > 0 && record.Server == shared.Self
                    ? record
                    : await store.PutNodeAsync(record with { Server = shared.Self }, cancellationToken),
                isOwn: true);
        }
        catch (StaleRecordsException meanwhile)
        {
            throw NotOwn(meanwhile);
        }
    }

    private BerthException NotOwn(Exception? cause) => new(
        ErrorCode.InvalidConfiguration,
        $"node-name = '{own}' is the name of another machine of those that share the store: choose another with "
        + "--node-name.", cause);

    /// <summary>Held by who writes.</summary>
    private async Task ReadAsync(CancellationToken cancellationToken)
    {
        if (store is not IClusterStore shared)
        {
            return;
        }

        NodeNews news = await shared.NewNodesAsync(cancellationToken);
        foreach (string name in news.Removed)
        {
            if (name != own && nodes.TryRemove(name, out NodeEntry? gone))
            {
                index.Remove(name);
                gone.Node?.Link.Dispose();
            }
        }

        foreach (NodeRecord record in news.Changed)
        {
            NodeEntry? before = nodes.GetValueOrDefault(record.Name);
            if (before is null || (record.JoinedAt != before.Record.JoinedAt && record.Name != own))
            {
                // Removed and joined anew: what is linked here was the other one.
                nodes[record.Name] = new NodeEntry(record, record.Name == own);
                before?.Node?.Link.Dispose();
            }
            else if (record.Number > before.Record.Number)
            {
                before.Record = record;
            }

            Note(nodes[record.Name]);
        }
    }

    private async Task<JoinTokenRecord> CheckAsync(
        string? text, DateTimeOffset now, CancellationToken cancellationToken)
    {
        JoinTokenRecord? kept = JoinToken.TryParse(text, out JoinToken token)
            ? await store.FindJoinTokenAsync(token.Id, cancellationToken)
            : null;
        // Who knows the secret may know what became of it; to all others the three look alike.
        if (kept is null || !token.Matches(kept.Hash))
        {
            throw NotValid(token.Id ?? "?");
        }

        if (kept.ExpiresAt <= now)
        {
            Log.TokenRefused(logger, kept.Id);
            throw new BerthException(
                ErrorCode.Unauthorized,
                "The token for joining has expired: make another on the server with 'berth node token create'.");
        }

        return kept.UsedBy is null ? kept : throw Spent(kept);
    }

    private BerthException NotValid(string id)
    {
        Log.TokenRefused(logger, id);
        return new BerthException(
            ErrorCode.Unauthorized,
            "The token for joining is not valid: make another on the server with 'berth node token create'.");
    }

    private BerthException Spent(JoinTokenRecord? token)
    {
        Log.TokenRefused(logger, token?.Id ?? "?");
        return new BerthException(
            ErrorCode.Unauthorized,
            $"The token for joining was used already, by the node '{token?.UsedBy}': make another on the server with "
            + "'berth node token create'.");
    }
}
