namespace Berth.Server.Store.Sqlite;

/// <summary>Which waiting runs are claimed: by rank, and within one rank each caller's oldest in turn.</summary>
internal static class RunTurns
{
    private const string NextGroup =
        "SELECT rank, caller FROM runs WHERE state = 0 AND (rank, caller) > (?, ?) ORDER BY rank, caller LIMIT 1";

    private const string Heads =
        "SELECT seq, ready_at FROM runs WHERE state = 0 AND rank = ? AND caller = ? AND ready_at <= ? "
        + "ORDER BY ready_at, seq LIMIT ?";

    /// <summary>The numbers of the rows, in the order in which they are taken.</summary>
    // A look at the index for each caller that has something waiting, not for each run.
    public static List<long> Choose(SqliteDatabase database, ClaimOrder order)
    {
        List<long> chosen = [];
        List<(long Turn, long ReadyAt, long Seq)> heads = [];
        (long Rank, string Caller)? group = Next(database, long.MinValue, "");
        while (group is { } current && chosen.Count < order.Limit)
        {
            AddHeads(database, current, order, order.Limit - chosen.Count, heads);
            group = Next(database, current.Rank, current.Caller);
            if (group?.Rank != current.Rank)
            {
                heads.Sort();
                chosen.AddRange(heads.Take(order.Limit - chosen.Count).Select(head => head.Seq));
                heads.Clear();
            }
        }

        return chosen;
    }

    private static (long Rank, string Caller)? Next(SqliteDatabase database, long rank, string caller)
    {
        SqliteStatement statement = database.Prepare(NextGroup).Bind(rank).Bind(caller);
        if (!statement.Step())
        {
            return null;
        }

        (long Rank, string Caller) next = (statement.Int64(0), statement.Text(1));
        statement.Reset();
        return next;
    }

    private static void AddHeads(
        SqliteDatabase database, (long Rank, string Caller) group, ClaimOrder order, int limit,
        List<(long Turn, long ReadyAt, long Seq)> heads)
    {
        long turn = order.UnderWay.GetValueOrDefault(group.Caller);
        SqliteStatement statement = database.Prepare(Heads)
            .Bind(group.Rank).Bind(group.Caller).Bind(RunRows.Micros(order.Now)).Bind(limit);
        while (statement.Step())
        {
            heads.Add((turn++, statement.Int64(1), statement.Int64(0)));
        }
    }
}
