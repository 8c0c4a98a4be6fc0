using System.Net;
using System.Net.Http.Json;
using Berth.Api.Images;
using Berth.Api.Runs;
using Berth.Api.Server;
using Berth.Core.Images;
using Berth.Testing.Server;
using Xunit;

namespace Berth.Tests.Server;

/// <summary>Images over HTTP: listing, looking, deleting and collecting what nothing names any more.</summary>
public sealed class ImageTests
{
    [Fact]
    public async Task Page_after_page_lists_every_image_once_by_name()
    {
        await using ServerRig rig = await ServerRig.StartAsync();
        await rig.AddImageAsync("demo/echo", "2", "arm64");
        await rig.AddImageAsync("alpha", "latest");
        await rig.AddImageAsync("zeta/deep/er", "v1.0");
        List<string> seen = [];
        string? cursor = null;
        do
        {
            string from = cursor is null ? "" : "&cursor=" + Uri.EscapeDataString(cursor);
            ImagePage page = await ListAsync(rig, "limit=1" + from);
            seen.Add($"{page.Images.Single().Repository}:{page.Images.Single().Tag}");
            cursor = page.Next;
        }
        while (cursor is not null);

        Assert.Equal(["alpha:latest", "demo/echo:1", "demo/echo:2", "zeta/deep/er:v1.0"], seen);
        Assert.Equal(4, (await ListAsync(rig, "")).Images.Count);
    }

    [Theory]
    [InlineData("limit=0", "limit")]
    [InlineData("limit=1001", "limit")]
    [InlineData("cursor=Not%20a%20name", "cursor")]
    [InlineData("repository=demo", "repository")]
    public async Task A_list_that_cannot_be_is_refused_by_name(string query, string name)
    {
        await using ServerRig rig = await ServerRig.StartAsync();

        using HttpResponseMessage response = await rig.GetAsync("/v1/images?" + query);

        Assert.Contains(name, (await response.ProblemAsync(400, "invalid_request")).Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_image_is_shown_alike_by_tag_by_digest_and_under_the_servers_own_address()
    {
        await using ServerRig rig = await ServerRig.StartAsync();

        string[] references = ["demo/echo:1", $"demo/echo@{rig.Digest}", $"{rig.Address.Authority}/demo/echo:1"];
        foreach (string reference in references)
        {
            ImageDetail detail = (await rig.Client.GetFromJsonAsync(
                "/v1/images/" + reference, ImageJson.Default.ImageDetail))!;

            Assert.Equal(("demo/echo", rig.Digest.Text), (detail.Image.Repository, detail.Image.Digest));
            Assert.Equal("application/vnd.oci.image.manifest.v1+json", detail.MediaType);
            Assert.Equal(["cat"], detail.Cmd);
        }
    }

    [Theory]
    [InlineData("demo/nothing:1", 404, "image_not_found")]
    [InlineData("demo/echo:2", 404, "image_not_found")]
    [InlineData("demo/echo", 404, "image_not_found")]
    [InlineData("registry.example/demo/echo:1", 404, "image_not_found")]
    [InlineData("Demo/Echo:1", 400, "invalid_reference")]
    [InlineData("demo//echo", 400, "invalid_reference")]
    [InlineData("demo/echo@sha256:12", 400, "invalid_reference")]
    [InlineData("..%2f..%2fetc", 400, "invalid_reference")]
    public async Task What_is_no_image_is_refused_alike_for_looking_deleting_calling_and_submitting(
        string reference, int status, string code)
    {
        await using ServerRig rig = await ServerRig.StartAsync();
        foreach ((HttpMethod method, string route) in new[]
        {
            (HttpMethod.Get, "images"), (HttpMethod.Delete, "images"), (HttpMethod.Post, "call"),
            (HttpMethod.Get, "call"), (HttpMethod.Post, "tasks"),
        })
        {
            using HttpRequestMessage request = new(method, $"/v1/{route}/{reference}");
            using HttpResponseMessage response = await rig.SendAsync(request);
            await response.ProblemAsync(status, code);
        }

        Assert.Empty(rig.Node.Started);
        Assert.Empty((await rig.RunsAsync("")).Runs);
        Assert.Single((await ListAsync(rig, "")).Images);
    }

    [Fact]
    public async Task A_deleted_image_can_no_longer_be_called_and_its_content_goes_with_the_collection()
    {
        await using ServerRig rig = await ServerRig.StartAsync(o => o with { CollectGrace = TimeSpan.Zero });

        using HttpResponseMessage deleted = await rig.Client.DeleteAsync("/v1/images/demo/echo:1");
        using HttpResponseMessage call = await rig.SendAsync(ServerRig.Call());
        using HttpResponseMessage again = await rig.Client.DeleteAsync("/v1/images/demo/echo:1");
        using HttpResponseMessage collected = await rig.Client.PostAsync("/v1/images/collect", null);
        CollectionView collection = (await collected.Content.ReadFromJsonAsync(ServerJson.Default.CollectionView))!;

        Assert.Equal(HttpStatusCode.NoContent, deleted.StatusCode);
        await call.ProblemAsync(404, "image_not_found");
        await again.ProblemAsync(404, "image_not_found");
        Assert.Equal(2, collection.Blobs);
        Assert.Null(rig.Server.Rooms.Content.SizeOf(rig.Digest));
    }

    [Fact]
    public async Task Collecting_leaves_what_an_image_needs()
    {
        await using ServerRig rig = await ServerRig.StartAsync(o => o with { CollectGrace = TimeSpan.Zero });

        using HttpResponseMessage collected = await rig.Client.PostAsync("/v1/images/collect", null);
        using HttpResponseMessage call = await rig.SendAsync(ServerRig.Call(body: new StringContent("still here")));

        Assert.Equal(HttpStatusCode.OK, collected.StatusCode);
        Assert.Equal("still here", await call.Content.ReadAsStringAsync());
    }

    [Fact]
    public async Task Removing_one_of_two_names_keeps_the_image_under_the_other()
    {
        await using ServerRig rig = await ServerRig.StartAsync();
        Digest same = await rig.AddImageAsync("demo/echo", "second");

        using HttpResponseMessage deleted = await rig.Client.DeleteAsync("/v1/images/demo/echo:1");
        using HttpResponseMessage other = await rig.GetAsync("/v1/images/demo/echo:second");

        Assert.Equal(rig.Digest, same);
        Assert.Equal((HttpStatusCode.NoContent, HttpStatusCode.OK), (deleted.StatusCode, other.StatusCode));
    }

    private static async Task<ImagePage> ListAsync(ServerRig rig, string query) =>
        (await rig.Client.GetFromJsonAsync("/v1/images?" + query, ImageJson.Default.ImagePage))!;
}
