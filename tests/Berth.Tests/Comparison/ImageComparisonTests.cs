using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Oci.Comparison;
using Berth.Oci.Content;
using Berth.Oci.Images;
using Berth.Testing.Content;
using Berth.Testing.Layers;
using Xunit;

namespace Berth.Tests.Comparison;

public sealed class ImageComparisonTests : IDisposable
{
    private readonly TemporaryFolder folder = new();
    private readonly ContentStore content;

    public ImageComparisonTests() => content = new ContentStore(folder["blobs"], TimeProvider.System);

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    public void Dispose() => folder.Dispose();

    [Fact]
    public async Task A_layer_adds_changes_and_deletes()
    {
        Descriptor lower = await PutAsync(
            new TarBuilder().Folder("etc").File("etc/same", "1").File("etc/other", "1").File("etc/gone", "1")
                .Folder("var").File("var/a", "1").File("var/b", "1"));
        Descriptor upper = await PutAsync(
            new TarBuilder().File("etc/same", "1").File("etc/other", "2").File("etc/.wh.gone", "")
                .File("etc/new", "three").File("var/.wh..wh..opq", "").File("var/b", "1"));

        Assert.Equal(
            ["Deleted etc/gone 1", "Added etc/new 5", "Changed etc/other 1", "Deleted var/a 1"],
            Compare([lower], [lower, upper]));
    }

    [Fact]
    public async Task Images_are_compared_by_their_files_whatever_their_layers_are()
    {
        Descriptor one = await PutAsync(new TarBuilder().File("a", "1").File("b", "2"));
        Descriptor first = await PutAsync(new TarBuilder().File("a", "1").File("b", "old"));
        Descriptor second = await PutAsync(new TarBuilder().File("b", "2"));

        Assert.Empty(Compare([one], [first, second]));
        Assert.Equal(["Added a 1", "Added b 1"], Compare([], [one]));
        Assert.Equal(["Deleted a 1", "Deleted b 1"], Compare([one], []));
    }

    [Fact]
    public async Task A_folder_that_goes_takes_all_below_it()
    {
        Descriptor lower = await PutAsync(
            new TarBuilder().Folder("d").Folder("d/e").File("d/e/f", "1").File("dx", "1"));
        Descriptor whiteout = await PutAsync(new TarBuilder().File(".wh.d", ""));
        Descriptor replaced = await PutAsync(new TarBuilder().File("d", "file"));

        Assert.Equal(["Deleted d 0", "Deleted d/e 0", "Deleted d/e/f 1"], Compare([lower], [lower, whiteout]));
        Assert.Equal(["Changed d 4", "Deleted d/e 0", "Deleted d/e/f 1"], Compare([lower], [lower, replaced]));
    }

    [Fact]
    public async Task A_hard_link_is_what_it_links_to()
    {
        Descriptor copy = await PutAsync(new TarBuilder().File("a", "1").File("b", "1"));
        Descriptor link = await PutAsync(new TarBuilder().File("a", "1").HardLink("b", "a"));

        Assert.Empty(Compare([copy], [link]));
    }

    [Fact]
    public async Task Many_whiteouts_over_many_files_take_no_long_time()
    {
        TarBuilder files = new();
        TarBuilder whiteouts = new();
        for (int i = 0; i < 20_000; i++)
        {
            files.File($"d/f{i}", "");
            whiteouts.File($"d/.wh.f{i}", "");
        }

        Descriptor lower = await PutAsync(files);
        Descriptor upper = await PutAsync(whiteouts);

        Assert.Equal(20_000, Compare([lower], [lower, upper]).Count);
    }

    [Fact]
    public void A_layer_that_is_not_here_is_named()
    {
        Descriptor absent = new(MediaTypes.OciLayer, Digest.Sha256("absent"u8).Text, 6);

        Assert.Equal(ErrorCode.BlobUnknown, Assert.Throws<BerthException>(() => Compare([], [absent])).Code);
    }

    private List<string> Compare(IReadOnlyList<Descriptor> from, IReadOnlyList<Descriptor> to) =>
        [.. new ImageComparison(content).Compare(from, to, Stop).Select(f => $"{f.Change} {f.Path} {f.Size}")];

    private async Task<Descriptor> PutAsync(TarBuilder tar)
    {
        byte[] bytes = tar.Build();
        await using IBlobWriter writer = content.BeginWrite();
        await writer.WriteAsync(bytes, Stop);
        Digest digest = await writer.CommitAsync(null, Stop);
        return new Descriptor(MediaTypes.OciLayer, digest.Text, bytes.Length);
    }
}
