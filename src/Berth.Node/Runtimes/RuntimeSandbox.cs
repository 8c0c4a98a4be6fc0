using System.Globalization;
using Berth.Api.Nodes;
using Berth.Core.Errors;
using Berth.Core.Resources;
using Berth.Core.Runs;
using Berth.Node.Engines;
using Berth.Node.Init;
using Berth.Node.Linux;

namespace Berth.Node.Runtimes;

/// <summary>
/// A sandbox of a further runtime. Until its program is known it is a mounted root and pipes; then the runtime makes
/// the container with that program and those pipes. What ends, measures and removes it is the kernel's, as with the
/// node's own: the container's first process and the control group.
/// </summary>
internal sealed class RuntimeSandbox : ISandbox
{
    private readonly OciRuntime runtime;
    private readonly HostObjects objects;
    private readonly string folder;
    private readonly RuntimeBundle bundle;
    private readonly RuntimeGroup group;
    private readonly ReadinessPoller poller;
    private readonly TimeProvider time;
    private readonly Func<HostObjects, Task> remove;
    private readonly Lazy<Task> removal;
    private readonly RuntimeStreams streams;
    private readonly RuntimeHelpers helpers = new();
    private readonly TaskCompletionSource<ProgramExit?> exited =
        new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int furthers;

    /// <param name="folder">The sandbox's own; it holds config.json and the runtime's state.</param>
    /// <param name="remove">Removes the host objects; idempotent.</param>
    public RuntimeSandbox(
        OciRuntime runtime, HostObjects objects, string folder, SandboxSpec spec, string hostName,
        DateTimeOffset created, RuntimeBundle bundle, RuntimeGroup group, ReadinessPoller poller,
        TimeProvider time, Func<HostObjects, Task> remove)
    {
        this.runtime = runtime;
        this.objects = objects;
        this.folder = folder;
        this.bundle = bundle;
        this.group = group;
        this.poller = poller;
        this.time = time;
        this.remove = remove;
        removal = new Lazy<Task>(RemoveOnceAsync);
        streams = new RuntimeStreams(poller);
        Spec = spec;
        HostName = hostName;
        Created = created;
    }

    public string Id => objects.Id;

    public SandboxSpec Spec { get; }

    public string HostName { get; }

    public DateTimeOffset Created { get; }

    public bool IsAlive => !exited.Task.IsCompleted && objects.Init is not { Exited.IsCompleted: true };

    public SandboxStreams Streams => streams.Ours;

    public Task<ProgramExit?> Exited => exited.Task;

    public async Task<ProgramBeginning> StartAsync(
        ProgramStart program, TerminalSize? terminal, CancellationToken cancellationToken)
    {
        program.Check();
        cancellationToken.ThrowIfCancellationRequested();
        try
        {
            FoundProgram found = Find(program);
            StartReport.Make(folder, objects.Owner!.First);
            await bundle.WriteAsync(folder, found, terminal);
            using ConsoleSocket? console = terminal is null ? null : new ConsoleSocket(folder + "/console");
            group.Make();
            await runtime.RunAsync(
                folder,
                [
                    "create", "--bundle", folder, "--pid-file", folder + "/pid", .. ConsoleOf(console), Id,
                ],
                group.Entry, console is null ? streams.Theirs : []);
            int pid = await TakeOverAsync();
            Pseudoterminal? opened = console is null ? null : await console.ReceiveAsync(terminal!.Value, poller);
            return await RunAsync(found, pid, opened);
        }
        catch (LookupException missing)
        {
            return new ProgramBeginning(new StartOutcome.EntryPointMissing(missing.Message));
        }
        catch (RuntimeException failed)
        {
            throw Fault(failed);
        }
        catch (Exception failed) when (failed is IOException or TimeoutException)
        {
            throw new BerthException(
                ErrorCode.NodeFault,
                $"The runtime '{runtime.Name}' could not start the program: {failed.Message}", failed);
        }
        finally
        {
            streams.LetGo();
        }
    }

    public Task<FurtherBeginning> ExecuteAsync(
        ProgramStart program, IReadOnlyList<FileDescriptor> descriptors, CancellationToken cancellationToken) =>
        ExecuteAsync(program, descriptors, terminal: null, cancellationToken);

    public Task<FurtherBeginning> ExecuteAtTerminalAsync(
        ProgramStart program, TerminalSize size, CancellationToken cancellationToken) =>
        ExecuteAsync(program, [], size, cancellationToken);

    public Task<Stream> ConnectAsync(int port, CancellationToken cancellationToken) => throw KeepsNetwork();

    public LoopbackListener Listen(int port) => throw KeepsNetwork();

    public void Pause() => objects.Pause();

    public void Resume() => objects.Resume();

    public IReadOnlyList<ProcessView> ReadProcesses() => objects is not { Owner: { } owner, Init: not null }
        ? []
        : runtime.HasOwnKernel
            ? runtime.ReadProcesses(folder, Id)
            : SandboxProcesses.Read(objects.Cgroup.ReadProcesses(), owner.First);

    public void Signal(int signal) => objects.Init?.Signal(signal);

    /// <summary>With the container's first process all others go.</summary>
    public void Kill() => Signal(PidHandle.SigKill);

    public void KillInit()
    {
        exited.TrySetResult(null);
        Kill();
    }

    public SandboxUsage ReadUsage(bool withSplit = true) => objects.ReadUsage(withSplit);

    public ByteSize ReadMemory() => objects.ReadMemory();

    public ByteSize ReadFilesInMemory() => objects.ReadFilesInMemory();

    public Task<ILane> OpenLaneAsync(CancellationToken cancellationToken) => throw new BerthException(
        ErrorCode.InvalidRequest, "Sandboxes of a further runtime run one program, and are not reused.");

    public Task RemoveAsync() => removal.Value;

    public async ValueTask DisposeAsync()
    {
        await RemoveAsync();
        Streams.Dispose();
    }

    private BerthException KeepsNetwork() => new(
        ErrorCode.InvalidRequest,
        $"Runtime '{runtime.Name}' does not let a sandbox's ports be reached: use the server's own.");

    private static string[] ConsoleOf(ConsoleSocket? console) =>
        console is null ? [] : ["--console-socket", console.Path];

    private FoundProgram Find(ProgramStart program)
    {
        Dictionary<string, string> environment = new(program.Environment, StringComparer.Ordinal);
        // No pipe of ours leads into the sandbox.
        environment.Remove("BERTH_PROGRESS_FD");
        return ProgramLookup.Find(
            program with { Environment = environment }, objects.Root!.Path, objects.Owner!.First);
    }

    /// <summary>Holds the container's first process, and makes sure that its limits hold.</summary>
    private async Task<int> TakeOverAsync()
    {
        string text = await File.ReadAllTextAsync(folder + "/pid", CancellationToken.None);
        int pid = int.Parse(text.Trim(), CultureInfo.InvariantCulture);
        objects.Init = PidHandle.Open(pid, poller);
        if (!group.Has(pid))
        {
            throw new RuntimeException(
                runtime.Name, "create",
                "it left it outside of its control group, where no limit holds. If it can't make groups on this "
                + "machine, register it with --ignore-cgroups where it knows that: Berth makes them then");
        }

        helpers.Hold(objects.Cgroup.ReadProcesses().Where(p => p != pid), poller);
        return pid;
    }

    private async Task<ProgramBeginning> RunAsync(FoundProgram program, int pid, Pseudoterminal? terminal)
    {
        try
        {
            objects.Cgroup.ResetPeak();
            objects.BeginUsage();
            await runtime.RunAsync(folder, ["start", Id], group.Entry, []);
            int? errno = await StartReport.WaitAsync(folder, objects.Init!.Exited, time);
            _ = WatchAsync(objects.Init);
            if (errno is null or 0)
            {
                return new ProgramBeginning(new StartOutcome.Started(pid), terminal);
            }

            throw ProgramLookup.Refused(program, errno.Value);
        }
        catch
        {
            terminal?.Dispose();
            throw;
        }
    }

    private async Task WatchAsync(PidHandle init)
    {
        ProgramEnd? end = null;
        try
        {
            end = await init.Exited;
        }
        catch (Exception error) when (error is ObjectDisposedException or OperationCanceledException)
        {
            // Removed meanwhile.
        }

        exited.TrySetResult(
            end is null ? null : new ProgramExit(end.ExitCode, end.Signal, end.UserTime, end.SystemTime, 0));
    }

    private async Task<FurtherBeginning> ExecuteAsync(
        ProgramStart program, IReadOnlyList<FileDescriptor> descriptors, TerminalSize? terminal,
        CancellationToken cancellationToken)
    {
        program.Check();
        cancellationToken.ThrowIfCancellationRequested();
        if (!IsAlive || objects.Init is null)
        {
            throw new BerthException(ErrorCode.NodeFault, "The sandbox's program has ended.");
        }

        string number = Interlocked.Increment(ref furthers).ToString(CultureInfo.InvariantCulture);
        string pidFile = $"{folder}/pid-{number}";
        string process = $"{folder}/process-{number}.json";
        try
        {
            await bundle.WriteFurtherAsync(process, Find(program), terminal);
            using ConsoleSocket? console = terminal is null ? null : new ConsoleSocket($"{folder}/console-{number}");
            await runtime.RunAsync(
                folder,
                ["exec", "--detach", "--process", process, "--pid-file", pidFile, .. ConsoleOf(console), Id],
                group.Entry, descriptors);
            string text = await File.ReadAllTextAsync(pidFile, CancellationToken.None);
            RuntimeFurtherProgram further = new(
                PidHandle.Open(int.Parse(text.Trim(), CultureInfo.InvariantCulture), poller));
            return new FurtherBeginning(
                further, new StartOutcome.Started(0),
                console is null ? null : await console.ReceiveAsync(terminal!.Value, poller));
        }
        catch (LookupException missing)
        {
            return new FurtherBeginning(
                RuntimeFurtherProgram.None, new StartOutcome.EntryPointMissing(missing.Message));
        }
        catch (RuntimeException failed)
        {
            throw Fault(failed);
        }
        catch (IOException failed)
        {
            throw new BerthException(
                ErrorCode.NodeFault, $"The runtime '{runtime.Name}' could not exec: {failed.Message}", failed);
        }
        finally
        {
            File.Delete(process);
            File.Delete(pidFile);
        }
    }

    private BerthException Fault(RuntimeException failed) => new(ErrorCode.NodeFault, failed.Message + ".", failed);

    private async Task RemoveOnceAsync()
    {
        streams.LetGo();
        await remove(objects);
        await helpers.DisposeAsync();
        exited.TrySetResult(null);
    }
}
