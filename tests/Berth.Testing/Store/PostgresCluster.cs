using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using Berth.Server.Store.Postgres;
using Npgsql;

namespace Berth.Testing.Store;

/// <summary>
/// A PostgreSQL of its own: in a temporary folder, as a user without rights, reached by a socket in that folder alone.
/// </summary>
public sealed class PostgresCluster : IAsyncDisposable
{
    public const string User = "berth";

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("berth-pg-");
    private readonly string[] settings;
    private Process? process;
    private int databases;

    private PostgresCluster(string[] settings) => this.settings = settings;

    public string Password { get; } = RandomNumberGenerator.GetHexString(16);

    private static bool IsRoot => Environment.IsPrivilegedProcess;

    /// <param name="settings">As postgresql.conf has them, name=value.</param>
    public static async Task<PostgresCluster> StartAsync(params string[] settings)
    {
        PostgresCluster cluster = new(settings);
        string passwords = Path.Combine(cluster.folder.FullName, "password");
        await File.WriteAllTextAsync(passwords, cluster.Password);
        if (IsRoot)
        {
            await RunAsync("chown", ["-R", "postgres:postgres", cluster.folder.FullName]);
        }

        await RunAsync(
            Program("initdb"),
            [
                "-D", Path.Combine(cluster.folder.FullName, "data"), "-U", User, "--auth=scram-sha-256",
                "--pwfile=" + passwords, "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8",
            ],
            asPostgres: true);
        await cluster.StartAsync();
        return cluster;
    }

    /// <summary>Starts what was stopped.</summary>
    public async Task StartAsync()
    {
        string[] arguments =
        [
            "-D", Path.Combine(folder.FullName, "data"), "-k", folder.FullName, "-c", "listen_addresses=",
            "-c", "max_connections=200", "-c", "shared_buffers=32MB", "-c", "log_min_messages=fatal",
            .. settings.SelectMany(setting => (string[])["-c", setting]),
        ];
        process = Process.Start(Order(Program("postgres"), arguments, asPostgres: true))!;
        process.OutputDataReceived += (_, _) => { };
        process.ErrorDataReceived += (_, _) => { };
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        long began = Stopwatch.GetTimestamp();
        while (true)
        {
            try
            {
                await ExecuteAsync("postgres", "SELECT 1");
                return;
            }
            catch (NpgsqlException error)
            {
                if (process.HasExited || Stopwatch.GetElapsedTime(began) > Patience)
                {
                    throw new InvalidOperationException("PostgreSQL did not start.", error);
                }

                await Task.Delay(50);
            }
        }
    }

    /// <summary>Ends it in an orderly way, whoever is connected.</summary>
    public Task StopAsync() => EndAsync("-INT");

    /// <summary>Ends it as a crash does.</summary>
    public Task KillAsync() => EndAsync("-QUIT");

    /// <summary>A new, empty database; the address has the password.</summary>
    public async Task<string> NewDatabaseAsync()
    {
        string name = string.Create(CultureInfo.InvariantCulture, $"berth{Interlocked.Increment(ref databases)}");
        await ExecuteAsync("postgres", $"CREATE DATABASE {name}");
        return AddressOf(name);
    }

    public string AddressOf(string database, string? user = null, string? password = null) =>
        $"postgres://{user ?? User}:{password ?? Password}@/{database}?host={folder.FullName}";

    /// <summary>As <see cref="PostgresAddress"/> reads it.</summary>
    public static PostgresAddress Parse(string address) =>
        PostgresAddress.TryParse(address, out PostgresAddress? parsed, out string? problem)
            ? parsed
            : throw new InvalidOperationException(problem);

    public async Task<object?> ExecuteAsync(string database, string sql)
    {
        await using NpgsqlConnection connection = new(
            $"Host={folder.FullName};Username={User};Password={Password};Database={database};Pooling=false;Timeout=5");
        await connection.OpenAsync();
        await using NpgsqlCommand command = new(sql, connection);
        return await command.ExecuteScalarAsync();
    }

    public async ValueTask DisposeAsync()
    {
        if (process is { HasExited: false })
        {
            await StopAsync();
        }

        process?.Dispose();
        folder.Delete(recursive: true);
    }

    private async Task EndAsync(string signal)
    {
        await RunAsync("kill", [signal, process!.Id.ToString(CultureInfo.InvariantCulture)]);
        using CancellationTokenSource limit = new(Patience);
        await process.WaitForExitAsync(limit.Token);
        process.Dispose();
        process = null;
    }

    private static string Program(string name)
    {
        string? newest = Directory.Exists("/usr/lib/postgresql")
            ? Directory.GetDirectories("/usr/lib/postgresql")
                .OrderBy(path => int.Parse(Path.GetFileName(path), CultureInfo.InvariantCulture)).LastOrDefault()
            : null;
        return newest is null
            ? throw new InvalidOperationException("PostgreSQL is missing: eng/prerequisites.sh test installs it.")
            : Path.Combine(newest, "bin", name);
    }

    private static async Task RunAsync(string program, string[] arguments, bool asPostgres = false)
    {
        using Process run = Process.Start(Order(program, arguments, asPostgres))!;
        Task<string> told = run.StandardOutput.ReadToEndAsync();
        string said = await run.StandardError.ReadToEndAsync();
        await told;
        await run.WaitForExitAsync();
        if (run.ExitCode != 0)
        {
            throw new InvalidOperationException($"{program} failed: {said}");
        }
    }

    /// <summary>PostgreSQL refuses to run as root.</summary>
    private static ProcessStartInfo Order(string program, string[] arguments, bool asPostgres)
    {
        bool changes = asPostgres && IsRoot;
        ProcessStartInfo start = new(changes ? "setpriv" : program)
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            UseShellExecute = false,
            WorkingDirectory = "/",
        };
        string[] all = changes
            ? ["--reuid=postgres", "--regid=postgres", "--clear-groups", program, .. arguments]
            : arguments;
        foreach (string argument in all)
        {
            start.ArgumentList.Add(argument);
        }

        return start;
    }
}

/// <summary>One cluster for all tests of an assembly, started when the first asks for it. A power cut is not what these
/// tests are about, so nothing is synced.</summary>
public sealed class SharedPostgres : IAsyncDisposable
{
    private readonly Lazy<Task<PostgresCluster>> cluster = new(
        () => PostgresCluster.StartAsync("fsync=off", "full_page_writes=off"));

    public Task<PostgresCluster> Cluster => cluster.Value;

    public async ValueTask DisposeAsync()
    {
        if (cluster.IsValueCreated)
        {
            await (await cluster.Value).DisposeAsync();
        }
    }
}
