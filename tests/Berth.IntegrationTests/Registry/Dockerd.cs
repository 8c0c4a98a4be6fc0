using System.Diagnostics;
using System.Text.RegularExpressions;
using Xunit;

namespace Berth.IntegrationTests.Registry;

/// <summary>docker's own engine, with a folder of its own and without networks.</summary>
internal sealed partial class Dockerd(Process process, string folder) : IAsyncDisposable
{
    /// <summary>What <c>docker -H</c> is given.</summary>
    public string Socket => $"unix://{folder}/docker.sock";

    public static async Task<Dockerd> StartAsync(string folder)
    {
        Assert.SkipUnless(File.Exists("/usr/sbin/dockerd"), "dockerd is not installed (apt-get install docker.io).");
        Directory.CreateDirectory(folder);
        Process process = Process.Start(new ProcessStartInfo(
            "sh",
            [
                "-c",
                $"exec /usr/sbin/dockerd -H unix://{folder}/docker.sock --data-root {folder}/data "
                + $"--exec-root {folder}/exec -p {folder}/pid --bridge none --iptables=false > {folder}/log 2>&1",
            ]))!;
        Dockerd engine = new(process, folder);

        // It has no other way to say that it is ready than to answer.
        while ((await Tool.TryAsync("docker", "-H", engine.Socket, "version")).Code != 0)
        {
            Assert.False(
                process.HasExited,
                "dockerd ended: " + await File.ReadAllTextAsync(
                    Path.Combine(folder, "log"), TestContext.Current.CancellationToken));
        }

        return engine;
    }

    public Task<string> DockerAsync(params string[] arguments) =>
        Tool.RunAsync("docker", ["--config", Path.Combine(folder, "config"), "-H", Socket, .. arguments]);

    /// <summary>What docker calls an image: the digest of its configuration.</summary>
    public async Task<string> IdOfAsync(string name) =>
        (await DockerAsync("images", "-q", "--no-trunc", name)).Trim();

    /// <summary>The digest that <c>docker push</c> or <c>docker pull</c> prints.</summary>
    public static string DigestIn(string printed) => DigestLine().Match(printed).Groups["digest"].Value;

    public async ValueTask DisposeAsync()
    {
        using (Process stop = Process.Start("kill", ["-TERM", $"{process.Id}"]))
        {
            await stop.WaitForExitAsync(CancellationToken.None);
        }

        await process.WaitForExitAsync(CancellationToken.None);
        process.Dispose();
    }

    [GeneratedRegex("[Dd]igest: (?<digest>sha256:[0-9a-f]{64})")]
    private static partial Regex DigestLine();
}
