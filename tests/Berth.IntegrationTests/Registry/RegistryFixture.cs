using System.Globalization;
using Berth.IntegrationTests.EndToEnd;
using Xunit;

namespace Berth.IntegrationTests.Registry;

/// <summary>Tests with clients that nobody here wrote, one after the other against one server.</summary>
[CollectionDefinition(Name)]
public sealed class RegistryClients : ICollectionFixture<RegistryFixture>
{
    public const string Name = "registry clients";
}

/// <summary>
/// A server that those clients log in to, an image that runs on it, and the engines of docker and podman with storage
/// of their own.
/// </summary>
public sealed class RegistryFixture : IAsyncLifetime
{
    private const string BlobsPushed = "berth_registry_blobs_pushed_total ";

    private Dockerd? docker;

    internal ServerProcess Server { get; } = new();

    /// <summary>An OCI layout of busybox, whose tag is <c>busybox</c>.</summary>
    internal string Layout => Path.Combine(Server.Folder, "layout");

    /// <summary>The logins that skopeo and buildah use.</summary>
    internal string Login => Path.Combine(Server.Folder, "auth.json");

    public async ValueTask InitializeAsync()
    {
        await Server.StartAsync("--registry-allow", "127.0.0.1");
        await BusyboxLayout.MakeAsync(Layout);
        await Tool.RunAsync(
            "skopeo", "login", "--authfile", Login, "--tls-verify=false", "-u", "berth", "-p", Server.Token,
            Server.Host);
    }

    public async ValueTask DisposeAsync()
    {
        if (docker is not null)
        {
            await docker.DisposeAsync();
        }

        await Server.DisposeAsync();
    }

    /// <summary>docker's engine, logged in; started for whoever asks first.</summary>
    internal async Task<Dockerd> DockerAsync()
    {
        if (docker is null)
        {
            docker = await Dockerd.StartAsync(Path.Combine(Server.Folder, "docker"));
            await docker.DockerAsync("login", "-u", "any", "-p", Server.Token, Server.Host);
        }

        return docker;
    }

    internal Task<string> PodmanAsync(params string[] arguments) => Tool.RunAsync(
        "podman",
        [
            "--root", Path.Combine(Server.Folder, "podman"), "--runroot", Path.Combine(Server.Folder, "podman-run"),
            "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", .. arguments,
        ]);

    internal Task<string> SkopeoAsync(string command, params string[] arguments) =>
        Tool.RunAsync("skopeo", [command, "--authfile", Login, "--tls-verify=false", .. arguments]);

    internal Task<string> CopyAsync(string source, string target, params string[] options) => Tool.RunAsync(
        "skopeo",
        [
            .. options.Where(o => o.StartsWith("--override", StringComparison.Ordinal)), "copy", "-q",
            .. options.Where(o => !o.StartsWith("--override", StringComparison.Ordinal)), "--authfile", Login,
            "--src-tls-verify=false", "--dest-tls-verify=false", source, target,
        ]);

    /// <summary>The address of an image in the registry, as skopeo and buildah write it.</summary>
    internal string Remote(string name) => $"docker://{Server.Host}/{name}";

    /// <summary>busybox as an archive that docker and podman load under a name in this registry.</summary>
    internal async Task<string> ArchiveAsync(string name)
    {
        string archive = Path.Combine(Server.Folder, Path.GetRandomFileName() + ".tar");
        await Tool.RunAsync(
            "skopeo", "copy", "-q", $"oci:{Layout}:busybox", $"docker-archive:{archive}:{Server.Host}/{name}");
        return archive;
    }

    /// <summary>What the registry says that a tag names now.</summary>
    internal async Task<string> DigestAsync(string repository, string tag)
    {
        using HttpRequestMessage request = new(HttpMethod.Head, $"/v2/{repository}/manifests/{tag}");
        using HttpResponseMessage answer = await Server.Http.SendAsync(
            request, TestContext.Current.CancellationToken);
        return answer.EnsureSuccessStatusCode().Headers.GetValues("Docker-Content-Digest").Single();
    }

    internal async Task<long> BlobsPushedAsync()
    {
        string metrics = await Server.Http.GetStringAsync(
            new Uri("/metrics", UriKind.Relative), TestContext.Current.CancellationToken);
        string line = metrics.Split('\n').Single(l => l.StartsWith(BlobsPushed, StringComparison.Ordinal));
        return long.Parse(line[BlobsPushed.Length..], CultureInfo.InvariantCulture);
    }

    /// <summary>Runs an image of the registry: what comes out shows that all its layers are right.</summary>
    internal async Task RunsAsync(string image) => Assert.Equal(
        "it runs", (await Server.BerthAsync("run", image, "echo", "it runs")).Succeed());
}
