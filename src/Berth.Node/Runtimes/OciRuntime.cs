using System.Globalization;
using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Node.Linux;

namespace Berth.Node.Runtimes;

// Vocabulary: a further runtime is an OCI runtime that the operator registered beside runc. It gets the program when it
// makes the container, and hands that container its own standard streams; no connection of ours leads into it.

/// <summary>
/// The executable of one further runtime: found, asked for its version, and told to create, start and exec by the
/// command line that runc has and others keep to. Removing takes none of it; see <see cref="RuntimeSandbox"/>.
/// </summary>
internal sealed class OciRuntime
{
    /// <summary>A machine so loaded that a command takes this long can't serve calls.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly RegisteredRuntime registered;
    private readonly ReadinessPoller poller;
    private readonly TimeProvider time;
    private int commands;

    private OciRuntime(RegisteredRuntime registered, string version, ReadinessPoller poller, TimeProvider time)
    {
        this.registered = registered;
        this.poller = poller;
        this.time = time;
        Version = version;
    }

    public string Name => registered.Name;

    /// <summary>The first line of its answer, for instance <c>runsc version release-20221219.0</c>.</summary>
    public string Version { get; }

    /// <summary>Runs programs on a kernel of its own: what this machine sees of them are that kernel's
    /// processes.</summary>
    public bool HasOwnKernel => Version.StartsWith("runsc ", StringComparison.Ordinal);

    /// <summary>Whether its sandboxes must be put into their control groups by whoever starts it.</summary>
    public bool IgnoresCgroups => registered.IgnoresCgroups;

    /// <summary>Throws BerthException (MissingTool) when there is none or it doesn't run.</summary>
    public static async Task<OciRuntime> FindAsync(
        RegisteredRuntime registered, ReadinessPoller poller, TimeProvider time,
        CancellationToken cancellationToken)
    {
        using Pipe output = Pipe.Create();
        try
        {
            using PidHandle program = Spawner.Start(
                new SpawnSpec(registered.Path, ["--version"], Descriptors: [null, output.WriteEnd, null]), poller);
            output.WriteEnd.Dispose();
            using var reader = new StreamReader(new PipeReadStream(output.ReadEnd, poller));
            string first = await reader.ReadLineAsync(cancellationToken).AsTask()
                .WaitAsync(Patience, time, cancellationToken) ?? "";
            ProgramEnd? end = await program.Exited.WaitAsync(Patience, time, cancellationToken);
            return end is { Succeeded: true } && first.Length > 0
                ? new OciRuntime(registered, first.Trim(), poller, time)
                : throw Refuse(registered, $"is no working OCI runtime: asked for its --version it {end}", null);
        }
        catch (LinuxException error)
        {
            throw Refuse(
                registered,
                error.Errno == Errno.NoEntry ? "does not exist" : $"can't be executed: {error.Message}", error);
        }
        catch (TimeoutException error)
        {
            throw Refuse(registered, "does not answer when asked for its --version", error);
        }
    }

    /// <summary>
    /// Runs one command. Never canceled half-way: a half-made container is harder to remove than a whole one. Throws
    /// RuntimeException with the runtime's own words.
    /// </summary>
    /// <param name="folder">Of the sandbox: the runtime's state and messages lie below it.</param>
    /// <param name="entry">Program and arguments to start it through, see <see cref="RuntimeGroup.Entry"/>; empty to
    /// start it plainly.</param>
    /// <param name="descriptors">Standard streams, which "create" and "exec" hand on.</param>
    public async Task RunAsync(
        string folder, IReadOnlyList<string> command, IReadOnlyList<string> entry,
        IReadOnlyList<FileDescriptor> descriptors)
    {
        string log = string.Create(
            CultureInfo.InvariantCulture, $"{folder}/log-{Interlocked.Increment(ref commands)}");
        string[] arguments =
        [
            "--root", StateOf(folder), "--log", log, "--log-format", "json", .. registered.Arguments, .. command,
        ];
        string[] words = [.. entry, registered.Path, .. arguments];
        SpawnSpec spec = new(words[0], words[1..], Descriptors: descriptors);
        try
        {
            using PidHandle program = Spawner.Start(spec, poller);
            ProgramEnd? end = await EndOfAsync(program, command[0]);
            if (end is not { Succeeded: true })
            {
                throw new RuntimeException(Name, command[0], RuntimeLog.LastMessage(log) ?? $"it {end}");
            }
        }
        catch (LinuxException error)
        {
            throw new RuntimeException(Name, command[0], error.Message);
        }
        finally
        {
            File.Delete(log);
        }
    }

    /// <summary>What runs in a sandbox with a kernel of its own, asked of that kernel; for one that has none the node
    /// looks itself. Empty where it does not answer.</summary>
    public IReadOnlyList<ProcessView> ReadProcesses(string folder, string id)
    {
        using Pipe output = Pipe.Create();
        try
        {
            using PidHandle program = Spawner.Start(
                new SpawnSpec(
                    registered.Path,
                    ["--root", StateOf(folder), .. registered.Arguments, "ps", id],
                    Descriptors: [null, output.WriteEnd, null]),
                poller);
            output.WriteEnd.Dispose();
            using PipeReadStream stream = new(output.ReadEnd, poller);
            IReadOnlyList<ProcessView> processes = RuntimeProcesses.Parse(stream);
            // Its end follows that of its output; nobody else would reap it.
            program.Exited.Wait(Patience);
            return processes;
        }
        catch (LinuxException)
        {
            return [];
        }
    }

    /// <summary>Its own state of one sandbox, in that sandbox's folder: whatever it keeps there goes with it.</summary>
    public static string StateOf(string folder) => folder + "/state";

    private async Task<ProgramEnd?> EndOfAsync(PidHandle program, string command)
    {
        try
        {
            return await program.Exited.WaitAsync(Patience, time);
        }
        catch (TimeoutException)
        {
            program.Signal(PidHandle.SigKill);
            await program.Exited;
            throw new RuntimeException(Name, command, $"it took more than {Patience.TotalSeconds} s");
        }
    }

    private static BerthException Refuse(RegisteredRuntime registered, string why, Exception? cause) => new(
        ErrorCode.MissingTool,
        $"The runtime '{registered.Name}' can't be used: {registered.Path} {why}. Install it, or correct the setting "
        + "'runtime' (--runtime, BERTH_RUNTIME).",
        cause);
}

/// <summary>A command of a further runtime failed.</summary>
internal sealed class RuntimeException(string runtime, string command, string words)
    : Exception($"The runtime '{runtime}' could not {command} the sandbox: {words}")
{
    /// <summary>The runtime's own.</summary>
    public string Words => words;
}
