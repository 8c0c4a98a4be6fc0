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

    [Fact]
    public async Task Another_file_is_built_up_to_a_stage_with_plain_words_for_its_progress()
    {
        string context = Directory.CreateDirectory(Path.Combine(Server.Folder, "stages")).FullName;
        File.Copy("/bin/busybox", Path.Combine(context, "busybox"), overwrite: true);
        await File.WriteAllTextAsync(
            Path.Combine(context, "Dockerfile.slim"),
            """
            FROM scratch AS early
            COPY busybox /bin/busybox
            CMD ["/bin/busybox", "echo", "early"]
            FROM early AS late
            RUN ["/bin/busybox", "false"]
            """,
            TestContext.Current.CancellationToken);

        ToolResult built = await BuildAsync(
            "image", "build", "-f", Path.Combine(context, "Dockerfile.slim"), "--target", "early", "demo/early",
            context);

        Assert.Matches("^demo/early:latest sha256:[0-9a-f]{64}$", built.Succeed());
        Assert.Contains("COPY busybox /bin/busybox\n", built.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("late", built.Error, StringComparison.Ordinal);
        // No terminal: nothing is drawn over, and no colours.
        Assert.DoesNotContain(built.Error, c => c is '\r' or '\e');
        Assert.Equal("early", (await Server.BerthAsync("run", "demo/early")).Succeed());
    }

    [Theory]
    [InlineData("--quiet")]
    [InlineData("--no-cache")]
    public async Task A_step_that_fails_is_told_in_its_own_words_and_makes_no_image(string flag)
    {
        string context = Directory.CreateDirectory(Path.Combine(Server.Folder, "failing")).FullName;
        File.Copy("/bin/busybox", Path.Combine(context, "busybox"), overwrite: true);
        await File.WriteAllTextAsync(
            Path.Combine(context, "Dockerfile"),
            "FROM scratch\nCOPY busybox /bin/busybox\n"
            + "RUN [\"/bin/busybox\", \"sh\", \"-c\", \"echo oh dear >&2; exit 3\"]\n",
            TestContext.Current.CancellationToken);

        ToolResult failed = await BuildAsync("image", "build", flag, "demo/failing", context);

        Assert.Equal((64, ""), (failed.ExitCode, failed.Text));
        Assert.Contains("\noh dear\n", failed.Error, StringComparison.Ordinal);
        Assert.Contains("exit status 3", failed.Error, StringComparison.Ordinal);
        Assert.Contains("berth: buildah build ended with exit code 3", failed.Error, StringComparison.Ordinal);
        Assert.DoesNotContain(
            "demo/failing", (await Server.BerthAsync("image", "ls", "-q")).Succeed(), StringComparison.Ordinal);
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
