using System.Text;
using Berth.Node.Init;
using Berth.Node.Linux;
using Xunit;

namespace Berth.IntegrationTests.Init;

/// <summary>
/// A real berth-init as process 1 of its own process and mount namespace in a small root, without a container around
/// it: unshare(1) makes the namespaces. It holds the streams too, so an output ends when everything has.
/// </summary>
internal sealed class BareInit : IAsyncDisposable
{
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly PidHandle unshare;

    private BareInit(
        PidHandle unshare, InitChannel channel, PipeWriteStream input, PipeReadStream output, PipeReadStream progress)
    {
        this.unshare = unshare;
        Channel = channel;
        Input = input;
        Output = output;
        Progress = progress;
    }

    public InitChannel Channel { get; }

    public PipeWriteStream Input { get; }

    /// <summary>Standard output and error together.</summary>
    public PipeReadStream Output { get; }

    public PipeReadStream Progress { get; }

    /// <summary>The whole of it is gone.</summary>
    public Task<ProgramEnd?> Gone => unshare.Exited;

    public static async Task<BareInit> BootAsync(InitRoot root, ReadinessPoller poller)
    {
        BareInit init = Launch(root, poller);
        await init.Channel.WaitReadyAsync(root.Filter, CancellationToken.None).WaitAsync(Patience);
        return init;
    }

    public static BareInit Launch(InitRoot root, ReadinessPoller poller)
    {
        using Pipe input = Pipe.Create();
        using Pipe output = Pipe.Create();
        using Pipe progress = Pipe.Create();
        using SocketPair control = SocketPair.Create();
        PidHandle unshare = Spawner.Start(
            new SpawnSpec(
                "/usr/bin/unshare",
                ["--pid", "--fork", "--mount", $"--root={root.Path}", "--mount-proc", InitRoot.InitPath],
                Descriptors: [input.ReadEnd, output.WriteEnd, output.WriteEnd, control.Theirs, progress.WriteEnd]),
            poller);
        return new BareInit(
            unshare,
            new InitChannel(control.Ours.Duplicate(), poller),
            new PipeWriteStream(input.WriteEnd.Duplicate(), poller),
            new PipeReadStream(output.ReadEnd.Duplicate(), poller),
            new PipeReadStream(progress.ReadEnd.Duplicate(), poller));
    }

    public Task<StartOutcome> StartAsync(ProgramStart program) =>
        Channel.StartAsync(program, terminal: null, CancellationToken.None).WaitAsync(Patience);

    /// <summary>Starts what must start, and closes its input.</summary>
    public async Task RunAsync(ProgramStart program)
    {
        Assert.IsType<StartOutcome.Started>(await StartAsync(program));
        await Input.DisposeAsync();
    }

    public Task StartShellAsync(string script) => RunAsync(Shell(script));

    public static ProgramStart Shell(string script, string user = "", string folder = "/") => new(
        ["sh", "-c", script], new Dictionary<string, string> { ["PATH"] = "/bin" }, user, folder);

    public async Task<string> ReadOutputAsync()
    {
        using StreamReader reader = new(Output, Encoding.UTF8, leaveOpen: true);
        return await reader.ReadToEndAsync().WaitAsync(Patience);
    }

    public async Task<string?> ReadLineAsync()
    {
        StringBuilder line = new();
        byte[] next = new byte[1];
        while (await Output.ReadAsync(next).AsTask().WaitAsync(Patience) == 1)
        {
            if (next[0] == (byte)'\n')
            {
                return line.ToString();
            }

            line.Append((char)next[0]);
        }

        return null;
    }

    public async Task<ProgramExit?> ExitAsync() => await Channel.Exited.WaitAsync(Patience);

    /// <summary>The init's process id on this machine.</summary>
    public int ProcessId => int.Parse(
        File.ReadAllText($"/proc/{unshare.Pid}/task/{unshare.Pid}/children").Trim());

    public async ValueTask DisposeAsync()
    {
        await Channel.DisposeAsync();
        await unshare.Exited.WaitAsync(Patience);
        await Input.DisposeAsync();
        await Output.DisposeAsync();
        await Progress.DisposeAsync();
        unshare.Dispose();
    }
}

/// <summary>A root folder with busybox, accounts, /dev/null and berth-init in it.</summary>
public sealed class InitRoot : IAsyncDisposable
{
    public const string InitPath = "/berth-init";

    private static readonly string[] Commands =
        ["cat", "chmod", "echo", "env", "false", "grep", "head", "id", "kill", "ls", "mkfifo", "mv", "ps", "pwd", "rm",
            "setsid", "sh", "sleep", "stat", "true", "wc", "yes"];

    private InitRoot(string path, ReadOnlyMemory<byte> filter)
    {
        Path = path;
        Filter = filter;
    }

    public string Path { get; }

    public ReadOnlyMemory<byte> Filter { get; }

    public static async Task<InitRoot> MakeAsync()
    {
        string path = Directory.CreateTempSubdirectory("berth-init-test-").FullName;
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute
            | UnixFileMode.GroupRead | UnixFileMode.GroupExecute
            | UnixFileMode.OtherRead | UnixFileMode.OtherExecute);
        foreach (string folder in (string[])["bin", "dev", "etc", "proc", "tmp"])
        {
            Directory.CreateDirectory($"{path}/{folder}");
        }

        File.Copy("/bin/busybox", $"{path}/bin/busybox");
        foreach (string command in Commands)
        {
            File.CreateSymbolicLink($"{path}/bin/{command}", "busybox");
        }

        string init = await InitBinary.WriteToAsync(path, CancellationToken.None);
        File.Move(init, path + InitPath);
        File.WriteAllText($"{path}/etc/passwd",
            "root:x:0:0:root:/root:/bin/sh\nnot a line\n"
            + "alice:x:1234:1235::/home/alice:/bin/sh\nbob:x:99999999999:1::/:\n");
        File.WriteAllText($"{path}/etc/group",
            "root:x:0:\nusers:x:1235:alice\nextra:x:77:bob,alice\nother:x:78:alic\n");
        File.WriteAllText($"{path}/plain", "text\n");
        File.CreateSymbolicLink($"{path}/held", "/proc/self/fd");
        File.WriteAllText($"{path}/orphan", "#!/no/such/interpreter\n");
        File.WriteAllText($"{path}/strange", "no magic number\n");
        foreach (string executable in (string[])["orphan", "strange"])
        {
            File.SetUnixFileMode($"{path}/{executable}", UnixFileMode.UserRead | UnixFileMode.UserExecute
                | UnixFileMode.OtherRead | UnixFileMode.OtherExecute);
        }

        using ReadinessPoller poller = new();
        using PidHandle copy = Spawner.Start(
            new SpawnSpec("/bin/cp", ["-a", "/dev/null", $"{path}/dev/null"]), poller);
        await copy.Exited;
        return new InitRoot(path, SeccompFilter.Compile().Instructions);
    }

    public ValueTask DisposeAsync()
    {
        Directory.Delete(Path, recursive: true);
        return ValueTask.CompletedTask;
    }
}
