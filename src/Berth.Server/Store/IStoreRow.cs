namespace Berth.Server.Store;

/// <summary>A row that was read: columns by position. Every store's rows read alike.</summary>
internal interface IStoreRow
{
    bool IsNull(int column);

    long Int64(int column);

    double Double(int column);

    string Text(int column);

    /// <summary>Valid until the next row.</summary>
    ReadOnlySpan<byte> Blob(int column);
}

/// <summary>Values of a statement, bound in order.</summary>
internal interface IStoreParameters<TSelf>
    where TSelf : IStoreParameters<TSelf>
{
    TSelf Bind(long value);

    TSelf Bind(long? value);

    TSelf Bind(double? value);

    TSelf Bind(string? value);

    TSelf Bind(ReadOnlySpan<byte> value);
}

/// <summary>Columns that may hold nothing.</summary>
internal static class NullableColumns
{
    public static long? NullableInt64<TRow>(this TRow row, int column) where TRow : IStoreRow =>
        row.IsNull(column) ? null : row.Int64(column);

    public static double? NullableDouble<TRow>(this TRow row, int column) where TRow : IStoreRow =>
        row.IsNull(column) ? null : row.Double(column);

    public static string? NullableText<TRow>(this TRow row, int column) where TRow : IStoreRow =>
        row.IsNull(column) ? null : row.Text(column);
}
