using System.Net;
using System.Net.Http.Json;
using Berth.Api.Access;
using Berth.Testing.Content;
using Berth.Testing.Server;
using Xunit;

namespace Berth.Tests.Server;

/// <summary>Making, listing and revoking tokens over HTTP.</summary>
public sealed class TokenTests(ServerRigFixture fixture) : IClassFixture<ServerRigFixture>
{
    private ServerRig Rig => fixture.Rig;

    [Fact]
    public async Task A_token_works_from_its_making_to_its_end_and_its_secret_is_told_once()
    {
        using HttpResponseMessage made = await MakeAsync(new TokenRequest("robot", "pull", "30d"));
        TokenCreated created = (await made.Content.ReadFromJsonAsync(AccessJson.Default.TokenCreated))!;
        using HttpClient holder = Rig.ClientWith(created.Secret);

        using HttpResponseMessage before = await holder.GetAsync("/v1/images");
        string listed = await Rig.Client.GetStringAsync("/v1/tokens");
        using HttpResponseMessage revoked = await Rig.Client.DeleteAsync("/v1/tokens/" + created.Token.Id);
        using HttpResponseMessage after = await holder.GetAsync("/v1/images");
        using HttpResponseMessage again = await Rig.Client.DeleteAsync("/v1/tokens/" + created.Token.Id);

        Assert.Equal(HttpStatusCode.Created, made.StatusCode);
        Assert.Equal("no-store", made.Headers.CacheControl!.ToString());
        Assert.Equal(
            ("pull", TimeSpan.FromDays(30)), (created.Token.Role, created.Token.ExpiresAt - created.Token.CreatedAt));
        Assert.Equal(HttpStatusCode.OK, before.StatusCode);
        Assert.Contains(created.Token.Id, listed, StringComparison.Ordinal);
        Assert.DoesNotContain(created.Secret[^64..], listed, StringComparison.Ordinal);
        Assert.Equal(HttpStatusCode.NoContent, revoked.StatusCode);
        Assert.Equal(HttpStatusCode.Unauthorized, after.StatusCode);
        await again.ProblemAsync(404, "not_found");
    }

    [Theory]
    [InlineData("", null, null, "name")]
    [InlineData("with blank", null, null, "name")]
    [InlineData("a", "king", null, "admin, publisher, user, pull and robot")]
    [InlineData("a", null, "soon", "soon")]
    [InlineData("a", null, "10s", "at least 1m")]
    public async Task A_token_that_cannot_be_is_refused_by_name(string name, string? role, string? life, string told)
    {
        using HttpResponseMessage response = await MakeAsync(new TokenRequest(name, role, life));

        var problem = await response.ProblemAsync(400, "invalid_request");
        Assert.Contains(told, problem.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Two_tokens_never_have_one_name()
    {
        using HttpResponseMessage first = await MakeAsync(new TokenRequest("twin", null, null));
        using HttpResponseMessage second = await MakeAsync(new TokenRequest("twin", null, null));

        Assert.Equal(HttpStatusCode.Created, first.StatusCode);
        await second.ProblemAsync(409, "conflict");
    }

    [Fact]
    public async Task The_last_administrator_cannot_lock_everybody_out()
    {
        await using ServerRig rig = await ServerRig.StartAsync();
        TokenList tokens = (await rig.Client.GetFromJsonAsync("/v1/tokens", AccessJson.Default.TokenList))!;

        using HttpResponseMessage response = await rig.Client.DeleteAsync("/v1/tokens/" + tokens.Tokens.Single().Id);

        await response.ProblemAsync(409, "conflict");
    }

    [Fact]
    public async Task Tokens_outlast_a_restart_and_their_file_is_nobody_elses()
    {
        using TemporaryFolder folder = new();
        string secret;
        await using (ServerRig first = await ServerRig.StartAsync(folder: folder))
        {
            secret = first.Server.Rooms.Tokens.Create("lasting", Berth.Server.Access.Role.User, null).Secret;
        }

        await using ServerRig second = await ServerRig.StartAsync(folder: folder);
        using HttpClient holder = second.ClientWith(secret);
        using HttpResponseMessage response = await holder.GetAsync("/v1/runs");

        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Null(second.Server.NewTokenFile);
        foreach (string file in new[] { "tokens.json", "admin.token" })
        {
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(folder[file]));
        }

        string stored = await File.ReadAllTextAsync(folder["tokens.json"]);
        Assert.DoesNotContain(secret[^64..], stored, StringComparison.Ordinal);
    }

    private Task<HttpResponseMessage> MakeAsync(TokenRequest request) =>
        Rig.Client.PostAsJsonAsync("/v1/tokens", request, AccessJson.Default.TokenRequest);
}
