using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>Images are built from Dockerfiles, compared and pruned with the published executable.</summary>
[Collection("server")]
public sealed class BuildTests(ServerFixture fixture) : IClassFixture<ServerFixture>
{
    private ServerProcess Server => fixture.Server;

    [Fact]
    public async Task A_Dockerfile_is_built_called_compared_and_pruned()
    {
        string context = Directory.CreateDirectory(Path.Combine(Server.Folder, "context")).FullName;
        File.Copy("/bin/busybox", Path.Combine(context, "busybox"), overwrite: true);
        await WriteAsync(context, "one");

        (await BuildAsync("image", "build", "-q", "demo/built:1", context)).Succeed();
        await WriteAsync(context, "two");
        ToolResult built = await BuildAsync("image", "build", "--build-arg", "WORD=x", "demo/built:2", context);
        string said = (await Server.BerthAsync("run", "demo/built:2")).Succeed();
        string history = (await Server.BerthAsync("image", "history", "--no-trunc", "demo/built:2")).Succeed();
        string diff = (await Server.BerthAsync("image", "diff", "demo/built:2", "demo/built:1")).Succeed();

        Assert.StartsWith("demo/built:2 sha256:", built.Succeed(), StringComparison.Ordinal);
        Assert.Equal("two x", said);
        Assert.Contains("busybox", history, StringComparison.Ordinal);
        Assert.Contains("C /made", diff.Split('\n'));
        Assert.DoesNotContain(diff.Split('\n'), line => line.EndsWith("/bin/busybox", StringComparison.Ordinal));

        (await Server.BerthAsync("image", "tag", "demo/built:2", "demo/built:1")).Succeed();
        string pruned = (await Server.BerthAsync("image", "prune")).Succeed();
        Assert.Contains("demo/built@sha256:", pruned, StringComparison.Ordinal);
        Assert.Equal("two x", (await Server.BerthAsync("run", "demo/built:1")).Succeed());
    }

    [Fact]
    public async Task An_image_of_this_server_is_built_on_with_the_commands_own_token()
    {
        string context = Directory.CreateDirectory(Path.Combine(Server.Folder, "upon")).FullName;
        File.Copy("/bin/busybox", Path.Combine(context, "busybox"), overwrite: true);
        await WriteAsync(context, "base");
        (await BuildAsync("image", "build", "-q", "demo/base", context)).Succeed();
        await File.WriteAllTextAsync(
            Path.Combine(context, "Dockerfile"),
            $"FROM {Server.Host}/demo/base\nRUN [\"/bin/busybox\", \"sh\", \"-c\", \"echo upon >> /made\"]\n",
            TestContext.Current.CancellationToken);

        (await BuildAsync("image", "build", "--no-cache", "demo/upon", context)).Succeed();

        Assert.Equal("base\nupon", (await Server.BerthAsync("run", "demo/upon")).Succeed());
    }

    [Fact]
    public async Task Without_buildah_it_says_how_to_install_it()
    {
        ToolResult result = await Tool.RunAsync(
            ServerProcess.Executable, ["image", "build", "demo/x", Server.Folder], [],
            new Dictionary<string, string>(Server.Variables) { ["PATH"] = "/nowhere" });

        Assert.Equal(69, result.ExitCode);
        Assert.Contains("apt install buildah", result.Error, StringComparison.Ordinal);
    }

    private static Task WriteAsync(string context, string word) => File.WriteAllTextAsync(
        Path.Combine(context, "Dockerfile"),
        $"""
        FROM scratch
        COPY busybox /bin/busybox
        ARG WORD=
        RUN ["/bin/busybox", "sh", "-c", "echo {word} $WORD > /made"]
        CMD ["/bin/busybox", "cat", "/made"]
        """,
        TestContext.Current.CancellationToken);

    /// <summary>With container storage that other users of this machine don't see.</summary>
    private async Task<ToolResult> BuildAsync(params string[] arguments)
    {
        string storage = Path.Combine(Server.Folder, "storage.conf");
        await File.WriteAllTextAsync(
            storage,
            $"[storage]\ndriver = \"vfs\"\ngraphroot = \"{Server.Folder}/images\"\n"
            + $"runroot = \"{Server.Folder}/images-run\"\n",
            TestContext.Current.CancellationToken);
        return await Tool.RunAsync(
            ServerProcess.Executable, arguments, [],
            new Dictionary<string, string>(Server.Variables) { ["CONTAINERS_STORAGE_CONF"] = storage });
    }
}
