using System.Text;
using Npgsql;
using NpgsqlTypes;

namespace Berth.Server.Store.Postgres;

/// <summary>One statement with its values, bound in order as $1, $2 and so on. Every value has the type of its column,
/// so that a statement's text alone decides how it is planned.</summary>
internal sealed class PostgresStatement(string sql) : IStoreParameters<PostgresStatement>
{
    private readonly NpgsqlBatchCommand command = new(sql);

    public NpgsqlBatchCommand Command => command;

    /// <summary>PostgreSQL's text can't hold NUL, and no half of a surrogate pair: programs may write both.</summary>
    public static string Storable(string text)
    {
        if (text.Contains('\0', StringComparison.Ordinal))
        {
            text = text.Replace('\0', '\uFFFD');
        }

        for (int i = 0; i < text.Length; i++)
        {
            if (char.IsSurrogate(text[i]))
            {
                // The encoder puts the replacement character in the place of what is no pair.
                return Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(text));
            }
        }

        return text;
    }

    public PostgresStatement Bind(long value) => Add(NpgsqlDbType.Bigint, value);

    public PostgresStatement Bind(long? value) => Add(NpgsqlDbType.Bigint, value);

    public PostgresStatement Bind(double? value) => Add(NpgsqlDbType.Double, value);

    public PostgresStatement Bind(string? value) => Add(NpgsqlDbType.Text, value is null ? null : Storable(value));

    public PostgresStatement Bind(ReadOnlySpan<byte> value) => Add(NpgsqlDbType.Bytea, value.ToArray());

    public PostgresStatement Bind(IEnumerable<string> values) =>
        Add(NpgsqlDbType.Array | NpgsqlDbType.Text, values.Select(Storable).ToArray());

    public PostgresStatement Bind(IEnumerable<long> values) =>
        Add(NpgsqlDbType.Array | NpgsqlDbType.Bigint, values.ToArray());

    private PostgresStatement Add(NpgsqlDbType type, object? value)
    {
        command.Parameters.Add(new NpgsqlParameter { NpgsqlDbType = type, Value = value ?? DBNull.Value });
        return this;
    }
}
