using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Berth.Api.Images;
using Berth.Core.Images;
using Berth.Server.Access;
using Berth.Testing.Server;
using Xunit;

namespace Berth.Tests.Server;

/// <summary>Who may give a tag that exists to another image, with the server's own table of roles.</summary>
public sealed class OverwriteTests(ServerRigFixture fixture) : IClassFixture<ServerRigFixture>
{
    private const string ManifestType = "application/vnd.oci.image.manifest.v1+json";

    private ServerRig Rig => fixture.Rig;

    [Theory]
    [InlineData(Role.Admin, false, 201)]
    [InlineData(Role.Publisher, false, 201)]
    [InlineData(Role.Publisher, true, 201)]
    [InlineData(Role.User, false, 403)]
    [InlineData(Role.User, true, 403)]
    public async Task A_push_may_move_a_tag_only_with_that_right(Role role, bool throughToken, int expected)
    {
        string repository = NewName("push");
        (Digest before, byte[] other) = await TwoImagesAsync(repository);
        using HttpClient pusher = await ClientAsync(role, throughToken, repository);

        using HttpResponseMessage renamed = await PushAsync(pusher, repository, "new", other);
        using HttpResponseMessage repeated = await PushAsync(pusher, repository, "other", other);
        using HttpResponseMessage moved = await PushAsync(pusher, repository, "latest", other);

        Assert.Equal(
            (HttpStatusCode.Created, HttpStatusCode.Created, (HttpStatusCode)expected),
            (renamed.StatusCode, repeated.StatusCode, moved.StatusCode));
        Assert.Equal(expected == 403, await DigestOfAsync(repository, "latest") == before);
        if (expected == 403)
        {
            string said = await moved.Content.ReadAsStringAsync();
            Assert.Contains("\"DENIED\"", said, StringComparison.Ordinal);
            Assert.Contains("may not overwrite a tag", said, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData(Role.Admin, 202)]
    [InlineData(Role.Publisher, 202)]
    [InlineData(Role.User, 403)]
    public async Task A_tag_is_removed_only_by_who_may_move_it(Role role, int expected)
    {
        string repository = NewName("removed");
        await TwoImagesAsync(repository);
        using HttpClient holder = await ClientAsync(role, throughToken: false, repository);

        using HttpResponseMessage response = await holder.DeleteAsync($"/v2/{repository}/manifests/latest");

        Assert.Equal(expected, (int)response.StatusCode);
    }

    [Theory]
    [InlineData(Role.Publisher, "done")]
    [InlineData(Role.User, "forbidden")]
    public async Task A_pull_from_another_registry_moves_a_tag_only_with_that_right(Role role, string expected)
    {
        await using ServerRig here = await ServerRig.StartAsync(o => o with { RegistryAllow = ["127.0.0.0/8"] });
        string repository = NewName("pulled");
        await TwoImagesAsync(repository);
        await here.AddImageAsync("demo/app", "latest", "arm64");
        string secret = here.Server.Rooms.Tokens.Create(NewName("t").Replace('/', '-'), role, null).Secret;
        using HttpClient puller = here.ClientWith(secret);
        string source = $"{Rig.Address.Host}:{Rig.Address.Port}/{repository}:latest";

        using HttpResponseMessage fresh = await PullAsync(puller, source, "demo/app:fresh");
        using HttpResponseMessage moved = await PullAsync(puller, source, "demo/app:latest");
        string told = await moved.Content.ReadAsStringAsync();

        Assert.Contains("\"done\"", await fresh.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        Assert.Contains(expected == "done" ? "\"done\"" : "may not replace", told, StringComparison.Ordinal);
    }

    private static string NewName(string word) => $"over/{word}-{Guid.CreateVersion7():N}";

    /// <summary>An image tagged <c>latest</c> and one tagged <c>other</c>, whose manifest is returned.</summary>
    private async Task<(Digest Latest, byte[] Other)> TwoImagesAsync(string repository)
    {
        Digest latest = await Rig.AddImageAsync(repository, "latest");
        await Rig.AddImageAsync(repository, "other", "arm64");
        return (latest, await Rig.Client.GetByteArrayAsync($"/v2/{repository}/manifests/other"));
    }

    /// <summary>Speaks with a token of the role, or with one that the registry makes of it, as docker does.</summary>
    private async Task<HttpClient> ClientAsync(Role role, bool throughToken, string repository)
    {
        string secret = Rig.Server.Rooms.Tokens.Create(NewName("t").Replace('/', '-'), role, null).Secret;
        if (!throughToken)
        {
            return Rig.ClientWith(secret);
        }

        using HttpClient nobody = Rig.ClientWith(null);
        nobody.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue(
            "Basic", Convert.ToBase64String(Encoding.ASCII.GetBytes("u:" + secret)));
        using JsonDocument answer = JsonDocument.Parse(
            await nobody.GetStringAsync($"/v2/token?service=berth&scope=repository:{repository}:pull,push"));
        return Rig.ClientWith(answer.RootElement.GetProperty("token").GetString());
    }

    private static async Task<HttpResponseMessage> PushAsync(
        HttpClient client, string repository, string tag, byte[] manifest)
    {
        using ByteArrayContent content = new(manifest);
        content.Headers.ContentType = new MediaTypeHeaderValue(ManifestType);
        return await client.PutAsync($"/v2/{repository}/manifests/{tag}", content);
    }

    private Task<HttpResponseMessage> PullAsync(HttpClient client, string source, string target) =>
        client.PostAsJsonAsync(
            "/v1/images/pull", new CopyRequest(source, target, "u", Rig.AdminToken, true),
            ImageJson.Default.CopyRequest);

    private async Task<Digest> DigestOfAsync(string repository, string tag)
    {
        using HttpResponseMessage manifest = await Rig.GetAsync($"/v2/{repository}/manifests/{tag}");
        return Digest.Parse(manifest.Headers.GetValues("Docker-Content-Digest").Single());
    }
}
