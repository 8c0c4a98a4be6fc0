using Berth.Core.Errors;
using Npgsql;

namespace Berth.Server.Store.Postgres;

/// <summary>What callers are told when PostgreSQL could not do it, and what that means for what was under way.
/// </summary>
internal static class PostgresFaults
{
    /// <summary>idle_in_transaction_session_timeout: this server stood still in the middle of a write.</summary>
    private const string IdleInTransaction = "25P03";

    /// <summary>The database is away, or will not take anything just now: it is tried again.</summary>
    public static bool IsAway(Exception error) => error switch
    {
        // 53: too little of something; 57: it stops or starts; 08: the connection; 25006: it became a replica.
        PostgresException told => !IsDiskFull(told)
            && (IsRefused(told)
                || told.SqlState.StartsWith("08", StringComparison.Ordinal)
                || told.SqlState.StartsWith("53", StringComparison.Ordinal)
                || told.SqlState.StartsWith("57P", StringComparison.Ordinal)
                || told.SqlState.StartsWith("58", StringComparison.Ordinal)
                || told.SqlState.StartsWith("XX", StringComparison.Ordinal)
                || told.SqlState is PostgresErrorCodes.ReadOnlySqlTransaction or PostgresErrorCodes.QueryCanceled
                    or IdleInTransaction
                    or PostgresErrorCodes.InsufficientPrivilege or PostgresErrorCodes.InvalidCatalogName),
        NpgsqlException or TimeoutException or IOException or System.Net.Sockets.SocketException => true,
        _ => false,
    };

    /// <summary>28: it wants another user or password.</summary>
    public static bool IsRefused(Exception error) =>
        error is PostgresException told && told.SqlState.StartsWith("28", StringComparison.Ordinal);

    /// <summary>What a store is in that could not do something.</summary>
    public static StoreCondition ConditionOf(Exception error) =>
        IsDiskFull(error) ? StoreCondition.Full
        : IsRefused(error) ? StoreCondition.Refused
        : StoreCondition.Failing;

    /// <summary>Another transaction was in the way: the same once more, and it is likely to pass.</summary>
    public static bool IsCollision(Exception error) => error is PostgresException
    {
        SqlState: PostgresErrorCodes.DeadlockDetected or PostgresErrorCodes.SerializationFailure
    };

    public static bool IsDiskFull(Exception error) =>
        error is PostgresException { SqlState: PostgresErrorCodes.DiskFull };

    public static BerthException Away(PostgresAddress address, Exception? cause) => new(
        ErrorCode.StorageFault,
        $"The store {address} can't be reached or written ({Reason(cause)}): look at PostgreSQL, then send it again. "
        + "The server tries again by itself.", cause)
    {
        RetryAfter = TimeSpan.FromSeconds(5),
    };

    public static BerthException Unknown(PostgresAddress address, Exception? cause) => new(
        ErrorCode.StorageFault,
        $"The store {address} went away while it wrote ({Reason(cause)}), and whether it did is not known yet: send it "
        + "again, with the same Idempotency-Key if it had one.", cause)
    {
        RetryAfter = TimeSpan.FromSeconds(5),
    };

    public static BerthException DiskFull(PostgresAddress address, Exception? cause) => new(
        ErrorCode.StorageFull,
        $"The disk of the store {address} is full: free space there, then send it again.", cause)
    {
        RetryAfter = TimeSpan.FromSeconds(5),
    };

    /// <summary>A start that can't be: who reads this has just written the address.</summary>
    public static BerthException NotOpened(PostgresAddress address, Exception cause)
    {
        string remedy = (cause as PostgresException)?.SqlState switch
        {
            PostgresErrorCodes.InvalidPassword or PostgresErrorCodes.InvalidAuthorizationSpecification =>
                "check user and password in the setting store, or the file in store-password-file",
            PostgresErrorCodes.InvalidCatalogName => "make the database with createdb, or name another one",
            PostgresErrorCodes.InsufficientPrivilege =>
                "the user must be able to make and write tables there: make it the database's owner",
            PostgresErrorCodes.ReadOnlySqlTransaction =>
                "it is a replica or a database that may only be read: give the address of the one that is written",
            _ when cause.InnerException is System.Security.Authentication.AuthenticationException =>
                "check sslmode and sslrootcert",
            _ => "see that PostgreSQL runs and takes connections from here",
        };
        return new BerthException(
            ErrorCode.InvalidConfiguration, $"The store {address} can't be used ({Reason(cause)}): {remedy}.", cause);
    }

    /// <summary>What PostgreSQL or the system said; never a value of a statement.</summary>
    private static string Reason(Exception? cause) => cause switch
    {
        null => "it is away",
        PostgresException told => told.MessageText,
        { InnerException: { } inner } => $"{cause.Message.TrimEnd('.')}: {inner.Message.TrimEnd('.')}",
        _ => cause.Message.TrimEnd('.'),
    };
}
