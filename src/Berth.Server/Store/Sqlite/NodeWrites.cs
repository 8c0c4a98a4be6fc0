using Berth.Server.Nodes;

namespace Berth.Server.Store.Sqlite;

/// <summary>The bodies of reads and writes of nodes.</summary>
internal static class NodeWrites
{
    public static IReadOnlyList<NodeRecord> All(SqliteDatabase database)
    {
        SqliteStatement select = database.Prepare("SELECT document FROM nodes");
        List<NodeRecord> nodes = [];
        while (select.Step())
        {
            nodes.Add(NodeRecord.Read(select.Blob(0)));
        }

        return nodes;
    }

    public static NodeRecord Put(SqliteDatabase database, NodeRecord node)
    {
        database.Prepare("INSERT OR REPLACE INTO nodes (name, document) VALUES (?, ?)")
            .Bind(node.Name).Bind(node.Write()).Run();
        return node;
    }

    public static bool Delete(SqliteDatabase database, string name)
    {
        database.Prepare("DELETE FROM nodes WHERE name = ?").Bind(name).Run();
        return true;
    }

    public static bool AddToken(SqliteDatabase database, JoinTokenRecord token, DateTimeOffset now)
    {
        database.Prepare("DELETE FROM node_tokens WHERE expires_at < ?").Bind(RunRows.Micros(now)).Run();
        database.Prepare(
                "INSERT INTO node_tokens (id, hash, created_at, expires_at, caller) VALUES (?, ?, ?, ?, ?)")
            .Bind(token.Id).Bind(token.Hash).Bind(RunRows.Micros(token.CreatedAt))
            .Bind(RunRows.Micros(token.ExpiresAt)).Bind(token.Caller).Run();
        return true;
    }

    public static IReadOnlyList<JoinTokenRecord> AllTokens(SqliteDatabase database)
    {
        SqliteStatement select = database.Prepare(
            "SELECT id, hash, created_at, expires_at, caller, used_by FROM node_tokens ORDER BY created_at DESC, id");
        List<JoinTokenRecord> tokens = [];
        while (select.Step())
        {
            tokens.Add(new JoinTokenRecord(
                select.Text(0), select.Text(1), RunRows.Time(select.Int64(2)), RunRows.Time(select.Int64(3)),
                select.Text(4), select.NullableText(5)));
        }

        return tokens;
    }

    public static bool DeleteToken(SqliteDatabase database, string id)
    {
        SqliteStatement delete = database.Prepare("DELETE FROM node_tokens WHERE id = ? RETURNING id").Bind(id);
        bool wasThere = delete.Step();
        delete.Reset();
        return wasThere;
    }

    public static JoinTokenRecord? FindToken(SqliteDatabase database, string id)
    {
        SqliteStatement select = database.Prepare(
                "SELECT hash, created_at, expires_at, caller, used_by FROM node_tokens WHERE id = ?")
            .Bind(id);
        JoinTokenRecord? found = select.Step()
            ? new JoinTokenRecord(
                id, select.Text(0), RunRows.Time(select.Int64(1)), RunRows.Time(select.Int64(2)), select.Text(3),
                select.NullableText(4))
            : null;
        select.Reset();
        return found;
    }

    public static NodeRecord? Join(SqliteDatabase database, string token, NodeRecord node)
    {
        SqliteStatement spend = database.Prepare(
                "UPDATE node_tokens SET used_by = ? WHERE id = ? AND used_by IS NULL RETURNING id")
            .Bind(node.Name).Bind(token);
        bool isFirst = spend.Step();
        spend.Reset();
        return isFirst ? Put(database, node) : null;
    }
}
