using System.Net.Sockets;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Oci.Distribution;
using Berth.Oci.Images;
using Berth.Oci.Layers;
using Berth.Oci.Packing;
using Berth.Testing.Distribution;
using Berth.Testing.Layers;
using Xunit;

namespace Berth.Tests.Packing;

public sealed class ImagePackerTests : IAsyncDisposable
{
    private readonly StoreRig rig = new();

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    public ValueTask DisposeAsync() => rig.DisposeAsync();

    [Fact]
    public async Task The_same_folder_gives_the_same_image_whatever_order_and_time_it_was_made_in()
    {
        string one = rig.MakeFolder("one", ("b/x", "1"), ("a", "2"), ("c", "3"));
        string two = rig.MakeFolder("two", ("c", "3"), ("a", "2"), ("b/x", "1"));
        File.SetLastWriteTimeUtc(two + "/a", DateTime.UnixEpoch);

        Digest first = await rig.PackAsync("demo", "one", StoreRig.Options(one), Stop);
        Digest second = await rig.PackAsync("demo", "two", StoreRig.Options(two), Stop);

        Assert.Equal(first, second);
    }

    [Fact]
    public async Task Several_folders_are_an_image_with_a_layer_each()
    {
        PackOptions lower = rig.MakeOptions("lower", ("a", "lower"), ("b", "lower"));
        PackOptions upper = rig.MakeOptions("upper", ("b", "upper"));
        using PackedLayer first = await PackedLayer.CreateAsync(lower, rig.Folder, null, Stop);
        using PackedLayer second = await PackedLayer.CreateAsync(upper, rig.Folder, null, Stop);

        Digest digest = await new ImagePacker(rig.Repository("demo"), new CopyOptions())
            .PackAsync([first, second], null, upper, "1", Stop);
        using ImageHandle image = await rig.Images.OpenAsync(digest, Stop);

        Assert.Equal(
            [["f 0644 0:0 a = lower", "f 0644 0:0 b = lower"], ["f 0644 0:0 b = upper"]],
            image.LayerPaths.Select(p => TreeListing.Of(p).ToArray()));
    }

    [Fact]
    public async Task A_packed_folder_comes_out_as_it_was_but_owned_by_root()
    {
        string folder = rig.MakeFolder(
            "app", ("bin/run", "program"), ("data/" + new string('l', 150) + "/grüße", "hello"));
        File.SetUnixFileMode(folder + "/bin/run", (UnixFileMode)0b111_101_101);
        File.CreateSymbolicLink(folder + "/start", "bin/run");
        LinkFile(folder + "/bin/run", folder + "/bin/same");

        Digest digest = await rig.PackAsync(
            "demo", "latest",
            StoreRig.Options(folder, new ContainerDefaults(User: "1000", Entrypoint: ["/start"], Env: ["A=b"])), Stop);
        using ImageHandle image = await rig.Images.OpenAsync(digest, Stop);

        string text = System.Text.Encoding.Latin1.GetString("grüße"u8);
        Assert.Equal(
            [
                "d 0755 0:0 bin",
                "f 0755 0:0 bin/run = program",
                "f 0755 0:0 bin/same = program",
                "d 0755 0:0 data",
                $"d 0755 0:0 data/{new string('l', 150)}",
                $"f 0644 0:0 data/{new string('l', 150)}/{text} = hello",
                "l 0:0 start -> bin/run",
            ],
            TreeListing.Of(Assert.Single(image.LayerPaths)));
        Assert.Equal(DateTime.UnixEpoch, File.GetLastWriteTimeUtc(image.LayerPaths[0] + "/bin/run"));
        Assert.Equal(
            ("1000", "/start", "A=b"),
            (image.Config.Config!.User, image.Config.Config.Entrypoint![0], image.Config.Config.Env![0]));
    }

    [Fact]
    public async Task A_prefix_puts_the_content_below_folders_of_its_own()
    {
        string folder = rig.MakeFolder("app", ("f", "x"));

        Digest digest = await rig.PackAsync("demo", "p", StoreRig.Options(folder) with { Prefix = "/opt/app/" }, Stop);
        using ImageHandle image = await rig.Images.OpenAsync(digest, Stop);

        Assert.Equal(
            ["d 0755 0:0 opt", "d 0755 0:0 opt/app", "f 0644 0:0 opt/app/f = x"], TreeListing.Of(image.LayerPaths[0]));
    }

    [Fact]
    public async Task A_base_image_keeps_its_layers_and_settings_under_the_new_ones()
    {
        string system = rig.MakeFolder("system", ("sh", "shell"));
        string app = rig.MakeFolder("app", ("app", "program"));
        ContainerDefaults settings = new(
            User: "7", Entrypoint: ["/sh"], Cmd: ["-c"], Env: ["PATH=/bin", "A=old"],
            Labels: new Dictionary<string, string> { ["l"] = "base" });
        await rig.PackAsync("system", "1", StoreRig.Options(system, settings), Stop);

        Digest digest = await rig.PackAsync(
            "app", "1", StoreRig.Options(app, new ContainerDefaults(Entrypoint: ["/app"], Env: ["A=new"])), Stop,
            new PackBase(rig.Repository("system"), "1"));
        using ImageHandle image = await rig.Images.OpenAsync(digest, Stop);

        Assert.Equal(["sh", "app"], image.LayerPaths.Select(p => Path.GetFileName(Directory.GetFiles(p)[0])));
        ContainerDefaults config = image.Config.Config!;
        Assert.Equal(["PATH=/bin", "A=new"], config.Env!);
        Assert.Equal(["/app"], config.Entrypoint!);
        Assert.Null(config.Cmd);
        Assert.Equal("7", config.User);
        Assert.Equal("base", config.Labels!["l"]);
        Assert.True(rig.Repositories.HasBlob("app", image.Manifest) || rig.Content.SizeOf(image.Manifest) is not null);
    }

    [Fact]
    public async Task What_an_image_cannot_hold_is_named()
    {
        string folder = rig.MakeFolder("sock", ("a/f", "x"));
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        socket.Bind(new UnixDomainSocketEndPoint(folder + "/a/s"));
        string removed = rig.MakeFolder("removed", ("d/.wh.x", ""));

        BerthException first = await Assert.ThrowsAsync<BerthException>(
            () => rig.PackAsync("demo", "s", StoreRig.Options(folder), Stop));
        BerthException second = await Assert.ThrowsAsync<BerthException>(
            () => rig.PackAsync("demo", "s", StoreRig.Options(removed), Stop));
        BerthException third = await Assert.ThrowsAsync<BerthException>(
            () => rig.PackAsync("demo", "s", StoreRig.Options(rig.Folder + "/none"), Stop));

        Assert.Contains("'a/s' is a socket", first.Message, StringComparison.Ordinal);
        Assert.Contains("'d/.wh.x' begins with '.wh.'", second.Message, StringComparison.Ordinal);
        Assert.Equal(ErrorCode.NotFound, third.Code);
        Assert.Empty(Directory.EnumerateFiles(rig.Folder, ".layer-*"));
    }

    private static void LinkFile(string from, string to)
    {
        using var link = System.Diagnostics.Process.Start("ln", [from, to]);
        link.WaitForExit();
    }
}
