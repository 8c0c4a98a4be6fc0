using Berth.Core.Runs;
using Npgsql;

namespace Berth.Server.Store.Postgres;

/// <summary>Ways to read what came back.</summary>
internal static class Rows
{
    /// <summary>All of them.</summary>
    public static Func<NpgsqlDataReader, CancellationToken, Task<List<T>>> All<T>(Func<PostgresRow, T> read) =>
        async (reader, cancellationToken) =>
        {
            List<T> rows = [];
            while (await reader.ReadAsync(cancellationToken))
            {
                rows.Add(read(new PostgresRow(reader)));
            }

            return rows;
        };

    /// <summary>The first, or <paramref name="none"/>.</summary>
    public static Func<NpgsqlDataReader, CancellationToken, Task<T>> First<T>(Func<PostgresRow, T> read, T none) =>
        async (reader, cancellationToken) =>
            await reader.ReadAsync(cancellationToken) ? read(new PostgresRow(reader)) : none;

    public static Func<NpgsqlDataReader, CancellationToken, Task<List<Run>>> Runs { get; } = All(Run);

    public static Func<NpgsqlDataReader, CancellationToken, Task<Run?>> FirstRun { get; } = First<Run?>(Run, null);

    public static Func<NpgsqlDataReader, CancellationToken, Task<byte[]?>> Body { get; } =
        First<byte[]?>(row => row.Blob(0).ToArray(), null);

    /// <summary>A number, or 0 where no row came.</summary>
    public static Func<NpgsqlDataReader, CancellationToken, Task<long>> Number { get; } =
        First(row => row.Int64(0), 0L);

    public static Run Run(PostgresRow row) => RunRows.Read(row);

    public static async Task<int> CountAsync(NpgsqlDataReader reader, CancellationToken cancellationToken)
    {
        int count = 0;
        while (await reader.ReadAsync(cancellationToken))
        {
            count++;
        }

        return count;
    }
}
