using System.Globalization;
using System.Text;
using Berth.Core.Runs;

namespace Berth.Server.Store.Postgres;

/// <summary>The statement of a list of runs: as many conditions as were asked for.</summary>
internal static class RunListing
{
    public static PostgresStatement Select(RunQuery query)
    {
        StringBuilder sql = new("SELECT " + RunRows.Columns + " FROM runs WHERE true");
        List<Action<PostgresStatement>> values = [];
        if (query.Before is { } before)
        {
            sql.Append($" AND id < {Next(before.Text)}");
        }

        if (query.Image is { } image)
        {
            string value = Next(image);
            sql.Append($" AND (image = {value} OR digest = {value})");
        }

        if (query.Kind is { } kind)
        {
            sql.Append(CultureInfo.InvariantCulture, $" AND kind = {(int)kind}");
        }

        if (query.State is { } state)
        {
            sql.Append(CultureInfo.InvariantCulture, $" AND state = {(int)state}");
        }

        foreach ((string name, string value) in query.Labels)
        {
            sql.Append($" AND id IN (SELECT run FROM run_labels WHERE name = {Next(name)} AND value = {Next(value)})");
        }

        if (query.IsDeadLetter)
        {
            sql.Append(" AND dead = 1");
        }

        sql.Append(CultureInfo.InvariantCulture, $" ORDER BY id DESC LIMIT {query.Limit}");
        PostgresStatement statement = new(sql.ToString());
        values.ForEach(bind => bind(statement));
        return statement;

        string Next(string value)
        {
            values.Add(statement => statement.Bind(value));
            return string.Create(CultureInfo.InvariantCulture, $"${values.Count}");
        }
    }
}
