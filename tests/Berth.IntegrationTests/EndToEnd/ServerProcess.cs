using System.Diagnostics;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;
using Berth.Node;
using Berth.Node.Linux;
using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>The published executable as a server, with a data folder and a port of its own.</summary>
internal sealed class ServerProcess : IAsyncDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly StringBuilder log = new();
    private Process? process;
    private HttpClient? http;

    /// <param name="data">Its data folder, where that is to be on a disk of the test's.</param>
    public ServerProcess(string? data = null)
    {
        Folder = Directory.CreateDirectory($"/var/tmp/berth-e2e-{Path.GetRandomFileName()}").FullName;
        Data = data ?? Path.Combine(Folder, "data");
        using TcpListener probe = new(IPAddress.Loopback, 0);
        probe.Start();
        Port = ((IPEndPoint)probe.LocalEndpoint).Port;
    }

    /// <summary>The executable that build.sh makes; test.sh names it in BERTH_EXECUTABLE.</summary>
    public static string Executable { get; } =
        System.Environment.GetEnvironmentVariable("BERTH_EXECUTABLE") ?? Path.Combine(RepositoryRoot(), "out/berth");

    /// <summary>Name of the network namespace that stands for its machine; null for this one.</summary>
    public string? Space { get; init; }

    public string Folder { get; }

    public string Data { get; set; }

    /// <summary>Variables for the next start, beside this process's own.</summary>
    public Dictionary<string, string> Environment { get; } = [];

    public int Port { get; }

    public string Host => $"127.0.0.1:{Port}";

    public string Address => $"http://{Host}";

    public string Token => File.ReadAllText(Path.Combine(Data, "admin.token")).Trim();

    /// <summary>Name of everything that this server makes on the machine.</summary>
    public string Instance => NodeOptions.InstanceOf(Data);

    public int Pid => process!.Id;

    public bool HasEnded => process!.HasExited;

    public Task Ended => process!.WaitForExitAsync();

    /// <summary>Requests with the administrator's token, to the server as last started.</summary>
    public HttpClient Http => http ??= new HttpClient(Handler())
    {
        BaseAddress = new Uri(Address),
        DefaultRequestHeaders = { Authorization = new AuthenticationHeaderValue("Bearer", Token) },
        Timeout = 2 * Patience,
    };

    public string Log
    {
        get
        {
            lock (log)
            {
                return log.ToString();
            }
        }
    }

    public Dictionary<string, string> Variables => new()
    {
        ["BERTH_HOST"] = Address,
        ["BERTH_TOKEN"] = Token,
        ["HOME"] = Folder,
        ["NO_COLOR"] = "1",
    };

    /// <summary>Starts it and waits until it is ready.</summary>
    public async Task StartAsync(params string[] flags)
    {
        Begin(flags);
        Assert.True(await BecomesReadyAsync(), $"The server ended before it was ready:\n{Log}");
    }

    /// <summary>Starts it and waits for nothing.</summary>
    public void Begin(params string[] flags)
    {
        Assert.SkipUnless(File.Exists(Executable), $"{Executable} is missing: run ./build.sh.");
        Assert.SkipUnless(System.Environment.IsPrivilegedProcess, "A server needs root.");
        http?.Dispose();
        http = null;
        process?.Dispose();
        (string program, string[] arguments) = There(["serve", "--data", Data, "--listen", Host, .. flags]);
        process = Tool.Start(program, arguments, Environment);
        process.StandardInput.Close();
        process.OutputDataReceived += Note;
        process.ErrorDataReceived += Note;
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
    }

    /// <summary>Asks it to stop as an operator does, and waits until it has.</summary>
    public Task<int> StopAsync() => StopAsync(15);

    public async Task<int> StopAsync(int signal)
    {
        Signal(Pid, signal);
        return await EndsAsync();
    }

    public async Task<int> EndsAsync()
    {
        using CancellationTokenSource limit = new(Patience);
        await process!.WaitForExitAsync(limit.Token);
        return process.ExitCode;
    }

    public async Task KillAsync()
    {
        process!.Kill();
        await process.WaitForExitAsync();
    }

    /// <summary>Runs the command line against this server.</summary>
    public Task<ToolResult> BerthAsync(params string[] arguments) => BerthAsync([], arguments);

    public Task<ToolResult> BerthAsync(byte[] input, params string[] arguments) =>
        Tool.RunAsync(There(arguments).Program, There(arguments).Arguments, input, Variables);

    /// <summary>The executable on its machine.</summary>
    private (string Program, string[] Arguments) There(string[] arguments) => Space is null
        ? (Executable, arguments)
        : ("/usr/bin/nsenter", [$"--net=/run/netns/{Space}", Executable, .. arguments]);

    /// <summary>A script in which $BERTH is the executable.</summary>
    public Task<ToolResult> ShellAsync(string script) => Tool.RunAsync(
        "bash", ["-c", script], [], new Dictionary<string, string>(Variables) { ["BERTH"] = Executable });

    public async ValueTask DisposeAsync()
    {
        if (process is { HasExited: false })
        {
            await StopAsync();
        }

        http?.Dispose();
        process?.Dispose();
        Directory.Delete(Folder, recursive: true);
    }

    public static void Signal(int pid, int signal) => Assert.Equal(0, Kill(pid, signal));

    /// <summary>As <see cref="Signal"/>, of a process that may have ended meanwhile.</summary>
    public static void TrySignal(int pid, int signal) => _ = Kill(pid, signal);

    [DllImport("libc", EntryPoint = "kill")]
    private static extern int Kill(int pid, int signal);

    /// <summary>False when it ended before it was ready.</summary>
    public async Task<bool> BecomesReadyAsync()
    {
        using HttpClient http = new(Handler());
        long begun = TimeProvider.System.GetTimestamp();
        while (true)
        {
            try
            {
                using HttpResponseMessage answer = await http.GetAsync(new Uri(Address + "/readyz"));
                if (answer.IsSuccessStatusCode)
                {
                    return true;
                }
            }
            catch (Exception error) when (ConnectionLoss.IsIn(error))
            {
                // Not listening yet.
            }

            if (process!.HasExited)
            {
                return false;
            }

            Assert.True(TimeProvider.System.GetElapsedTime(begun) < Patience, $"The server is not ready:\n{Log}");
            await Task.Delay(TimeSpan.FromMilliseconds(20));
        }
    }

    private SocketsHttpHandler Handler() => Space is null
        ? new SocketsHttpHandler { UseProxy = false }
        : new SocketsHttpHandler { UseProxy = false, ConnectCallback = ConnectThereAsync };

    private async ValueTask<Stream> ConnectThereAsync(
        SocketsHttpConnectionContext context, CancellationToken cancellationToken)
    {
        using FileDescriptor space = new(Libc.Open($"/run/netns/{Space}", Libc.O_RDONLY | Libc.O_CLOEXEC, 0));
        Socket socket = NetworkNamespace.MakeSocket(space, SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(IPAddress.Loopback, Port, cancellationToken);
        return new NetworkStream(socket, ownsSocket: true);
    }

    private void Note(object sender, DataReceivedEventArgs line)
    {
        lock (log)
        {
            log.AppendLine(line.Data);
        }
    }

    public static string RepositoryRoot()
    {
        DirectoryInfo? folder = new(AppContext.BaseDirectory);
        while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "Berth.slnx")))
        {
            folder = folder.Parent;
        }

        return folder?.FullName ?? AppContext.BaseDirectory;
    }
}
