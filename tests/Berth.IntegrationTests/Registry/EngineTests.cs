using Berth.Testing.Content;
using Xunit;

namespace Berth.IntegrationTests.Registry;

/// <summary>podman, umoci and docker take an image to the server and back, and it runs there.</summary>
[Collection(RegistryClients.Name)]
public sealed class EngineTests(RegistryFixture fixture) : IDisposable
{
    private readonly TemporaryFolder folder = new();

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private string Host => fixture.Server.Host;

    public void Dispose() => folder.Dispose();

    [Fact]
    public async Task Podman_logs_in_pushes_and_pulls()
    {
        string name = $"{Host}/demo/podman:v1";
        await fixture.PodmanAsync("load", "-q", "-i", await fixture.ArchiveAsync("demo/podman:v1"));
        string id = (await fixture.PodmanAsync("images", "-q", "--no-trunc", name)).Trim();
        await fixture.PodmanAsync(
            "login", "--authfile", folder["auth"], "--tls-verify=false", "-u", "any", "-p", fixture.Server.Token, Host);

        await fixture.PodmanAsync(
            "push", "-q", "--authfile", folder["auth"], "--tls-verify=false", "--digestfile", folder["digest"], name);
        await fixture.PodmanAsync("rmi", "--all", "--force");
        string pulled = (await fixture.PodmanAsync(
            "pull", "-q", "--authfile", folder["auth"], "--tls-verify=false", name)).Trim();

        string digest = await File.ReadAllTextAsync(folder["digest"], Stop);
        Assert.EndsWith(pulled, id, StringComparison.Ordinal);
        Assert.Equal(digest, await fixture.DigestAsync("demo/podman", "v1"));
        Assert.Equal(
            digest, (await fixture.PodmanAsync("image", "inspect", "--format", "{{.Digest}}", name)).Trim());
        await fixture.RunsAsync("demo/podman:v1");
    }

    [Fact]
    public async Task An_image_repacked_by_umoci_goes_there_and_back()
    {
        string bundle = folder["bundle"];
        await Tool.RunAsync("umoci", "unpack", "--image", $"{fixture.Layout}:busybox", bundle);
        await File.WriteAllTextAsync(Path.Combine(bundle, "rootfs", "added"), "by umoci", Stop);
        await Tool.RunAsync("umoci", "repack", "--image", $"{fixture.Layout}:umoci", bundle);
        await Tool.RunAsync("umoci", "config", "--image", $"{fixture.Layout}:umoci", "--config.label", "a=b");

        await fixture.CopyAsync($"oci:{fixture.Layout}:umoci", fixture.Remote("demo/umoci:v2"));
        await fixture.CopyAsync(fixture.Remote("demo/umoci:v2"), $"oci:{folder["out"]}:v2");
        await Tool.RunAsync("umoci", "unpack", "--image", $"{folder["out"]}:v2", folder["again"]);

        Assert.Equal(
            "by umoci", await File.ReadAllTextAsync(Path.Combine(folder["again"], "rootfs", "added"), Stop));
        Assert.Equal(
            await fixture.DigestAsync("demo/umoci", "v2"), EndToEnd.CommandLineTests.DigestOf(folder["out"]));
        await fixture.RunsAsync("demo/umoci:v2");
    }

    [Fact]
    public async Task Docker_logs_in_pushes_and_pulls()
    {
        Dockerd docker = await fixture.DockerAsync();
        string name = $"{Host}/demo/docker:v1";
        await docker.DockerAsync("load", "-i", await fixture.ArchiveAsync("demo/docker:v1"));
        string id = await docker.IdOfAsync(name);

        string pushed = Dockerd.DigestIn(await docker.DockerAsync("push", name));
        await docker.DockerAsync("rmi", name);
        string pulled = Dockerd.DigestIn(await docker.DockerAsync("pull", name));

        Assert.Equal(id, await docker.IdOfAsync(name));
        Assert.Equal(await fixture.DigestAsync("demo/docker", "v1"), pushed);
        Assert.Equal(pushed, pulled);
        await fixture.RunsAsync("demo/docker:v1");
    }
}
