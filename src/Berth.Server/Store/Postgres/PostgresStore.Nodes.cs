using Berth.Server.Nodes;

namespace Berth.Server.Store.Postgres;

// Nodes and what lets them join.
public sealed partial class PostgresStore
{
    private const string Nodes = "nodes";

    /// <summary>Before anything else, so that who waits for another server's change waits here.</summary>
    private const string NextNode =
        "WITH c AS (UPDATE changes SET number = number + 1 WHERE topic = 'nodes' RETURNING number), ";

    /// <summary>Adds a node, in the place of a removed one where there was one of its name.</summary>
    private const string AddNode =
        "w AS (INSERT INTO nodes (name, document, number) SELECT $1, $2, c.number FROM {0} ON CONFLICT (name) "
        + "DO UPDATE SET document = excluded.document, number = excluded.number WHERE nodes.document = '' "
        + "RETURNING number) " + ToldNode;

    private const string ToldNode = "SELECT number FROM w, pg_notify('" + Channel + "', '')";

    async Task<IReadOnlyList<NodeRecord>> INodeStore.AllNodesAsync(CancellationToken cancellationToken)
    {
        known[Nodes] = 0;
        return (await ((IClusterStore)this).NewNodesAsync(cancellationToken)).Changed;
    }

    async Task<NodeNews> IClusterStore.NewNodesAsync(CancellationToken cancellationToken)
    {
        // What was moved here from a data folder has the first number, whenever that was.
        IReadOnlyList<(string Name, NodeRecord? Node)> rows = await ReadTopicAsync(
            Nodes,
            "name, document, number AS at FROM nodes WHERE number = 1 OR number > " + AfterText(Nodes),
            row => (row.Text(1), ReadNode(row.Blob(2), row.Int64(3))), cancellationToken);
        return new NodeNews(
            [.. rows.Where(row => row.Node is not null).Select(row => row.Node!)],
            [.. rows.Where(row => row.Node is null).Select(row => row.Name)]);
    }

    async Task<NodeRecord> INodeStore.PutNodeAsync(NodeRecord node, CancellationToken cancellationToken)
    {
        long number = await database.WriteAsync(
            isNew: true,
            () => node.Number == 0
                ? new PostgresStatement(NextNode + AddNode.Replace("{0}", "c", StringComparison.Ordinal))
                    .Bind(node.Name).Bind(node.Write())
                : new PostgresStatement(
                    NextNode + "w AS (UPDATE nodes SET document = $2, number = c.number FROM c "
                    + "WHERE name = $1 AND nodes.number = $3 RETURNING nodes.number) " + ToldNode)
                    .Bind(node.Name).Bind(node.Write()).Bind(node.Number),
            Rows.Number, cancellationToken);
        return number == 0 ? throw new StaleRecordsException(Nodes) : node with { Number = number };
    }

    Task INodeStore.DeleteNodeAsync(string name, CancellationToken cancellationToken) => database.WriteAsync(
        isNew: false,
        () => new PostgresStatement(
            NextNode + "w AS (UPDATE nodes SET document = '', number = c.number FROM c "
            + "WHERE name = $1 AND document <> '' RETURNING nodes.number) " + ToldNode).Bind(name),
        cancellationToken);

    Task INodeStore.AddJoinTokenAsync(
        JoinTokenRecord token, DateTimeOffset now, CancellationToken cancellationToken) => database.WriteAsync(
        isNew: true,
        () => new PostgresStatement(
            "WITH d AS (DELETE FROM node_tokens WHERE expires_at < $6) "
            + "INSERT INTO node_tokens (id, hash, created_at, expires_at, caller) VALUES ($1, $2, $3, $4, $5) "
            + "RETURNING id")
            .Bind(token.Id).Bind(token.Hash).Bind(RunRows.Micros(token.CreatedAt))
            .Bind(RunRows.Micros(token.ExpiresAt)).Bind(token.Caller).Bind(RunRows.Micros(now)),
        cancellationToken);

    async Task<IReadOnlyList<JoinTokenRecord>> INodeStore.AllJoinTokensAsync(CancellationToken cancellationToken) =>
        await database.ReadAsync(
            new PostgresStatement(
                "SELECT id, hash, created_at, expires_at, caller, used_by FROM node_tokens "
                + "ORDER BY created_at DESC, id"),
            Rows.All(row => new JoinTokenRecord(
                row.Text(0), row.Text(1), RunRows.Time(row.Int64(2)), RunRows.Time(row.Int64(3)), row.Text(4),
                row.NullableText(5))),
            cancellationToken);

    Task<bool> INodeStore.DeleteJoinTokenAsync(string id, CancellationToken cancellationToken) =>
        database.WriteAsync(
            isNew: false,
            () => new PostgresStatement("DELETE FROM node_tokens WHERE id = $1 RETURNING id").Bind(id),
            Rows.First(_ => true, none: false), cancellationToken);

    Task<JoinTokenRecord?> INodeStore.FindJoinTokenAsync(string id, CancellationToken cancellationToken) =>
        database.ReadAsync(
            new PostgresStatement(
                "SELECT hash, created_at, expires_at, caller, used_by FROM node_tokens WHERE id = $1").Bind(id),
            Rows.First<JoinTokenRecord?>(
                row => new JoinTokenRecord(
                    id, row.Text(0), RunRows.Time(row.Int64(1)), RunRows.Time(row.Int64(2)), row.Text(3),
                    row.NullableText(4)),
                null),
            cancellationToken);

    async Task<NodeRecord?> INodeStore.JoinAsync(
        string token, NodeRecord node, CancellationToken cancellationToken)
    {
        long number = await database.WriteAsync(
            isNew: true,
            () => new PostgresStatement(
                NextNode + "t AS (UPDATE node_tokens SET used_by = $1 WHERE id = $3 AND used_by IS NULL AND NOT EXISTS "
                + "(SELECT 1 FROM nodes WHERE name = $1 AND document <> '') RETURNING id), "
                + AddNode.Replace("{0}", "c, t", StringComparison.Ordinal))
                .Bind(node.Name).Bind(node.Write()).Bind(token),
            Rows.Number, cancellationToken);
        return number == 0 ? null : node with { Number = number };
    }

    private static NodeRecord? ReadNode(ReadOnlySpan<byte> document, long number) =>
        document.IsEmpty ? null : NodeRecord.Read(document) with { Number = number };
}
