using System.Diagnostics;

namespace Berth.Benchmarks.Rigs;

/// <summary>
/// A Docker engine of its own socket and data folder, for comparison only. Null where dockerd is not installed.
/// </summary>
internal sealed class DockerEngine : IAsyncDisposable
{
    private readonly Process process;
    private readonly string folder;
    private readonly string socket;

    private DockerEngine(Process process, string folder, string socket)
    {
        this.process = process;
        this.folder = folder;
        this.socket = socket;
    }

    public static async Task<DockerEngine?> StartAsync(BenchOptions options)
    {
        if (!File.Exists("/usr/sbin/dockerd"))
        {
            Console.WriteLine("  dockerd is not installed (apt-get install docker.io): "
                + "figures beside docker are left out");
            return null;
        }

        string folder = Path.Combine(options.Work, "docker");
        Directory.CreateDirectory(folder);
        string socket = $"unix://{folder}/docker.sock";
        Process process = Command.Start("sh", ["-c", $"exec /usr/sbin/dockerd -H {socket} --data-root {folder}/data "
            + $"--exec-root {folder}/exec -p {folder}/pid --bridge none --iptables=false > {folder}/log 2>&1"]);
        DockerEngine engine = new(process, folder, socket);
        for (int i = 0; i < 300; i++)
        {
            if (process.HasExited)
            {
                throw new InvalidOperationException("dockerd ended: " + await File.ReadAllTextAsync($"{folder}/log"));
            }

            try
            {
                await Command.RunAsync("docker", "-H", socket, "version");
                return engine;
            }
            catch (InvalidOperationException)
            {
                await Task.Delay(100);
            }
        }

        throw new InvalidOperationException("dockerd did not answer within 30 s.");
    }

    /// <summary>Imports a root file system tree as <c>bench:1</c> with <c>cat</c> as its command.</summary>
    public Task<string> ImportAsync(string root) => Command.RunAsync(
        "sh", "-c", $"tar -C {root} -c . | docker -H {socket} import -c 'CMD [\"cat\"]' - bench:1");

    public async Task<TimeSpan> RunAsync(string inputFile)
    {
        string output = await Command.RunAsync("bash", "-c",
            $"s=$EPOCHREALTIME; docker -H {socket} run --rm -i --network none "
            + $"--memory 256m --cpus 1 --pids-limit 1024 bench:1 < {inputFile} > /dev/null || exit 9; "
            + "e=$EPOCHREALTIME; "
            + "echo $(( ${e/./} - ${s/./} ))");
        return TimeSpan.FromMicroseconds(long.Parse(output));
    }

    /// <summary>Makes the engine a swarm of one manager.</summary>
    public Task<string> InitSwarmAsync() => Command.RunAsync(
        "docker", "-H", socket, "swarm", "init", "--advertise-addr", "127.0.0.1", "--listen-addr",
        $"127.0.0.1:{BerthRig.FreePort()}");

    /// <summary>A job of so many tasks of <c>bench:1</c>, until all have ended.</summary>
    public async Task<TimeSpan> RunJobAsync(int count, int together)
    {
        long start = TimeProvider.System.GetTimestamp();
        string id = await Command.RunAsync(
            "docker", "-H", socket, "service", "create", "-q", "--detach=false", "--mode", "replicated-job",
            "--replicas", $"{count}", "--max-concurrent", $"{together}", "--restart-condition", "none", "bench:1",
            "true");
        TimeSpan took = TimeProvider.System.GetElapsedTime(start);
        await Command.RunAsync("docker", "-H", socket, "service", "rm", id.Trim());
        return took;
    }

    /// <summary>With the bridge that it made.</summary>
    public async Task LeaveSwarmAsync()
    {
        await Command.RunAsync("docker", "-H", socket, "swarm", "leave", "--force");
        await Command.RunAsync("docker", "-H", socket, "network", "rm", "docker_gwbridge");
    }

    public async ValueTask DisposeAsync()
    {
        using (Process.Start("kill", ["-TERM", $"{process.Id}"]))
        {
        }

        await process.WaitForExitAsync();
        process.Dispose();
        await Command.RunAsync("sh", "-c",
            $"for m in $(grep -o '{folder}[^ ]*' /proc/mounts); do umount -l $m; done; rm -rf {folder}");
    }
}
