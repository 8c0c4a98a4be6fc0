using Npgsql;

namespace Berth.Server.Store.Postgres;

/// <summary>The row that a reader stands on.</summary>
internal readonly struct PostgresRow(NpgsqlDataReader reader) : IStoreRow
{
    public bool IsNull(int column) => reader.IsDBNull(column);

    public long Int64(int column) => reader.GetInt64(column);

    public double Double(int column) => reader.GetDouble(column);

    public string Text(int column) => reader.GetString(column);

    public ReadOnlySpan<byte> Blob(int column) => reader.GetFieldValue<byte[]>(column);
}
