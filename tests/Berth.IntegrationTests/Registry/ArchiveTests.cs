using System.Text.Json;
using Berth.IntegrationTests.EndToEnd;
using Berth.Testing.Content;
using Xunit;

namespace Berth.IntegrationTests.Registry;

/// <summary>Images as files: docker, podman and skopeo take what Berth exports, and it imports what they save.
/// </summary>
[Collection(RegistryClients.Name)]
public sealed class ArchiveTests(RegistryFixture fixture) : IAsyncLifetime
{
    private const string Exported = "demo/exported";

    private readonly TemporaryFolder folder = new();

    private ServerProcess Server => fixture.Server;

    public async ValueTask InitializeAsync() =>
        await fixture.CopyAsync($"oci:{fixture.Layout}:busybox", fixture.Remote(Exported));

    public ValueTask DisposeAsync()
    {
        folder.Dispose();
        return ValueTask.CompletedTask;
    }

    [Fact]
    public async Task What_is_exported_docker_loads_and_what_docker_saves_is_imported()
    {
        Dockerd docker = await fixture.DockerAsync();
        string engine = $"docker -H {docker.Socket}";

        (await Server.ShellAsync($"$BERTH image export {Exported} | {engine} load")).Succeed();
        string imported = (await Server.ShellAsync(
            $"{engine} tag {Exported} demo/saved:v1 && {engine} save demo/saved:v1 | $BERTH image import -")).Succeed();

        Assert.Equal(await ConfigurationOfAsync(Exported), await docker.IdOfAsync(Exported));
        Assert.Equal(await ConfigurationOfAsync(Exported), await ConfigurationOfAsync("demo/saved:v1"));
        Assert.Equal($"demo/saved:v1 {await fixture.DigestAsync("demo/saved", "v1")}", imported);
        await fixture.RunsAsync("demo/saved:v1");
    }

    [Theory]
    [InlineData("docker-archive")]
    [InlineData("oci-archive")]
    public async Task What_is_exported_podman_loads_and_what_podman_saves_is_imported(string format)
    {
        string image = $"demo/{format}";
        await BerthAsync("image", "export", Exported, folder["out.tar"]);
        string loaded = await fixture.PodmanAsync("load", "-q", "-i", folder["out.tar"]);
        string name = loaded[(loaded.IndexOf(": ", StringComparison.Ordinal) + 2)..].Trim();
        string id = (await fixture.PodmanAsync("images", "-q", "--no-trunc", name)).Trim();

        await fixture.PodmanAsync("save", "-q", "--format", format, "-o", folder["in.tar"], name);
        string imported = await BerthAsync("image", "import", folder["in.tar"], image);

        Assert.Equal(await ConfigurationOfAsync(Exported), id);
        Assert.Equal(id, await ConfigurationOfAsync(image));
        Assert.Equal($"{image}:latest {await fixture.DigestAsync(image, "latest")}", imported);
        await fixture.RunsAsync(image);
    }

    [Theory]
    [InlineData("oci-archive", true)]
    [InlineData("docker-archive", false)]
    public async Task What_is_exported_skopeo_reads_in_both_its_forms(string transport, bool keepsDigest)
    {
        await BerthAsync("image", "export", Exported, folder["out.tar"]);

        await fixture.CopyAsync($"{transport}:{folder["out.tar"]}", fixture.Remote($"demo/by-{transport}:v1"));

        // docker's form has no manifest to keep.
        Assert.Equal(
            keepsDigest,
            await fixture.DigestAsync(Exported, "latest") == await fixture.DigestAsync($"demo/by-{transport}", "v1"));
        Assert.Equal(await ConfigurationOfAsync(Exported), await ConfigurationOfAsync($"demo/by-{transport}:v1"));
        await fixture.RunsAsync($"demo/by-{transport}:v1");
    }

    private async Task<string> BerthAsync(params string[] arguments) => (await Server.BerthAsync(arguments)).Succeed();

    /// <summary>What docker and podman call an image, however its layers are packed.</summary>
    private async Task<string> ConfigurationOfAsync(string image)
    {
        string raw = await fixture.SkopeoAsync("inspect", "--raw", fixture.Remote(image));
        using JsonDocument manifest = JsonDocument.Parse(raw);
        return manifest.RootElement.GetProperty("config").GetProperty("digest").GetString()!;
    }
}
