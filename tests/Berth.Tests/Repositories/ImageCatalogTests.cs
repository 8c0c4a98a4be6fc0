using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Oci.Images;
using Berth.Oci.Repositories;
using Berth.Testing.Registry;
using Xunit;
using static Berth.Testing.Registry.RegistryMessages;

namespace Berth.Tests.Repositories;

/// <summary>Questions about images by name, over images pushed through the registry.</summary>
public sealed class ImageCatalogTests : IAsyncLifetime
{
    private TestRegistry registry = null!;
    private ImageCatalog catalog = null!;

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        registry = await TestRegistry.StartAsync();
        catalog = new ImageCatalog(registry.Repositories, registry.Content);
    }

    public ValueTask DisposeAsync() => registry.DisposeAsync();

    [Fact]
    public async Task A_reference_resolves_by_tag_and_by_digest()
    {
        byte[] manifest = await registry.Client.PushImageAsync("demo/app", "latest", "layer");
        Digest digest = Digest.Sha256(manifest);

        Assert.Equal(
            new ResolvedImage("demo/app", "latest", digest, MediaTypes.OciManifest),
            catalog.Resolve(ImageReference.Parse("demo/app")));
        Assert.Equal(digest, catalog.Resolve(ImageReference.Parse($"demo/app@{digest}")).Digest);
        BerthException refusal = Assert.Throws<BerthException>(
            () => catalog.Resolve(ImageReference.Parse("demo/app:v2")));
        Assert.Equal(ErrorCode.ImageNotFound, refusal.Code);
        Assert.Contains("demo/app:v2", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_image_is_described_also_through_an_index()
    {
        byte[] manifest = await registry.Client.PushImageAsync("demo", "v1", "layer");
        using HttpResponseMessage put = await registry.Client.PutManifestAsync(
            "demo", "multi", Index(manifest), MediaTypes.OciIndex);

        CatalogDetail plain = await catalog.DescribeAsync(ImageReference.Parse("demo:v1"), Stop);
        CatalogDetail multi = await catalog.DescribeAsync(ImageReference.Parse("demo:multi"), Stop);

        Assert.Equal("amd64", plain.Image.Architecture);
        Assert.Equal(new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero), plain.Image.Created);
        Assert.Equal(registry.Time.GetUtcNow(), plain.Image.PushedAt);
        Assert.Equal([Digest.Sha256("layer"u8)], plain.Image.DiffIds);
        Assert.Equal(plain.Manifest!.Config.Size + 5, plain.Image.Size);
        Assert.Equal(["/bin/true"], plain.Config!.Config!.Cmd);
        Assert.Equal((plain.Image.Size, "amd64"), (multi.Image.Size, multi.Image.Architecture));
        Assert.Equal(MediaTypes.OciIndex, multi.Image.MediaType);
    }

    [Fact]
    public async Task Images_are_listed_in_order_and_in_parts()
    {
        (string, string)[] names = [("b", "2"), ("a/x", "1"), ("b", "1"), ("a", "9")];
        foreach ((string repository, string tag) in names)
        {
            await registry.Client.PushImageAsync(repository, tag, "layer");
        }

        Page<CatalogImage> first = await catalog.ListAsync(null, 3, Stop);
        Page<CatalogImage> rest = await catalog.ListAsync(ImageReference.Parse("b:1"), 3, Stop);

        Assert.Equal(["a:9", "a/x:1", "b:1"], first.Entries.Select(i => $"{i.Repository}:{i.Tag}"));
        Assert.True(first.More);
        Assert.Equal(["b:2"], rest.Entries.Select(i => $"{i.Repository}:{i.Tag}"));
        Assert.False(rest.More);
    }

    [Fact]
    public async Task Removing_the_last_name_removes_the_image_and_what_only_its_index_named()
    {
        byte[] shared = await registry.Client.PushImageAsync("demo", "single", "shared");
        byte[] inner = await registry.Client.PushImageAsync("demo", "temporary", "inner");
        using HttpResponseMessage put = await registry.Client.PutManifestAsync(
            "demo", "multi", Index(shared, inner), MediaTypes.OciIndex);
        registry.Repositories.DeleteTag("demo", "temporary");

        await catalog.DeleteAsync(ImageReference.Parse("demo:multi"), Stop);

        Assert.NotNull(registry.Repositories.FindManifest("demo", Digest.Sha256(shared)));
        Assert.Null(registry.Repositories.FindManifest("demo", Digest.Sha256(inner)));
        Assert.Single(registry.Repositories.Manifests("demo"));
    }

    [Fact]
    public async Task An_image_that_an_index_names_stays_when_its_own_name_goes()
    {
        byte[] manifest = await registry.Client.PushImageAsync("demo", "v1", "layer");
        using HttpResponseMessage put = await registry.Client.PutManifestAsync(
            "demo", "multi", Index(manifest), MediaTypes.OciIndex);

        await catalog.DeleteAsync(ImageReference.Parse("demo:v1"), Stop);

        Assert.Null(registry.Repositories.FindTag("demo", "v1"));
        Assert.NotNull(registry.Repositories.FindManifest("demo", Digest.Sha256(manifest)));
    }

    [Fact]
    public async Task Removing_by_digest_removes_every_name()
    {
        byte[] manifest = await registry.Client.PushImageAsync("demo", "v1", "layer");
        using HttpResponseMessage put = await registry.Client.PutManifestAsync("demo", "v2", manifest);

        await catalog.DeleteAsync(ImageReference.Parse($"demo@{Digest.Sha256(manifest)}"), Stop);

        Assert.Null(registry.Repositories.FindTag("demo", "v1"));
        Assert.Null(registry.Repositories.FindTag("demo", "v2"));
    }

    [Fact]
    public void Nothing_is_written_outside_the_folder_for_a_name_that_is_none()
    {
        foreach (string name in (string[])["../x", "a/../../x", "/etc", "a/_tags", "A", "", "a/.", "a//b"])
        {
            BerthException refusal = Assert.Throws<BerthException>(
                () => registry.Repositories.LinkBlob(name, Digest.Sha256("x"u8)));
            Assert.Equal(ErrorCode.InvalidReference, refusal.Code);
            Assert.Null(registry.Repositories.FindTag(name, "v1"));
        }

        Assert.Empty(Directory.GetFileSystemEntries(Path.Combine(registry.Folder, "repositories")));
    }
}
