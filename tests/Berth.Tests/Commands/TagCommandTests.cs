using Berth.Testing.Server;
using Berth.Tests.Server;
using Xunit;

namespace Berth.Tests.Commands;

/// <summary><c>berth image tag</c> against a server's registry.</summary>
public sealed class TagCommandTests(ServerRigFixture fixture) : IClassFixture<ServerRigFixture>
{
    private ServerRig Rig => fixture.Rig;

    [Theory]
    [InlineData("demo/echo:1", "demo/echo:again", "demo/echo:again")]
    [InlineData("demo/echo:1", "other/echo", "other/echo:latest")]
    public async Task An_image_gets_another_name_and_no_content_moves(string source, string target, string told)
    {
        using CommandHarness harness = NewHarness();
        long received = Rig.Server.Rooms.Registry.Counters.BlobsPushed;

        int exitCode = await harness.RunAsync("image", "tag", source, target);

        Assert.Equal("", harness.Error);
        Assert.Equal((0, $"{told} {Rig.Digest}\n"), (exitCode, harness.Output));
        using HttpResponseMessage image = await Rig.GetAsync($"/v1/images/{told}");
        Assert.Contains(Rig.Digest.Text, await image.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        Assert.Equal(received, Rig.Server.Rooms.Registry.Counters.BlobsPushed);
        Assert.Empty(Directory.GetFiles(Path.Combine(Rig.Folder, "uploads")));
    }

    [Fact]
    public async Task A_digest_names_the_source_as_well()
    {
        using CommandHarness harness = NewHarness();

        int exitCode = await harness.RunAsync("image", "tag", "-q", $"demo/echo@{Rig.Digest}", "demo/echo:pinned");

        Assert.Equal((0, $"{Rig.Digest}\n"), (exitCode, harness.Output));
    }

    [Theory]
    [InlineData("demo/none:1", "demo/x", 66, "There is no image demo/none '1'")]
    [InlineData("demo/echo:1", "registry.example.org/demo/x", 64, "names another registry")]
    [InlineData("demo/echo:1", "demo/x@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", 64,
        "write demo/x:TAG")]
    public async Task What_cannot_be_named_is_refused(string source, string target, int expected, string sentence)
    {
        using CommandHarness harness = NewHarness();

        int exitCode = await harness.RunAsync("image", "tag", source, target);

        Assert.Equal((expected, ""), (exitCode, harness.Output));
        Assert.Contains(sentence, harness.Error, StringComparison.Ordinal);
    }

    private CommandHarness NewHarness() => new()
    {
        Handler = null,
        Variables = { ["BERTH_HOST"] = Rig.Address.ToString(), ["BERTH_TOKEN"] = Rig.AdminToken },
    };
}
