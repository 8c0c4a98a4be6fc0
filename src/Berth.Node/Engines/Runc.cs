using System.Text.Json;
using Berth.Core.Errors;
using Berth.Node.Linux;

namespace Berth.Node.Engines;

/// <summary>The runc executable: found, asked for its version, and used to make containers. Starting and removing them
/// takes no runc; see <see cref="RuncEngine"/>.</summary>
internal sealed class Runc : IDisposable
{
    /// <summary>A create takes some 15 ms; a machine so loaded that it takes this long can't serve calls.</summary>
    private static readonly TimeSpan CreateTimeout = TimeSpan.FromSeconds(30);

    private static readonly string[] Folders =
        ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

    /// <summary>
    /// One thread is enough for so short a program, and it needs no garbage collection: both cost more than they gain.
    /// </summary>
    private static readonly string[] Environment =
        ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "GOMAXPROCS=1", "GOGC=off"];

    private readonly ProcessorSet usual = ProcessorSet.OfItsChildren();
    private readonly ProcessorTurns turns = new(ProcessorSet.OfThisProcess().Numbers);
    private readonly string installed;
    private readonly ReadinessPoller poller;
    private readonly TimeProvider time;
    private FileDescriptor? memory;
    private string path;

    private Runc(string path, string version, ReadinessPoller poller, TimeProvider time)
    {
        installed = path;
        this.path = path;
        this.poller = poller;
        this.time = time;
        Version = version;
    }

    /// <summary>For instance <c>runc 1.1.5</c>.</summary>
    public string Version { get; }

    /// <summary>Throws BerthException (MissingTool) when there is none or it doesn't run.</summary>
    public static async Task<Runc> FindAsync(
        string? configured, ReadinessPoller poller, TimeProvider time, CancellationToken cancellationToken)
    {
        string path = configured ?? Folders.Select(f => f + "/runc").FirstOrDefault(File.Exists)
            ?? throw new BerthException(
                ErrorCode.MissingTool,
                "runc is not installed. Install it: 'apt-get install runc' on Debian and Ubuntu.");
        return new Runc(path, await VersionAsync(path, poller, cancellationToken), poller, time);
    }

    /// <summary>
    /// Starts runc from memory that nobody can change, from here on. A runc in a file has to keep what it makes from
    /// changing that file (CVE-2019-5736): each time it mounts the file anew and executes itself a second time, later
    /// versions from a copy that they make each time. A newer runc is taken at the next start of the server. It stays
    /// with the file where that is a script, or the machine allows none of this.
    /// </summary>
    /// <param name="folder">Gets a link by which the memory is executed, so that it is named as ever.</param>
    public async Task SealAsync(string folder, CancellationToken cancellationToken)
    {
        FileDescriptor? copy = null;
        try
        {
            if ((copy = await SealedProgram.CopyAsync(installed, cancellationToken)) is null)
            {
                return;
            }

            string link = Path.Combine(folder, Path.GetFileName(installed));
            File.CreateSymbolicLink(link, $"/proc/{System.Environment.ProcessId}/fd/{copy.Number}");
            if (await VersionAsync(link, poller, cancellationToken) == Version)
            {
                path = link;
                (memory, copy) = (copy, null);
            }
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or BerthException)
        {
            // It stays with the file.
        }
        finally
        {
            copy?.Dispose();
        }
    }

    public void Dispose() => memory?.Dispose();

    /// <summary>
    /// Runs <c>runc create</c> on a bundle and returns the process id of the container's init. Never canceled half-way:
    /// a half-made container is harder to remove than a whole one. Throws BerthException (NodeFault).
    /// </summary>
    public async Task<int> CreateAsync(string id, string stateRoot, string bundle,
        IReadOnlyList<FileDescriptor> descriptors)
    {
        string pidFile = bundle + "/pid";
        string log = bundle + "/runc.log";
        string[] arguments =
        [
            "--root", stateRoot, "--log", log, "--log-format", "json", "create", "--bundle", bundle, "--pid-file",
            pidFile,
            "--preserve-fds", (descriptors.Count - 3).ToString(), id,
        ];
        int? processor = turns.Take();
        try
        {
            using PidHandle program =
                Spawner.Start(new SpawnSpec(path, arguments, Environment, null, descriptors), poller);
            if (processor is { } one)
            {
                ProcessorSet.Of(one).Bind(program.Pid);
            }

            ProgramEnd? end;
            try
            {
                end = await program.Exited.WaitAsync(CreateTimeout, time);
            }
            catch (TimeoutException)
            {
                program.Signal(PidHandle.SigKill);
                await program.Exited;
                throw new BerthException(ErrorCode.NodeFault,
                    $"runc create took more than {CreateTimeout.TotalSeconds} s.");
            }

            if (end is not { Succeeded: true })
            {
                throw new BerthException(ErrorCode.NodeFault, $"runc create {end}: {LastError(log)}");
            }

            int init = int.Parse(await File.ReadAllTextAsync(pidFile, CancellationToken.None));
            if (processor is not null)
            {
                // What runc was bound to, it has handed down.
                usual.BindAll(init);
            }

            return init;
        }
        catch (LinuxException error)
        {
            throw new BerthException(ErrorCode.NodeFault, $"runc can't be executed: {error.Message}", error);
        }
        finally
        {
            turns.Return(processor);
        }
    }

    /// <summary>For instance <c>runc 1.1.5</c>. Throws BerthException (MissingTool).</summary>
    private static async Task<string> VersionAsync(
        string path, ReadinessPoller poller, CancellationToken cancellationToken)
    {
        const string Start = "runc version ";
        using Pipe output = Pipe.Create();
        try
        {
            using PidHandle program = Spawner.Start(
                new SpawnSpec(path, ["--version"], Descriptors: [null, output.WriteEnd, null]), poller);
            output.WriteEnd.Dispose();
            using var reader = new StreamReader(new PipeReadStream(output.ReadEnd, poller));
            string first = await reader.ReadLineAsync(cancellationToken) ?? "";
            ProgramEnd? end = await program.Exited.WaitAsync(cancellationToken);
            return end is { Succeeded: true } && first.StartsWith(Start, StringComparison.Ordinal)
                ? "runc " + first[Start.Length..]
                : throw new BerthException(ErrorCode.MissingTool,
                    $"{path} is not a working runc: it {end} and says '{first}'.");
        }
        catch (LinuxException error)
        {
            throw new BerthException(ErrorCode.MissingTool, $"{path} can't be executed: {error.Message}", error);
        }
    }

    /// <summary>The last message in runc's log, of which the last line may be cut off where runc was killed.</summary>
    internal static string LastError(string log)
    {
        const int MaxBytes = 64 * 1024;
        if (!File.Exists(log) || new FileInfo(log).Length > MaxBytes)
        {
            return "it left no log.";
        }

        string last = "it left an empty log.";
        foreach (string line in File.ReadLines(log).Where(l => l.StartsWith('{')))
        {
            last = MessageOf(line) ?? last;
        }

        return last;
    }

    private static string? MessageOf(string line)
    {
        try
        {
            using var entry = JsonDocument.Parse(line);
            return entry.RootElement.TryGetProperty("msg", out JsonElement message)
                && message.ValueKind == JsonValueKind.String ? message.GetString() : null;
        }
        catch (JsonException)
        {
            return line;
        }
    }
}
