using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.RegularExpressions;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Registry.Access;
using Berth.Testing.Registry;
using Xunit;
using static Berth.Testing.Registry.RegistryMessages;

namespace Berth.Tests.Registry;

/// <summary>Who may do what, and how clients find out.</summary>
public sealed partial class AccessTests : IAsyncLifetime
{
    private TestRegistry registry = null!;

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        registry = await TestRegistry.StartAsync();
        await registry.Client.PushImageAsync("team/app", "v1", "layer");
        await registry.Client.PushImageAsync("secret/app", "v1", "secret layer");
        registry.Authorizer.Add("reader", (r, a) => a == RegistryAction.Pull && r == "team/app");
        registry.Authorizer.Add(
            "writer", (r, a) => a is RegistryAction.Pull or RegistryAction.Push && r is "team/app" or "team/new");
    }

    public ValueTask DisposeAsync() => registry.DisposeAsync();

    /// <summary>Every route, and the scope that its challenge names.</summary>
    public static TheoryData<string, string, string?> Routes { get; } = new()
    {
        { "GET", "/v2/", null },
        { "GET", "/v2/_catalog", "registry:catalog:*" },
        { "GET", "/v2/secret/app/tags/list", "repository:secret/app:pull" },
        { "GET", "/v2/secret/app/manifests/v1", "repository:secret/app:pull" },
        { "HEAD", "/v2/secret/app/manifests/v1", "repository:secret/app:pull" },
        { "PUT", "/v2/secret/app/manifests/v1", "repository:secret/app:pull,push" },
        { "DELETE", "/v2/secret/app/manifests/v1", "repository:secret/app:delete" },
        { "GET", "/v2/secret/app/blobs/DIGEST", "repository:secret/app:pull" },
        { "HEAD", "/v2/secret/app/blobs/DIGEST", "repository:secret/app:pull" },
        { "DELETE", "/v2/secret/app/blobs/DIGEST", "repository:secret/app:delete" },
        { "POST", "/v2/secret/app/blobs/uploads/", "repository:secret/app:pull,push" },
        { "GET", "/v2/secret/app/blobs/uploads/0123", "repository:secret/app:pull,push" },
        { "PATCH", "/v2/secret/app/blobs/uploads/0123", "repository:secret/app:pull,push" },
        { "PUT", "/v2/secret/app/blobs/uploads/0123?digest=DIGEST", "repository:secret/app:pull,push" },
        { "DELETE", "/v2/secret/app/blobs/uploads/0123", "repository:secret/app:pull,push" },
        { "GET", "/v2/secret/app/referrers/DIGEST", "repository:secret/app:pull" },
        { "GET", "/v2/nothing/here", null },
    };

    [Theory]
    [MemberData(nameof(Routes))]
    public async Task Without_a_valid_token_every_route_answers_with_a_challenge(
        string method, string path, string? scope)
    {
        AuthenticationHeaderValue?[] credentials =
        [
            null, new("Bearer", "wrong"), new("Bearer", "brt1.e30.AAAA"), new("Basic", Basic("admin", "wrong")),
            new("Basic", "%%%"), new("Digest", "x"),
        ];
        foreach (AuthenticationHeaderValue? credential in credentials)
        {
            using HttpClient client = registry.ClientWith(credential);
            using HttpResponseMessage response = await SendAsync(client, method, path);

            await ExpectAsync(HttpStatusCode.Unauthorized, response);
            string challenge = response.Header("WWW-Authenticate");
            Assert.StartsWith(
                $"Bearer realm=\"http://{registry.Host}/v2/token\",service=\"berth\"", challenge,
                StringComparison.Ordinal);
            Assert.Equal(scope is not null, challenge.Contains($"scope=\"{scope}\"", StringComparison.Ordinal));
        }
    }

    [Fact]
    public async Task Behind_a_proxy_that_ends_TLS_clients_are_sent_to_it_for_their_token()
    {
        using HttpClient client = registry.ClientWith(null);
        using HttpRequestMessage request = new(HttpMethod.Get, "/v2/");
        request.Headers.Add("X-Forwarded-Proto", "https");
        request.Headers.Host = "registry.example";

        using HttpResponseMessage response = await client.SendAsync(request, TestContext.Current.CancellationToken);

        Assert.StartsWith(
            "Bearer realm=\"https://registry.example/v2/token\"", response.Header("WWW-Authenticate"),
            StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Routes))]
    public async Task To_a_token_without_rights_a_repository_looks_absent(string method, string path, string? scope)
    {
        using HttpClient client = registry.ClientWith(new AuthenticationHeaderValue("Bearer", "reader"));

        using HttpResponseMessage response = await SendAsync(client, method, path);
        using HttpResponseMessage absent = await SendAsync(
            client, method, path.Replace("secret/app", "absent/app", StringComparison.Ordinal));

        Assert.Equal(absent.StatusCode, response.StatusCode);
        if (scope?.StartsWith("repository", StringComparison.Ordinal) ?? false)
        {
            await ExpectAsync(HttpStatusCode.NotFound, response);
        }
    }

    [Fact]
    public async Task A_reader_may_pull_but_not_push_or_delete()
    {
        using HttpClient client = registry.ClientWith(new AuthenticationHeaderValue("Basic", Basic("any", "reader")));

        using HttpResponseMessage pull = await client.GetAsync("/v2/team/app/manifests/v1", Stop);
        using HttpResponseMessage push = await client.PostAsync("/v2/team/app/blobs/uploads/", null, Stop);
        using HttpResponseMessage delete = await client.DeleteAsync("/v2/team/app/manifests/v1", Stop);

        await ExpectAsync(HttpStatusCode.OK, pull);
        await ExpectErrorAsync(HttpStatusCode.Forbidden, "DENIED", push);
        await ExpectErrorAsync(HttpStatusCode.Forbidden, "DENIED", delete);
    }

    [Fact]
    public async Task Overwriting_a_tag_is_a_right_of_its_own()
    {
        using HttpClient client = registry.ClientWith(new AuthenticationHeaderValue("Bearer", "writer"));
        byte[] other = await client.PushImageAsync("team/app", "v2", "other layer");

        using HttpResponseMessage overwritten = await client.PutManifestAsync("team/app", "v1", other);
        using HttpResponseMessage same = await client.PutManifestAsync("team/app", "v2", other);

        await ExpectErrorAsync(HttpStatusCode.Forbidden, "DENIED", overwritten);
        await ExpectAsync(HttpStatusCode.Created, same);
    }

    [Fact]
    public async Task A_blob_is_not_mounted_from_where_the_caller_may_not_pull()
    {
        using HttpClient client = registry.ClientWith(new AuthenticationHeaderValue("Bearer", "writer"));
        Digest secret = Digest.Sha256("secret layer"u8);

        using HttpResponseMessage mounted =
            await client.PostAsync($"/v2/team/new/blobs/uploads/?mount={secret}&from=secret/app", null, Stop);
        using HttpResponseMessage got = await client.GetAsync($"/v2/team/new/blobs/{secret}", Stop);

        await ExpectAsync(HttpStatusCode.Accepted, mounted);
        await ExpectErrorAsync(HttpStatusCode.NotFound, "BLOB_UNKNOWN", got);
    }

    [Fact]
    public async Task A_token_is_fetched_with_a_password_and_good_for_its_scope_only()
    {
        string token = await FetchAsync("writer", "scope=repository:team/app:pull");
        using HttpClient client = registry.ClientWith(new AuthenticationHeaderValue("Bearer", token));

        using HttpResponseMessage pull = await client.GetAsync("/v2/team/app/manifests/v1", Stop);
        using HttpResponseMessage push = await client.PostAsync("/v2/team/app/blobs/uploads/", null, Stop);

        await ExpectAsync(HttpStatusCode.OK, pull);
        await ExpectAsync(HttpStatusCode.Unauthorized, push);
        Assert.Contains("insufficient_scope", push.Header("WWW-Authenticate"), StringComparison.Ordinal);
        Assert.Contains("repository:team/app:pull,push", push.Header("WWW-Authenticate"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_token_grants_no_more_than_its_holder_has()
    {
        string token = await FetchAsync(
            "reader", "scope=repository:team/app:pull,push,delete&scope=repository:secret/app:pull");
        using HttpClient client = registry.ClientWith(new AuthenticationHeaderValue("Bearer", token));

        using HttpResponseMessage pull = await client.GetAsync("/v2/team/app/manifests/v1", Stop);
        using HttpResponseMessage push = await client.PostAsync("/v2/team/app/blobs/uploads/", null, Stop);
        using HttpResponseMessage secret = await client.GetAsync("/v2/secret/app/manifests/v1", Stop);

        await ExpectAsync(HttpStatusCode.OK, pull);
        await ExpectAsync(HttpStatusCode.Forbidden, push);
        await ExpectAsync(HttpStatusCode.NotFound, secret);
    }

    [Fact]
    public async Task A_token_ends_with_its_time_and_with_its_holder()
    {
        string token = await FetchAsync("reader", "scope=repository:team/app:pull");
        using HttpClient client = registry.ClientWith(new AuthenticationHeaderValue("Bearer", token));
        await registry.RestartAsync();
        using HttpClient later = registry.ClientWith(new AuthenticationHeaderValue("Bearer", token));

        using HttpResponseMessage good = await later.GetAsync("/v2/team/app/manifests/v1", Stop);
        registry.Time.Advance(RegistryTokens.Lifetime);
        using HttpResponseMessage expired = await later.GetAsync("/v2/team/app/manifests/v1", Stop);
        string fresh = await FetchAsync("reader", "scope=repository:team/app:pull");
        using HttpClient revoked = registry.ClientWith(new AuthenticationHeaderValue("Bearer", fresh));
        registry.Authorizer.Revoke("reader");
        using HttpResponseMessage refused = await revoked.GetAsync("/v2/team/app/manifests/v1", Stop);

        await ExpectAsync(HttpStatusCode.OK, good);
        await ExpectAsync(HttpStatusCode.Unauthorized, expired);
        await ExpectAsync(HttpStatusCode.Unauthorized, refused);
    }

    [Fact]
    public async Task A_token_changed_anywhere_is_refused()
    {
        string token = await FetchAsync("reader", "scope=repository:team/app:pull");
        for (int i = 0; i < token.Length; i++)
        {
            char other = token[i] == 'A' ? 'B' : 'A';
            using HttpClient client = registry.ClientWith(
                new AuthenticationHeaderValue("Bearer", token[..i] + other + token[(i + 1)..]));
            using HttpResponseMessage response = await client.GetAsync("/v2/", Stop);

            // The last character of unpadded base64url carries bits that decode to nothing.
            if (i < token.Length - 1)
            {
                await ExpectAsync(HttpStatusCode.Unauthorized, response);
            }
        }
    }

    [Fact]
    public async Task A_token_is_fetched_by_form()
    {
        using HttpClient client = registry.ClientWith(null);
        using FormUrlEncodedContent form = new(new Dictionary<string, string>
        {
            ["grant_type"] = "password",
            ["username"] = "any",
            ["password"] = "reader",
            ["service"] = "berth",
            ["client_id"] = "docker",
            ["scope"] = "repository:team/app:pull repository:team/app:push",
        });
        using HttpResponseMessage response = await client.PostAsync("/v2/token", form, Stop);

        await ExpectAsync(HttpStatusCode.OK, response);
        string token = (await response.JsonAsync()).GetProperty("access_token").GetString()!;
        using HttpClient bearer = registry.ClientWith(new AuthenticationHeaderValue("Bearer", token));
        using HttpResponseMessage pull = await bearer.GetAsync("/v2/team/app/manifests/v1", Stop);
        await ExpectAsync(HttpStatusCode.OK, pull);
    }

    [Fact]
    public async Task However_much_is_asked_for_the_token_is_one_that_is_read_back()
    {
        string[] scopes =
        [
            "registry:catalog:*," + new string('x', 1000), "registry:" + new string('y', 1000) + ":*",
            "registry:catalog:" + new string('z', 20_000), "repository:team/app:pull,pull,*,*,pull,*,push,pull",
            .. Enumerable.Range(0, 40).Select(i => $"repository:team/{new string('a', 240)}{i}:pull,push,delete,*"),
        ];
        registry.Authorizer.Add("greedy", (_, _) => true);
        using HttpClient client = registry.ClientWith(null);
        using FormUrlEncodedContent form = new(new Dictionary<string, string>
        {
            ["grant_type"] = "password",
            ["password"] = "greedy",
            ["scope"] = string.Join(' ', scopes),
        });
        using HttpResponseMessage response = await client.PostAsync("/v2/token", form, Stop);

        await ExpectAsync(HttpStatusCode.OK, response);
        string token = (await response.JsonAsync()).GetProperty("token").GetString()!;
        using HttpClient bearer = registry.ClientWith(new AuthenticationHeaderValue("Bearer", token));
        using HttpResponseMessage catalog = await bearer.GetAsync("/v2/_catalog", Stop);
        using HttpResponseMessage pull = await bearer.GetAsync("/v2/team/app/manifests/v1", Stop);
        await ExpectAsync(HttpStatusCode.OK, catalog);
        await ExpectAsync(HttpStatusCode.OK, pull);
        Assert.StartsWith(
            "registry:catalog:* repository:team/app:pull,push,delete repository:team/a",
            (await response.JsonAsync()).GetProperty("scope").GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_token_that_would_not_be_read_back_is_not_issued()
    {
        RegistryTokens tokens = new(Path.Combine(registry.Folder, "another.key"), registry.Time);
        RegistryScope[] scopes =
        [
            .. Enumerable.Range(0, 100).Select(i => new RegistryScope("repository", new string('a', 250), ["pull"])),
        ];

        int most = Enumerable.Range(0, scopes.Length).Last(n => Issue(n) is null);

        Assert.NotNull(tokens.Read(tokens.Issue("somebody", scopes[..most])));
        BerthException refusal = Issue(most + 1)!;
        Assert.Equal(ErrorCode.InvalidRequest, refusal.Code);
        Assert.Contains("ask for fewer scopes", refusal.Message, StringComparison.Ordinal);

        BerthException? Issue(int count) =>
            (BerthException?)Record.Exception(() => tokens.Issue("somebody", scopes[..count]));
    }

    [Theory]
    [InlineData("PATCH", "Content-Range")]
    [InlineData("POST", "digest-algorithm")]
    [InlineData("POST", "grant_type")]
    public async Task A_refusal_tells_the_beginning_of_what_it_refuses_and_nothing_that_steers_a_terminal(
        string method, string what)
    {
        string hostile = new string('x', 20) + "\u001b[2J\u202e" + new string('y', 4000);
        HttpClient client = registry.Client;
        using HttpResponseMessage begun = await client.PostAsync("/v2/team/app/blobs/uploads/", null, Stop);
        using HttpRequestMessage request = new(new HttpMethod(method), what switch
        {
            "digest-algorithm" => "/v2/team/app/blobs/uploads/?digest-algorithm=" + Uri.EscapeDataString(hostile),
            "grant_type" => "/v2/token",
            _ => begun.Headers.Location!.ToString(),
        });
        request.Content = what == "grant_type"
            ? new FormUrlEncodedContent(new Dictionary<string, string> { ["grant_type"] = hostile })
            : Bytes("x"u8.ToArray());
        if (what == "Content-Range")
        {
            request.Content.Headers.TryAddWithoutValidation(what, new string('x', 4000));
        }

        using HttpResponseMessage response = await client.SendAsync(request, Stop);

        await ExpectAsync(HttpStatusCode.BadRequest, response);
        string message = (await response.JsonAsync()).GetProperty("errors")[0].GetProperty("message").GetString()!;
        Assert.Contains(what, message, StringComparison.Ordinal);
        Assert.Contains("…", message, StringComparison.Ordinal);
        Assert.True(message.Length < 250, $"The refusal has {message.Length} characters.");
        Assert.DoesNotContain(message, c => char.IsControl(c) || c == '\u202e');
    }

    [Fact]
    public void A_right_that_is_none_is_told_by_its_beginning()
    {
        BerthException refusal = Assert.Throws<BerthException>(
            () => RepositoryGrant.Parse("team/*:\u001b[2J" + new string('x', 60_000)));

        Assert.StartsWith("'team/*:?[2Jxxx", refusal.Message, StringComparison.Ordinal);
        Assert.True(refusal.Message.Length < 300, $"The refusal has {refusal.Message.Length} characters.");
    }

    [Theory]
    [InlineData(null)]
    [InlineData("wrong")]
    public async Task No_token_without_a_valid_password(string? password)
    {
        using HttpClient client = registry.ClientWith(
            password is null ? null : new AuthenticationHeaderValue("Basic", Basic("any", password)));

        using HttpResponseMessage response = await client.GetAsync("/v2/token?scope=repository:team/app:pull", Stop);

        await ExpectErrorAsync(HttpStatusCode.Unauthorized, "UNAUTHORIZED", response);
        Assert.StartsWith("Basic ", response.Header("WWW-Authenticate"), StringComparison.Ordinal);
    }

    [Fact]
    public void The_key_is_readable_by_its_owner_only() => Assert.Equal(
        UnixFileMode.UserRead | UnixFileMode.UserWrite,
        File.GetUnixFileMode(Path.Combine(registry.Folder, "registry.key")));

    private static string Basic(string user, string password) =>
        Convert.ToBase64String(Encoding.UTF8.GetBytes($"{user}:{password}"));

    private static async Task<HttpResponseMessage> SendAsync(HttpClient client, string method, string path)
    {
        string digest = Digest.Sha256("secret layer"u8).Text;
        using HttpRequestMessage request = new(
            new HttpMethod(method), Placeholder().Replace(path, digest));
        return await client.SendAsync(request, Stop);
    }

    private async Task<string> FetchAsync(string password, string query)
    {
        using HttpClient client = registry.ClientWith(new AuthenticationHeaderValue("Basic", Basic("any", password)));
        using HttpResponseMessage response = await client.GetAsync($"/v2/token?service=berth&{query}", Stop);
        await ExpectAsync(HttpStatusCode.OK, response);
        return (await response.JsonAsync()).GetProperty("token").GetString()!;
    }

    [GeneratedRegex("DIGEST")]
    private static partial Regex Placeholder();
}
