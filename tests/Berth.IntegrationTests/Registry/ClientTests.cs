using System.Text.Json;
using Berth.Core.Images;
using Berth.Oci.Images;
using Berth.Testing.Content;
using Xunit;

namespace Berth.IntegrationTests.Registry;

/// <summary>skopeo and buildah log in to a server, push and pull through the token flow.</summary>
[Collection(RegistryClients.Name)]
public sealed class ClientTests(RegistryFixture fixture) : IDisposable
{
    private readonly TemporaryFolder folder = new();

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    public void Dispose() => folder.Dispose();

    [Fact]
    public async Task An_image_copied_in_comes_out_byte_by_byte()
    {
        await LayoutImage.WriteAsync(folder["in"], "v1", "amd64");

        await fixture.CopyAsync($"oci:{folder["in"]}:v1", Remote("demo/app:v1"));
        await fixture.CopyAsync(Remote("demo/app:v1"), $"oci:{folder["out"]}:v1");

        Assert.Equal(BlobNames("in"), BlobNames("out"));
        string raw = await fixture.SkopeoAsync("inspect", "--raw", Remote("demo/app:v1"));
        string manifest = Digest.Sha256(System.Text.Encoding.UTF8.GetBytes(raw)).Hex;
        Assert.Contains(manifest, BlobNames("in"));
    }

    [Fact]
    public async Task An_index_with_its_images_is_copied_whole()
    {
        await LayoutImage.WriteAsync(folder["in"], "multi", "amd64", "arm64", "riscv64");

        await fixture.CopyAsync($"oci:{folder["in"]}:multi", Remote("demo/multi:v1"), "--all");
        await fixture.CopyAsync(Remote("demo/multi:v1"), $"oci:{folder["out"]}:multi", "--all");
        await fixture.CopyAsync(Remote("demo/multi:v1"), $"oci:{folder["one"]}:one", "--override-arch=arm64");

        Assert.Equal(BlobNames("in"), BlobNames("out"));
        Assert.Equal(3, BlobNames("one").Length);
    }

    [Fact]
    public async Task An_image_in_docker_s_format_keeps_it()
    {
        await LayoutImage.WriteAsync(folder["in"], "v1", "amd64");

        await fixture.CopyAsync($"oci:{folder["in"]}:v1", Remote("demo/v2s2:v1"), "--format=v2s2");
        await fixture.CopyAsync(Remote("demo/v2s2:v1"), $"dir:{folder["out"]}");

        string raw = await fixture.SkopeoAsync("inspect", "--raw", Remote("demo/v2s2:v1"));
        Assert.Contains(MediaTypes.DockerManifest, raw, StringComparison.Ordinal);
        Assert.Equal(raw, await File.ReadAllTextAsync(Path.Combine(folder["out"], "manifest.json"), Stop));
    }

    [Fact]
    public async Task A_second_repository_mounts_what_the_first_has()
    {
        await LayoutImage.WriteAsync(folder["in"], "v1", "amd64");
        await fixture.CopyAsync($"oci:{folder["in"]}:v1", Remote("demo/first:v1"));
        long pushed = await fixture.BlobsPushedAsync();

        await fixture.CopyAsync(Remote("demo/first:v1"), Remote("demo/second:v1"));

        // The layer was mounted; skopeo sends a configuration anew, always.
        Assert.Equal(pushed + 1, await fixture.BlobsPushedAsync());
        Assert.Equal(await fixture.DigestAsync("demo/first", "v1"), await fixture.DigestAsync("demo/second", "v1"));
    }

    [Fact]
    public async Task Tags_are_listed_and_an_image_deleted()
    {
        await LayoutImage.WriteAsync(folder["in"], "v1", "amd64");
        await fixture.CopyAsync($"oci:{folder["in"]}:v1", Remote("demo/tags:a"));
        await fixture.CopyAsync($"oci:{folder["in"]}:v1", Remote("demo/tags:b"));

        string tags = await fixture.SkopeoAsync("list-tags", Remote("demo/tags"));
        await fixture.SkopeoAsync("delete", Remote("demo/tags:a"));

        Assert.Contains("\"a\"", tags, StringComparison.Ordinal);
        Assert.Contains("\"b\"", tags, StringComparison.Ordinal);
        Assert.DoesNotContain(
            "demo/tags", (await fixture.Server.BerthAsync("image", "ls", "-q")).Succeed(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_wrong_password_and_a_missing_right_are_refused()
    {
        string reader = (await fixture.Server.BerthAsync("token", "create", "--name", "reader", "--role", "pull"))
            .Succeed();
        await LayoutImage.WriteAsync(folder["in"], "v1", "amd64");
        await fixture.CopyAsync($"oci:{folder["in"]}:v1", Remote("demo/rights:v1"));

        (int login, _, string loginErrors) = await Tool.TryAsync(
            "skopeo", "login", "--authfile", folder["other.json"], "--tls-verify=false", "-u", "x", "-p", "wrong",
            fixture.Server.Host);
        (int push, _, string pushErrors) = await Tool.TryAsync(
            "skopeo", "copy", "--dest-creds", $"any:{reader}", "--dest-tls-verify=false", $"oci:{folder["in"]}:v1",
            Remote("demo/rights:v2"));
        (int pull, _, string pullErrors) = await Tool.TryAsync(
            "skopeo", "copy", "--src-creds", $"any:{reader}", "--src-tls-verify=false", Remote("demo/rights:v1"),
            $"oci:{folder["out"]}:v1");

        Assert.True(login != 0, loginErrors);
        Assert.True(push != 0 && pushErrors.Contains("may not push", StringComparison.Ordinal), pushErrors);
        Assert.True(pull == 0, pullErrors);
    }

    [Fact]
    public async Task Buildah_builds_logs_in_pushes_and_pulls()
    {
        string container = (await BuildahAsync("from", "scratch")).Trim();
        await BuildahAsync("copy", container, "/bin/busybox", "/bin/busybox");
        await BuildahAsync("config", "--entrypoint", """["/bin/busybox"]""", container);
        await BuildahAsync("commit", container, "localhost/built:v1");
        await BuildahAsync(
            "login", "--authfile", folder["auth"], "--tls-verify=false", "-u", "any", "-p", fixture.Server.Token,
            fixture.Server.Host);

        await BuildahAsync(
            "push", "--authfile", folder["auth"], "--tls-verify=false", "--digestfile", folder["digest"],
            "localhost/built:v1", Remote("demo/buildah:v1"));
        await BuildahAsync("rm", container);
        await BuildahAsync("rmi", "localhost/built:v1");
        string pulled = (await BuildahAsync(
            "pull", "-q", "--authfile", folder["auth"], "--tls-verify=false", Remote("demo/buildah:v1"))).Trim();

        string digest = await File.ReadAllTextAsync(folder["digest"], Stop);
        Assert.Equal(digest, await fixture.DigestAsync("demo/buildah", "v1"));
        Assert.Equal(
            digest,
            (await BuildahAsync("inspect", "--type", "image", "--format", "{{.FromImageDigest}}", pulled)).Trim());
        await fixture.RunsAsync("demo/buildah:v1");
    }

    [Fact]
    public async Task Layers_are_unpacked_when_the_push_is_answered()
    {
        string here = PlatformChoice.Here.Architecture;
        await LayoutImage.WriteAsync(folder["in"], "v1", here);

        await fixture.CopyAsync($"oci:{folder["in"]}:v1", Remote("demo/unpacked:v1"));

        string config = await fixture.SkopeoAsync("inspect", "--config", "--raw", Remote("demo/unpacked:v1"));
        using JsonDocument read = JsonDocument.Parse(config);
        string layer = read.RootElement.GetProperty("rootfs").GetProperty("diff_ids")[0].GetString()!;
        Assert.Equal(here, await File.ReadAllTextAsync(
            Path.Combine(fixture.Server.Data, "layers", Digest.Parse(layer).Hex, "name"), Stop));
    }

    private string Remote(string name) => fixture.Remote(name);

    private string[] BlobNames(string layout) =>
        [.. Directory.GetFiles(Path.Combine(folder[layout], "blobs/sha256")).Select(f => Path.GetFileName(f)).Order()];

    private Task<string> BuildahAsync(params string[] arguments) => Tool.RunAsync(
        "buildah",
        [
            "--root", folder["storage"], "--runroot", folder["run"], "--storage-driver", "vfs", .. arguments,
        ]);
}
