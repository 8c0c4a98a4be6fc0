using System.Text;
using Berth.Core.Images;
using Berth.Oci.Content;
using Berth.Oci.Images;
using Berth.Oci.Layers;
using Berth.Testing.Clocks;
using Berth.Testing.Content;
using Berth.Testing.Engines;
using Xunit;

namespace Berth.Tests.Distribution;

/// <summary>Images that a store has from before, which nobody has asked for since.</summary>
public sealed class RecalledImagesTests : IDisposable
{
    private const string ManifestType = "application/vnd.oci.image.manifest.v1+json";

    private readonly TemporaryFolder folder = new();
    private readonly ManualTime time = new();
    private readonly ContentStore content;

    public RecalledImagesTests() => content = new ContentStore(folder["blobs"], time);

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => folder.Dispose();

    [Fact]
    public async Task What_is_there_whole_is_held_and_its_layers_are_offered()
    {
        (Digest image, Digest layer, _) = await AddAsync("a");
        FetchedImages images = await RecallAsync();

        Assert.Equal([image.Text], images.Held);
        Assert.True(images.Holds(image));
        using Stream? offered = images.OpenLayer(layer);
        Assert.NotNull(offered);
        using ImageHandle opened = await images.OpenAsync(image, Token);
        Assert.Equal(0, images.FromOrigin);
    }

    [Fact]
    public async Task What_is_there_in_part_is_not()
    {
        (Digest first, Digest layer, _) = await AddAsync("a");
        (Digest second, _, Digest config) = await AddAsync("b");
        (_, Digest other, _) = await AddAsync("c");
        (Digest whole, _, _) = await AddAsync("d");
        File.Delete(content.PathOf(layer)!);
        File.Delete(content.PathOf(config)!);
        await File.AppendAllTextAsync(content.PathOf(other)!, "more", Token);
        await PutAsync("""{"an":"input"}""");
        await PutAsync("[");

        FetchedImages images = await RecallAsync();

        Assert.Equal([whole.Text], images.Held);
        Assert.False(images.Holds(first) || images.Holds(second));
    }

    [Fact]
    public async Task Damaged_documents_are_put_away_and_hide_no_other_image()
    {
        (Digest first, _, _) = await AddAsync("a");
        (_, _, Digest config) = await AddAsync("b");
        (Digest whole, _, _) = await AddAsync("c");
        foreach (Digest damaged in (Digest[])[first, config])
        {
            string path = content.PathOf(damaged)!;
            string text = await File.ReadAllTextAsync(path, Token);
            await File.WriteAllTextAsync(path, text[..^2] + " " + text[^1..], Token);
        }

        FetchedImages images = await RecallAsync();

        Assert.Equal([whole.Text], images.Held);
        Assert.Null(content.PathOf(first));
        Assert.Null(content.PathOf(config));
    }

    [Fact]
    public async Task What_came_by_an_index_is_one_image_and_what_is_for_other_machines_is_none()
    {
        (Digest manifest, _, _) = await AddAsync("a");
        await AddAsync("b", architecture: "other");
        Digest index = await PutAsync(
            $$$"""
            {"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{
            "mediaType":"{{{ManifestType}}}","digest":"{{{manifest}}}","size":{{{content.SizeOf(manifest)}}},
            "platform":{"os":"linux","architecture":"{{{PlatformChoice.Here.Architecture}}}"}}]}
            """);

        Assert.Equal([index.Text], (await RecallAsync()).Held);
    }

    [Fact]
    public async Task Their_use_is_remembered_and_what_nobody_used_for_long_goes()
    {
        (Digest idle, _, _) = await AddAsync("idle");
        (Digest used, _, _) = await AddAsync("used");
        FetchedImages before = await RecallAsync();
        time.Advance(TimeSpan.FromDays(2));
        using (await before.OpenAsync(used, Token))
        {
        }

        Assert.Equal(2, before.Keep(TimeSpan.FromDays(3)).Count);
        FetchedImages images = await RecallAsync();

        Assert.Equal([used.Text, idle.Text], images.Held);
        time.Advance(TimeSpan.FromDays(1) + TimeSpan.FromMinutes(1));
        Assert.Equal([used], images.Keep(TimeSpan.FromDays(3)));
    }

    [Fact]
    public async Task Many_are_recalled()
    {
        for (int i = 0; i < 300; i++)
        {
            await AddAsync($"image {i}");
        }

        FetchedImages images = new(content, new NoImages(), PlatformChoice.Here, time);

        Assert.Equal(300, await images.RecallAsync(Token));
        Assert.Equal(200, images.Held.Count);
    }

    /// <summary>As a new start of the program does.</summary>
    private async Task<FetchedImages> RecallAsync()
    {
        FetchedImages images = new(
            new ContentStore(folder["blobs"], time), new NoImages(), PlatformChoice.Here, time);
        await images.RecallAsync(Token);
        return images;
    }

    private async Task<(Digest Image, Digest Layer, Digest Config)> AddAsync(string name, string? architecture = null)
    {
        Digest layer = await PutAsync($"layer of {name}");
        Digest config = await PutAsync(
            $$$"""
            {"architecture":"{{{architecture ?? PlatformChoice.Here.Architecture}}}","os":"linux",
            "config":{"Cmd":["{{{name}}}"]},"rootfs":{"type":"layers","diff_ids":["{{{layer}}}"]}}
            """);
        Digest image = await PutAsync(
            $$$"""
            {"schemaVersion":2,"mediaType":"{{{ManifestType}}}","layers":[{
            "mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{{{layer}}}",
            "size":{{{content.SizeOf(layer)}}}}],"config":{"mediaType":"application/vnd.oci.image.config.v1+json",
            "digest":"{{{config}}}","size":{{{content.SizeOf(config)}}}}}
            """);
        return (image, layer, config);
    }

    private async Task<Digest> PutAsync(string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        Digest digest = Digest.Sha256(bytes);
        await using IBlobWriter writer = content.BeginWrite();
        await writer.WriteAsync(bytes, Token);
        await writer.CommitAsync(digest, Token);
        return digest;
    }
}
