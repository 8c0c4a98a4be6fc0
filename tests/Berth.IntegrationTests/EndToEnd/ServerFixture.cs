using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>One server for a class of tests, with busybox pushed into it by skopeo.</summary>
public sealed class ServerFixture : IAsyncLifetime
{
    internal ServerProcess Server { get; } = new();

    internal string Layout => Path.Combine(Server.Folder, "layout");

    public async ValueTask InitializeAsync()
    {
        await Server.StartAsync();
        await BusyboxLayout.MakeAsync(Layout);
        (await SkopeoAsync("copy", $"oci:{Layout}:busybox", $"docker://{Server.Host}/demo/busybox:latest")).Succeed();
    }

    public ValueTask DisposeAsync() => Server.DisposeAsync();

    /// <summary>skopeo with this server's token; the flags for both ends are added where they belong.</summary>
    internal Task<ToolResult> SkopeoAsync(string verb, params string[] arguments) =>
        SkopeoAsync(Server, verb, arguments);

    internal static Task<ToolResult> SkopeoAsync(ServerProcess server, string verb, params string[] arguments)
    {
        List<string> flags = [verb];
        if (verb == "copy")
        {
            if (arguments[0].StartsWith("docker:", StringComparison.Ordinal))
            {
                flags.AddRange(["--src-tls-verify=false", "--src-creds", $"berth:{server.Token}"]);
            }

            if (arguments[^1].StartsWith("docker:", StringComparison.Ordinal))
            {
                flags.AddRange(["--dest-tls-verify=false", "--dest-creds", $"berth:{server.Token}"]);
            }
        }
        else
        {
            flags.AddRange(["--tls-verify=false", "--creds", $"berth:{server.Token}"]);
        }

        return Tool.RunAsync("skopeo", [.. flags, .. arguments]);
    }
}

/// <summary>Makes an OCI layout with busybox in it, by umoci.</summary>
internal static class BusyboxLayout
{
    public static async Task MakeAsync(string layout)
    {
        string image = layout + ":busybox";
        (await Tool.RunAsync("umoci", ["init", "--layout", layout])).Succeed();
        (await Tool.RunAsync("umoci", ["new", "--image", image])).Succeed();
        // Not "umoci insert": Debian's leaves out the padding at the archive's end, which Berth refuses, as tar does.
        string bundle = layout + "-bundle";
        (await Tool.RunAsync("umoci", ["unpack", "--image", image, bundle])).Succeed();
        Directory.CreateDirectory(Path.Combine(bundle, "rootfs/bin"));
        File.Copy("/bin/busybox", Path.Combine(bundle, "rootfs/bin/busybox"));
        (await Tool.RunAsync("umoci", ["repack", "--image", image, bundle])).Succeed();
        (await Tool.RunAsync(
            "umoci", [
                "config", "--image", image, "--config.entrypoint", "/bin/busybox", "--config.cmd", "cat"])).Succeed();
    }
}
