using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using Npgsql;

namespace Berth.Server.Store.Postgres;

/// <summary>
/// Where a database is, written as everybody writes it: <c>postgres://USER:PASSWORD@HOST:PORT/DATABASE</c>, with
/// <c>?host=/run/postgresql</c> for a socket and <c>sslmode=verify-full&amp;sslrootcert=FILE</c> for what protects the
/// way. Whatever it is shown in, the password is not.
/// </summary>
public sealed class PostgresAddress
{
    /// <summary>What is accepted is on disk. What a server has locked that was paused, or cut off, is free again soon.
    /// Every statement has its index, and is planned while the tables are small: as the few rows that a partial index
    /// is for come and go, only a plain scan of it marks those that are gone, and any other reads them all again.
    /// </summary>
    private const string Session =
        "SELECT set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on' "
        + "ELSE current_setting('synchronous_commit') END, false), "
        + "set_config('idle_in_transaction_session_timeout', '5s', false), "
        + "set_config('tcp_user_timeout', '10s', false), "
        + "set_config('enable_seqscan', 'off', false), set_config('enable_bitmapscan', 'off', false), "
        + "set_config('jit', 'off', false)";

    private readonly string connection;
    private readonly string? passwordFile;

    private PostgresAddress(string connection, string shown, string? passwordFile)
    {
        this.connection = connection;
        this.passwordFile = passwordFile;
        Shown = shown;
    }

    /// <summary>User, host and database, without the password.</summary>
    public string Shown { get; }

    /// <summary>Where the password is changed.</summary>
    internal string PasswordPlace => passwordFile is null
        ? "the setting store, and the server is started again"
        : $"{passwordFile}, which is read again by itself";

    public bool HasPassword => new NpgsqlConnectionStringBuilder(connection).Password is { Length: > 0 };

    public static bool IsOne(string text) =>
        text.StartsWith("postgres://", StringComparison.Ordinal)
        || text.StartsWith("postgresql://", StringComparison.Ordinal);

    /// <param name="problem">What is wrong, in words that repeat nothing of the text: a password may be in it.</param>
    public static bool TryParse(
        string text, [NotNullWhen(true)] out PostgresAddress? address, [NotNullWhen(false)] out string? problem)
    {
        address = null;
        NpgsqlConnectionStringBuilder builder = new();
        problem = !IsOne(text) ? "it does not begin with postgres://" : Read(text, builder);
        if (problem is not null)
        {
            return false;
        }

        string host = builder.Host!;
        string shown = host.StartsWith('/')
            ? $"postgres://{builder.Username}@/{builder.Database}?host={host}"
            : string.Create(
                CultureInfo.InvariantCulture,
                $"postgres://{builder.Username}@{host}:{builder.Port}/{builder.Database}");
        address = new PostgresAddress(builder.ConnectionString, shown, passwordFile: null);
        return true;
    }

    /// <summary>With the password that a file has, in place of its own.</summary>
    public PostgresAddress WithPasswordFile(string path) =>
        new(new NpgsqlConnectionStringBuilder(connection) { Password = null }.ConnectionString, Shown, path);

    /// <summary>The connections of one server; none is opened yet. Throws <c>InvalidConfiguration</c>.</summary>
    /// <param name="most">Open at once, at most.</param>
    internal async Task<PostgresConnections> ConnectAsync(int most, CancellationToken cancellationToken)
    {
        PasswordFile? file = passwordFile is null
            ? null
            : await PasswordFile.ReadAsync(passwordFile, cancellationToken);
        NpgsqlConnectionStringBuilder builder = new(connection)
        {
            ApplicationName = "berth",
            MaxPoolSize = most,
            // Somebody waits for every one of these; a database that does not answer is told of, and tried again.
            Timeout = 10,
            CommandTimeout = 15,
            CancellationTimeout = 2000,
            MaxAutoPrepare = 100,
            AutoPrepareMinUsages = 2,
            IncludeErrorDetail = false,
            LogParameters = false,
            // What a session was set to stays as it is, and nobody changes it.
            NoResetOnClose = true,
        };
        if (!builder.Host!.StartsWith('/'))
        {
            // A cable that was pulled is noticed although nothing is sent.
            (builder.TcpKeepAlive, builder.TcpKeepAliveTime, builder.TcpKeepAliveInterval) = (true, 5, 2);
        }

        NpgsqlDataSourceBuilder source = new(builder.ConnectionString);
        if (file is not null)
        {
            source.UsePasswordProvider(_ => file.Password, (_, _) => ValueTask.FromResult(file.Password));
        }

        source.UsePhysicalConnectionInitializer(
            connection =>
            {
                using NpgsqlCommand command = new(Session, connection);
                command.ExecuteNonQuery();
            },
            async connection =>
            {
                await using NpgsqlCommand command = new(Session, connection);
                await command.ExecuteNonQueryAsync();
            });
        return new PostgresConnections(source.Build(), file);
    }

    public override string ToString() => Shown;

    private static string? Read(string text, NpgsqlConnectionStringBuilder builder)
    {
        // Uri takes no empty host, which is how a socket's address is written.
        string rest = text[(text.IndexOf("://", StringComparison.Ordinal) + 3)..];
        (rest, string query) = Cut(rest, '?');
        (string authority, string database) = Cut(rest, '/');
        int at = authority.LastIndexOf('@');
        (string user, string password) = Cut(at < 0 ? "" : authority[..at], ':');
        builder.Username = Uri.UnescapeDataString(user);
        builder.Database = Uri.UnescapeDataString(database);
        if (password.Length > 0)
        {
            builder.Password = Uri.UnescapeDataString(password);
        }

        if (ReadHost(authority[(at + 1)..], builder) is { } problem)
        {
            return problem;
        }

        foreach (string pair in query.Split('&', StringSplitOptions.RemoveEmptyEntries))
        {
            (string name, string value) = Cut(pair, '=');
            if (!TrySet(builder, name, Uri.UnescapeDataString(value)))
            {
                return $"'{name}' in it is unknown or has a value that can't be: host, sslmode (disable, prefer, "
                    + "require, verify-ca, verify-full), sslrootcert, sslcert and sslkey may be given";
            }
        }

        return builder switch
        {
            { Username: not { Length: > 0 } } => "it names no user: postgres://USER:PASSWORD@HOST/DATABASE",
            { Database: not { Length: > 0 } } => "it names no database: postgres://USER:PASSWORD@HOST/DATABASE",
            { Host: not { Length: > 0 } } => "it names no host: postgres://USER:PASSWORD@HOST/DATABASE",
            _ => null,
        };
    }

    private static string? ReadHost(string place, NpgsqlConnectionStringBuilder builder)
    {
        int colon = place.LastIndexOf(':');
        string host = place;
        if (colon >= 0 && !place.EndsWith(']'))
        {
            if (!ushort.TryParse(
                place.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out ushort port) || port == 0)
            {
                return "its port is no number from 1 to 65535";
            }

            builder.Port = port;
            host = place[..colon];
        }

        host = Uri.UnescapeDataString(host).Trim('[', ']');
        if (host.Contains(','))
        {
            return "it names several hosts: give the one address under which the writable database is reached";
        }

        builder.Host = host;
        return null;
    }

    private static bool TrySet(NpgsqlConnectionStringBuilder builder, string name, string value)
    {
        SslMode? mode = value switch
        {
            "disable" => SslMode.Disable,
            "prefer" => SslMode.Prefer,
            "require" => SslMode.Require,
            "verify-ca" => SslMode.VerifyCA,
            "verify-full" => SslMode.VerifyFull,
            _ => null,
        };
        switch (name)
        {
            case "host" when value.StartsWith('/') && !value.Contains(','):
                builder.Host = value;
                return true;
            case "sslmode" when mode is { } chosen:
                builder.SslMode = chosen;
                return true;
            case "sslrootcert" when value.Length > 0:
                builder.RootCertificate = value;
                return true;
            case "sslcert" when value.Length > 0:
                builder.SslCertificate = value;
                return true;
            case "sslkey" when value.Length > 0:
                builder.SslKey = value;
                return true;
            default:
                return false;
        }
    }

    private static (string Before, string After) Cut(string text, char at)
    {
        int place = text.IndexOf(at, StringComparison.Ordinal);
        return place < 0 ? (text, "") : (text[..place], text[(place + 1)..]);
    }
}
