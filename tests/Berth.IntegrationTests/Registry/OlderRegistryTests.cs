using System.Text.Json;
using Berth.Core.Images;
using Berth.IntegrationTests.EndToEnd;
using Berth.Oci.Images;
using Berth.Testing.Content;
using Berth.Testing.Distribution;
using Berth.Testing.Registry;
using Xunit;

namespace Berth.IntegrationTests.Registry;

/// <summary>Signatures and the like, to a registry that knows of none and through a cache of it.</summary>
[Collection(RegistryClients.Name)]
public sealed class OlderRegistryTests(RegistryFixture fixture) : IDisposable
{
    private const string Sbom = "application/vnd.example.sbom.v1";

    private readonly TemporaryFolder folder = new();

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private ServerProcess Server => fixture.Server;

    public void Dispose() => folder.Dispose();

    [Fact]
    public async Task What_refers_to_an_image_is_listed_under_a_tag_there_and_comes_through_a_cache_of_it()
    {
        await using OlderRegistry older = await OlderRegistry.StartAsync(folder["older"]);
        await fixture.CopyAsync($"oci:{fixture.Layout}:busybox", fixture.Remote("demo/described:v1"));
        Descriptor image = new(MediaTypes.OciManifest, await fixture.DigestAsync("demo/described", "v1"), 0);
        byte[] artifact = PlainRegistry.Artifact(image, Sbom, "what is in it");
        await Server.Http.PushBlobAsync("demo/described", "{}"u8.ToArray());
        using HttpResponseMessage put = await Server.Http.PutManifestAsync("demo/described", "sbom", artifact);
        put.EnsureSuccessStatusCode();

        foreach (string tag in (string[])["v1", "sbom"])
        {
            (await Server.BerthAsync(
                "image", "push", "--insecure", $"demo/described:{tag}", $"{older.Host}/old/described:{tag}")).Succeed();
        }

        (await Server.BerthAsync("repository", "set", "cache", "--mirror", $"http://{older.Host}/old")).Succeed();
        JsonElement through = await ListAsync(Server.Http, $"referrers/{image.DigestText}", "cache");

        JsonElement there = await ListAsync(older.Http, $"manifests/sha256-{image.Digest.Hex}", "old");
        foreach (JsonElement list in (JsonElement[])[there, through])
        {
            JsonElement listed = Assert.Single(list.GetProperty("manifests").EnumerateArray());
            Assert.Equal(Digest.Sha256(artifact).Text, listed.GetProperty("digest").GetString());
            Assert.Equal(Sbom, listed.GetProperty("artifactType").GetString());
        }

        // What is listed can be had through the cache too, and is signed over: byte by byte.
        Assert.Equal(artifact, await Server.Http.GetByteArrayAsync(
            new Uri($"/v2/cache/described/manifests/{Digest.Sha256(artifact)}", UriKind.Relative), Stop));
    }

    private static async Task<JsonElement> ListAsync(HttpClient http, string what, string scope)
    {
        using HttpRequestMessage request = new(HttpMethod.Get, $"/v2/{scope}/described/{what}");
        request.Headers.Accept.ParseAdd(MediaTypes.OciIndex);
        using HttpResponseMessage answer = await http.SendAsync(request, Stop);
        await RegistryMessages.ExpectAsync(System.Net.HttpStatusCode.OK, answer);
        return await answer.JsonAsync();
    }
}
