using System.Diagnostics;
using Berth.Core.Images;
using Berth.Oci.Repositories;
using Berth.Testing.Content;
using Berth.Testing.Registry;
using Xunit;

namespace Berth.IntegrationTests.Registry;

/// <summary>
/// podman, umoci and docker take an image there and back. docker's own engine runs for the test, with a folder of its
/// own and without networks.
/// </summary>
[Collection("container engines")]
public sealed class EngineTests : IAsyncLifetime
{
    private readonly TemporaryFolder folder = new();
    private TestRegistry registry = null!;

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private string Layout => folder["in"];

    public async ValueTask InitializeAsync()
    {
        registry = await TestRegistry.StartAsync();
        await LayoutImage.WriteAsync(Layout, "v1", "amd64");
    }

    public async ValueTask DisposeAsync()
    {
        await registry.DisposeAsync();
        folder.Dispose();
    }

    [Fact]
    public async Task Podman_logs_in_pushes_and_pulls()
    {
        string name = $"{registry.Host}/demo/podman:v1";
        string archive = folder["image.tar"];
        await Tool.RunAsync("skopeo", "copy", "-q", $"oci:{Layout}:v1", $"docker-archive:{archive}:{name}");
        await PodmanAsync("load", "-q", "-i", archive);
        string id = (await PodmanAsync("images", "-q", "--no-trunc", name)).Trim();
        await PodmanAsync(
            "login", "--authfile", folder["auth"], "--tls-verify=false", "-u", "any", "-p", FakeAuthorizer.Admin,
            registry.Host);

        await PodmanAsync("push", "-q", "--authfile", folder["auth"], "--tls-verify=false", name);
        await PodmanAsync("rmi", "--all", "--force");
        string pulled = (await PodmanAsync(
            "pull", "-q", "--authfile", folder["auth"], "--tls-verify=false", name)).Trim();

        Assert.EndsWith(pulled, id, StringComparison.Ordinal);
        await ExpectAsync("demo/podman:v1", id);
    }

    [Fact]
    public async Task An_image_repacked_by_umoci_goes_there_and_back()
    {
        string bundle = folder["bundle"];
        await Tool.RunAsync("umoci", "unpack", "--image", $"{Layout}:v1", bundle);
        await File.WriteAllTextAsync(Path.Combine(bundle, "rootfs", "added"), "by umoci", Stop);
        await Tool.RunAsync("umoci", "repack", "--image", $"{Layout}:v2", bundle);

        string remote = $"docker://{registry.Host}/demo/umoci:v2";
        string login = $"any:{FakeAuthorizer.Admin}";
        await Tool.RunAsync(
            "skopeo", "copy", "-q", "--dest-creds", login, "--dest-tls-verify=false", $"oci:{Layout}:v2", remote);
        await Tool.RunAsync(
            "skopeo", "copy", "-q", "--src-creds", login, "--src-tls-verify=false", remote, $"oci:{folder["out"]}:v2");
        await Tool.RunAsync("umoci", "unpack", "--image", $"{folder["out"]}:v2", folder["again"]);

        Assert.Equal(
            "by umoci", await File.ReadAllTextAsync(Path.Combine(folder["again"], "rootfs", "added"), Stop));
    }

    [Fact]
    public async Task Docker_logs_in_pushes_and_pulls()
    {
        Assert.SkipUnless(File.Exists("/usr/sbin/dockerd"), "dockerd is not installed (apt-get install docker.io).");
        await using Dockerd engine = await Dockerd.StartAsync(folder["docker"]);
        string archive = folder["image.tar"];
        string name = $"{registry.Host}/demo/docker:v1";
        await Tool.RunAsync("skopeo", "copy", "-q", $"oci:{Layout}:v1", $"docker-archive:{archive}:{name}");
        await engine.DockerAsync("load", "-i", archive);
        string id = (await engine.DockerAsync("images", "-q", "--no-trunc", name)).Trim();
        await engine.DockerAsync("login", "-u", "any", "-p", FakeAuthorizer.Admin, registry.Host);

        await engine.DockerAsync("push", name);
        await engine.DockerAsync("rmi", name);
        await engine.DockerAsync("pull", name);

        Assert.Equal(id, (await engine.DockerAsync("images", "-q", "--no-trunc", name)).Trim());
        await ExpectAsync("demo/docker:v1", id);
    }

    /// <summary>Clients call an image by the digest of its configuration.</summary>
    private async Task ExpectAsync(string reference, string id)
    {
        ImageCatalog catalog = new(registry.Repositories, registry.Content);
        CatalogDetail image = await catalog.DescribeAsync(ImageReference.Parse(reference), Stop);
        Assert.EndsWith(image.Manifest!.Config.Digest.Hex, id, StringComparison.Ordinal);
    }

    private Task<string> PodmanAsync(params string[] arguments) => Tool.RunAsync(
        "podman",
        [
            "--root", folder["storage"], "--runroot", folder["run"], "--storage-driver", "vfs",
            "--cgroup-manager", "cgroupfs", .. arguments,
        ]);

    private sealed class Dockerd(Process process, string folder) : IAsyncDisposable
    {
        private string Socket => $"unix://{folder}/docker.sock";

        public static async Task<Dockerd> StartAsync(string folder)
        {
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
                    "dockerd ended: " + await File.ReadAllTextAsync(Path.Combine(folder, "log"), Stop));
            }

            return engine;
        }

        public Task<string> DockerAsync(params string[] arguments) =>
            Tool.RunAsync("docker", ["--config", Path.Combine(folder, "config"), "-H", Socket, .. arguments]);

        public async ValueTask DisposeAsync()
        {
            using (Process stop = Process.Start("kill", ["-TERM", $"{process.Id}"]))
            {
                await stop.WaitForExitAsync(CancellationToken.None);
            }

            await process.WaitForExitAsync(CancellationToken.None);
            process.Dispose();
        }
    }
}
