using Berth.Server.Nodes;

namespace Berth.Server.Store.Postgres;

// Nodes and what lets them join.
public sealed partial class PostgresStore
{
    private const string PutNode =
        "INSERT INTO nodes (name, document) {0} ON CONFLICT (name) DO UPDATE SET document = excluded.document "
        + "RETURNING name";

    async Task<IReadOnlyList<NodeRecord>> INodeStore.AllNodesAsync(CancellationToken cancellationToken) =>
        await database.ReadAsync(
            new PostgresStatement("SELECT document FROM nodes"),
            Rows.All(row => NodeRecord.Read(row.Blob(0))), cancellationToken);

    Task INodeStore.PutNodeAsync(NodeRecord node, CancellationToken cancellationToken) => database.WriteAsync(
        isNew: true,
        () => new PostgresStatement(PutNode.Replace("{0}", "VALUES ($1, $2)", StringComparison.Ordinal))
            .Bind(node.Name).Bind(node.Write()),
        cancellationToken);

    Task INodeStore.DeleteNodeAsync(string name, CancellationToken cancellationToken) => database.WriteAsync(
        isNew: false, () => new PostgresStatement("DELETE FROM nodes WHERE name = $1 RETURNING 1").Bind(name),
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

    async Task<bool> INodeStore.JoinAsync(string token, NodeRecord node, CancellationToken cancellationToken) =>
        await database.WriteAsync(
            isNew: true,
            () => new PostgresStatement(
                "WITH t AS (UPDATE node_tokens SET used_by = $1 WHERE id = $3 AND used_by IS NULL RETURNING id) "
                + PutNode.Replace("{0}", "SELECT $1, $2 FROM t", StringComparison.Ordinal))
                .Bind(node.Name).Bind(node.Write()).Bind(token),
            cancellationToken) > 0;
}
