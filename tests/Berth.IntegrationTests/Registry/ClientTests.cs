using Berth.Core.Images;
using Berth.Oci.Images;
using Berth.Oci.Layers;
using Berth.Oci.Repositories;
using Berth.Registry.Access;
using Berth.Registry.Unpacking;
using Berth.Testing.Content;
using Berth.Testing.Registry;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Berth.IntegrationTests.Registry;

/// <summary>skopeo and buildah log in, push and pull through the token flow.</summary>
public sealed class ClientTests : IAsyncLifetime
{
    private readonly TemporaryFolder folder = new();
    private TestRegistry registry = null!;

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private string Login => folder["auth.json"];

    public async ValueTask InitializeAsync()
    {
        registry = await TestRegistry.StartAsync();
        await Tool.RunAsync(
            "skopeo", "login", "--authfile", Login, "--tls-verify=false", "-u", "berth", "-p", FakeAuthorizer.Admin,
            registry.Host);
    }

    public async ValueTask DisposeAsync()
    {
        await registry.DisposeAsync();
        folder.Dispose();
    }

    [Fact]
    public async Task An_image_copied_in_comes_out_byte_by_byte()
    {
        await LayoutImage.WriteAsync(folder["in"], "v1", "amd64");

        await CopyAsync($"oci:{folder["in"]}:v1", Remote("demo/app:v1"));
        await CopyAsync(Remote("demo/app:v1"), $"oci:{folder["out"]}:v1");

        Assert.Equal(BlobNames("in"), BlobNames("out"));
        string raw = await SkopeoAsync("inspect", "--raw", Remote("demo/app:v1"));
        string manifest = Digest.Sha256(System.Text.Encoding.UTF8.GetBytes(raw)).Hex;
        Assert.Contains(manifest, BlobNames("in"));
    }

    [Fact]
    public async Task An_index_with_its_images_is_copied_whole()
    {
        await LayoutImage.WriteAsync(folder["in"], "multi", "amd64", "arm64", "riscv64");

        await CopyAsync($"oci:{folder["in"]}:multi", Remote("demo/multi:v1"), "--all");
        await CopyAsync(Remote("demo/multi:v1"), $"oci:{folder["out"]}:multi", "--all");
        await CopyAsync(Remote("demo/multi:v1"), $"oci:{folder["one"]}:one", "--override-arch=arm64");

        Assert.Equal(BlobNames("in"), BlobNames("out"));
        Assert.Equal(3, BlobNames("one").Length);
    }

    [Fact]
    public async Task An_image_in_docker_s_format_keeps_it()
    {
        await LayoutImage.WriteAsync(folder["in"], "v1", "amd64");

        await CopyAsync($"oci:{folder["in"]}:v1", Remote("demo/docker:v1"), "--format=v2s2");
        await CopyAsync(Remote("demo/docker:v1"), $"dir:{folder["out"]}");

        string raw = await SkopeoAsync("inspect", "--raw", Remote("demo/docker:v1"));
        Assert.Contains(MediaTypes.DockerManifest, raw, StringComparison.Ordinal);
        Assert.Equal(raw, await File.ReadAllTextAsync(Path.Combine(folder["out"], "manifest.json"), Stop));
    }

    [Fact]
    public async Task A_second_repository_mounts_what_the_first_has()
    {
        await LayoutImage.WriteAsync(folder["in"], "v1", "amd64");
        await CopyAsync($"oci:{folder["in"]}:v1", Remote("demo/first:v1"));
        long pushed = registry.Server.Counters.BlobsPushed;

        await CopyAsync(Remote("demo/first:v1"), Remote("demo/second:v1"));

        // The layer was mounted; skopeo sends a configuration anew, always.
        Assert.Equal(pushed + 1, registry.Server.Counters.BlobsPushed);
        Assert.NotNull(registry.Repositories.FindTag("demo/second", "v1"));
    }

    [Fact]
    public async Task Tags_are_listed_and_an_image_deleted()
    {
        await LayoutImage.WriteAsync(folder["in"], "v1", "amd64");
        await CopyAsync($"oci:{folder["in"]}:v1", Remote("demo/tags:a"));
        await CopyAsync($"oci:{folder["in"]}:v1", Remote("demo/tags:b"));

        string tags = await SkopeoAsync("list-tags", Remote("demo/tags"));
        await SkopeoAsync("delete", Remote("demo/tags:a"));

        Assert.Contains("\"a\"", tags, StringComparison.Ordinal);
        Assert.Contains("\"b\"", tags, StringComparison.Ordinal);
        Assert.False(registry.Repositories.Exists("demo/tags"));
    }

    [Fact]
    public async Task A_wrong_password_and_a_missing_right_are_refused()
    {
        registry.Authorizer.Add("reader", (_, action) => action == RegistryAction.Pull);
        await LayoutImage.WriteAsync(folder["in"], "v1", "amd64");
        await CopyAsync($"oci:{folder["in"]}:v1", Remote("demo/app:v1"));

        (int login, _, string loginErrors) = await Tool.TryAsync(
            "skopeo", "login", "--authfile", folder["other.json"], "--tls-verify=false", "-u", "x", "-p", "wrong",
            registry.Host);
        (int push, _, string pushErrors) = await Tool.TryAsync(
            "skopeo", "copy", "--dest-creds", "any:reader", "--dest-tls-verify=false", $"oci:{folder["in"]}:v1",
            Remote("demo/app:v2"));
        (int pull, _, string pullErrors) = await Tool.TryAsync(
            "skopeo", "copy", "--src-creds", "any:reader", "--src-tls-verify=false", Remote("demo/app:v1"),
            $"oci:{folder["out"]}:v1");

        Assert.True(login != 0, loginErrors);
        Assert.True(push != 0 && pushErrors.Contains("may not push", StringComparison.Ordinal), pushErrors);
        Assert.True(pull == 0, pullErrors);
    }

    [Fact]
    public async Task Buildah_builds_pushes_and_pulls()
    {
        await File.WriteAllTextAsync(folder["hello"], "hello", Stop);
        string container = (await BuildahAsync("from", "scratch")).Trim();
        await BuildahAsync("copy", container, folder["hello"], "/hello");
        await BuildahAsync("config", "--cmd", "/hello", container);
        await BuildahAsync("commit", container, "localhost/built:v1");

        await BuildahAsync(
            "push", "--authfile", Login, "--tls-verify=false", "localhost/built:v1", Remote("demo/built:v1"));
        await BuildahAsync("rm", container);
        await BuildahAsync("rmi", "localhost/built:v1");
        string pulled = await BuildahAsync(
            "pull", "-q", "--authfile", Login, "--tls-verify=false", Remote("demo/built:v1"));

        ImageCatalog catalog = new(registry.Repositories, registry.Content);
        CatalogDetail image = await catalog.DescribeAsync(ImageReference.Parse("demo/built:v1"), Stop);
        Assert.Equal(["/hello"], image.Config!.Config!.Cmd);
        Assert.Equal(image.Manifest!.Config.Digest.Hex, pulled.Trim());
        await BuildahAsync("rmi", pulled.Trim());
    }

    [Fact]
    public async Task Layers_are_unpacked_when_the_push_is_answered()
    {
        await LayoutImage.WriteAsync(folder["in"], "v1", PlatformChoice.Here.Architecture);
        ImageCatalog catalog = new(registry.Repositories, registry.Content);
        await using LayerStore layers = new(registry.Content, folder["layers"], LayerLimits.Default, registry.Time);
        registry.Observers.Add(new UnpackOnPush(catalog, layers, registry.Time, NullLoggerFactory.Instance));

        await CopyAsync($"oci:{folder["in"]}:v1", Remote("demo:v1"));

        CatalogDetail image = await catalog.DescribeAsync(ImageReference.Parse("demo:v1"), Stop);
        string layer = layers.PathOf(Assert.Single(image.Image.DiffIds))!;
        Assert.Equal(PlatformChoice.Here.Architecture, await File.ReadAllTextAsync(Path.Combine(layer, "name"), Stop));
    }

    private string Remote(string name) => $"docker://{registry.Host}/{name}";

    private string[] BlobNames(string layout) =>
        [.. Directory.GetFiles(Path.Combine(folder[layout], "blobs/sha256")).Select(f => Path.GetFileName(f)).Order()];

    private Task<string> CopyAsync(string source, string target, params string[] options) => Tool.RunAsync(
        "skopeo",
        [
            .. options.Where(o => o.StartsWith("--override", StringComparison.Ordinal)), "copy", "-q",
            .. options.Where(o => !o.StartsWith("--override", StringComparison.Ordinal)), "--authfile", Login,
            "--src-tls-verify=false", "--dest-tls-verify=false", source, target,
        ]);

    private Task<string> SkopeoAsync(string command, params string[] arguments) =>
        Tool.RunAsync("skopeo", [command, "--authfile", Login, "--tls-verify=false", .. arguments]);

    private Task<string> BuildahAsync(params string[] arguments) => Tool.RunAsync(
        "buildah",
        [
            "--root", folder["storage"], "--runroot", folder["run"], "--storage-driver", "vfs", .. arguments,
        ]);
}
