using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;

namespace Berth.Benchmarks.Rigs;

/// <summary>
/// A server of the published executable on a free port with a data folder of its own, removed when disposed.
/// </summary>
internal sealed class BerthRig : IAsyncDisposable
{
    private readonly Process process;
    private readonly string data;
    private readonly string berth;

    private BerthRig(Process process, string berth, string data, int port, string token, TimeSpan startup)
    {
        this.process = process;
        this.berth = berth;
        this.data = data;
        Port = port;
        Token = token;
        Startup = startup;
        Http = new HttpClient(new SocketsHttpHandler { MaxConnectionsPerServer = 256 })
        {
            BaseAddress = new Uri($"http://127.0.0.1:{port}"),
            Timeout = TimeSpan.FromMinutes(10),
        };
        Http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", token);
    }

    public int Port { get; }

    public string Token { get; }

    public HttpClient Http { get; }

    /// <summary>From the start of the process to the first 200 of /readyz.</summary>
    public TimeSpan Startup { get; }

    public int ProcessId => process.Id;

    public string Executable => berth;

    public static Task<BerthRig> StartAsync(BenchOptions options, params string[] flags) =>
        StartAsync(options, first: null, flags);

    /// <param name="first">Another server of the same store, whose key this one gets.</param>
    public static async Task<BerthRig> StartAsync(BenchOptions options, BerthRig? first, string[] flags)
    {
        string data = Path.Combine(options.Work, $"data-{TimeProvider.System.GetTimestamp():x}");
        Directory.CreateDirectory(data, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        if (first is not null)
        {
            File.Copy(Path.Combine(first.data, "secrets.key"), Path.Combine(data, "secrets.key"));
        }

        int port = FreePort();
        long start = TimeProvider.System.GetTimestamp();
        Process process = Command.Start(
            options.Berth, ["serve", "--data", data, "--listen", $"127.0.0.1:{port}", "--log-level", "warning",
                .. flags]);
        Task<string> errors = process.StandardError.ReadToEndAsync();
        _ = process.StandardOutput.ReadToEndAsync();
        using HttpClient probe = new();
        while (true)
        {
            try
            {
                using HttpResponseMessage answer = await probe.GetAsync(new Uri($"http://127.0.0.1:{port}/readyz"));
                if (answer.IsSuccessStatusCode)
                {
                    break;
                }
            }
            catch (HttpRequestException)
            {
            }

            if (process.HasExited)
            {
                throw new InvalidOperationException("berth serve ended: " + await errors);
            }

            await Task.Delay(5);
        }

        TimeSpan startup = TimeProvider.System.GetElapsedTime(start);
        // The tokens are the store's: only the first to use it makes one.
        string token = first?.Token ?? (await File.ReadAllTextAsync(Path.Combine(data, "admin.token"))).Trim();
        return new BerthRig(process, options.Berth, data, port, token, startup);
    }

    /// <summary>Puts the static busybox into the registry as <c>bench/busybox:1</c>.</summary>
    public async Task PushBusyboxAsync()
    {
        string root = Path.Combine(data, "..", $"busybox-{Port}");
        Directory.CreateDirectory(Path.Combine(root, "bin"));
        File.Copy("/bin/busybox", Path.Combine(root, "bin", "busybox"), overwrite: true);
        foreach (string applet in (string[])["cat", "true", "sh", "sleep"])
        {
            File.CreateSymbolicLink(Path.Combine(root, "bin", applet), "busybox");
        }

        await CliAsync("image", "pack", "bench/busybox:1", root, "--cmd", "cat");
        Directory.Delete(root, recursive: true);
    }

    public Task<string> CliAsync(params string[] arguments) => CliAsync([], arguments);

    /// <param name="variables">More of the environment, as NAME=VALUE.</param>
    public Task<string> CliAsync(IEnumerable<string> variables, params string[] arguments) => Command.RunAsync(
        "env",
        [$"BERTH_HOST=http://127.0.0.1:{Port}", $"BERTH_TOKEN={Token}", .. variables, berth, .. arguments]);

    /// <summary>One synchronous call; the answer must be <paramref name="body"/> again.</summary>
    public Task<TimeSpan> EchoAsync(byte[] body) => EchoAsync(body, "/v1/call/bench/busybox:1");

    /// <summary>The same through another address of a program that echoes.</summary>
    public async Task<TimeSpan> EchoAsync(byte[] body, string path)
    {
        long start = TimeProvider.System.GetTimestamp();
        using ByteArrayContent content = new(body);
        using HttpResponseMessage answer = await Http.PostAsync(new Uri(path, UriKind.Relative), content);
        byte[] echoed = await answer.Content.ReadAsByteArrayAsync();
        TimeSpan elapsed = TimeProvider.System.GetElapsedTime(start);
        return answer.StatusCode == HttpStatusCode.OK && echoed.AsSpan().SequenceEqual(body)
            ? elapsed
            : throw new InvalidOperationException($"{(int)answer.StatusCode}: "
                + $"{System.Text.Encoding.UTF8.GetString(echoed)}");
    }

    /// <summary>A line of /proc/PID/status in bytes, for instance <c>VmRSS</c> or <c>VmHWM</c>.</summary>
    public long Status(string field) =>
        long.Parse(File.ReadLines($"/proc/{process.Id}/status").First(l => l.StartsWith(field + ":",
            StringComparison.Ordinal))
            .Split(':')[1].Replace("kB", "", StringComparison.Ordinal).Trim()) * 1024;

    /// <summary>A figure of /metrics by its name with its labels; 0 where there is none.</summary>
    public Task<double> MetricAsync(string name) => SumAsync(name);

    /// <summary>Several metrics together, from one look.</summary>
    public async Task<double> SumAsync(params string[] names)
    {
        string text = await Http.GetStringAsync(new Uri("/metrics", UriKind.Relative));
        return text.Split('\n')
            .Where(l => names.Any(n => l.StartsWith(n + " ", StringComparison.Ordinal)))
            .Sum(l => double.Parse(l[(l.LastIndexOf(' ') + 1)..], CultureInfo.InvariantCulture));
    }

    /// <summary>A durable call of a function, accepted.</summary>
    public async Task SubmitAsync(string path)
    {
        using HttpRequestMessage request = new(HttpMethod.Post, path);
        request.Headers.Add("Prefer", "respond-async");
        using HttpResponseMessage answer = await Http.SendAsync(request);
        if (answer.StatusCode != HttpStatusCode.Accepted)
        {
            throw new InvalidOperationException($"{answer}: {await answer.Content.ReadAsStringAsync()}");
        }
    }

    /// <summary>Returns when this server has heard of a function that another one was told of.</summary>
    public async Task KnowsAsync(string function)
    {
        while (true)
        {
            using HttpResponseMessage answer = await Http.GetAsync(
                new Uri("/v1/functions/" + function, UriKind.Relative));
            if (answer.IsSuccessStatusCode)
            {
                return;
            }

            await Task.Delay(10);
        }
    }

    /// <summary>Tasks that have not ended.</summary>
    public Task<double> TasksLeftAsync() => SumAsync(
        "berth_tasks{state=\"queued\"}", "berth_tasks{state=\"starting\"}", "berth_tasks{state=\"running\"}");

    /// <summary>Cores that the server uses during some time, without its sandboxes.</summary>
    public async Task<double> ProcessorShareAsync(TimeSpan length)
    {
        process.Refresh();
        TimeSpan before = process.TotalProcessorTime;
        await Task.Delay(length);
        process.Refresh();
        return (process.TotalProcessorTime - before) / length;
    }

    public async ValueTask DisposeAsync()
    {
        Http.Dispose();
        using (Process.Start("kill", ["-TERM", $"{process.Id}"]))
        {
        }

        await process.WaitForExitAsync();
        process.Dispose();
        Directory.Delete(data, recursive: true);
    }

    public static int FreePort()
    {
        using TcpListener listener = new(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
