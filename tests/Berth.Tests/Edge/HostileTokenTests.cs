using System.Net;
using System.Net.Sockets;
using System.Text;
using Berth.Api.Client;
using Berth.Api.Containers;
using Berth.Api.Functions;
using Berth.Server.Access;
using Berth.Testing.Server;
using Berth.Tests.Server;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Xunit;

namespace Berth.Tests.Edge;

/// <summary>
/// Tokens that are almost one, and what a refusal gives away: the same words for all of them, whatever there is behind
/// the route.
/// </summary>
public sealed class HostileTokenTests(ServerRigFixture fixture) : IClassFixture<ServerRigFixture>
{
    private ServerRig Rig => fixture.Rig;

    [Fact]
    public async Task Whatever_is_almost_a_token_is_refused_in_the_same_words()
    {
        string good = Rig.AdminToken;
        TokenStore tokens = Rig.Server.Rooms.Tokens;
        var other = tokens.Create(NewName(), Role.Pull, null);
        var revoked = tokens.Create(NewName(), Role.Admin, null);
        tokens.Revoke(revoked.Token.Id);
        string expired = tokens.Create(NewName(), Role.Admin, TimeSpan.FromSeconds(-1)).Secret;
        string none = Encode("""{"alg":"none","typ":"JWT"}""") + "." + Encode("""{"sub":"admin","exp":9999999999}""");
        List<string> hostile =
        [
            "", " ", "null", "undefined", "berth_", good[..^1], good + "0", good[1..], good.ToUpperInvariant(),
            good.Replace("berth_", "BERTH_", StringComparison.Ordinal), good.Replace('_', '-'), good + "\t" + good,
            good[..^64], good[..^64] + new string('0', 64), good[..^64] + other.Secret[^64..],
            other.Secret[..^64] + good[^64..], $"{good},{good}", $"\"{good}\"", $"{good};", $"'{good}' OR '1'='1",
            good[..20] + "%00" + good[20..], "../../admin.token", new string('a', good.Length),
            "berth_" + new string('/', good.Length - 6), revoked.Secret, expired, none + ".", none + ".AAAA",
            "e30.e30.",
            new string('a', 60_000), "berth_" + new string('0', 60_000),
        ];
        // Every place in the text counts.
        hostile.AddRange(
            Enumerable.Range(0, good.Length).Select(i => good[..i] + (char)(good[i] ^ 1) + good[(i + 1)..]));

        HashSet<string> answers = [];
        foreach (string token in hostile)
        {
            foreach (string path in (string[])["/v1/node", "/v2/", "/metrics"])
            {
                using HttpRequestMessage request = new(HttpMethod.Get, path);
                request.Headers.TryAddWithoutValidation("Authorization", "Bearer " + token);
                using HttpResponseMessage answer = await SendAsync(request);
                Assert.True(
                    answer.StatusCode is HttpStatusCode.Unauthorized or HttpStatusCode.BadRequest,
                    $"{path} answers {(int)answer.StatusCode} to '{token[..Math.Min(token.Length, 100)]}'.");
                if (answer.StatusCode == HttpStatusCode.Unauthorized)
                {
                    answers.Add(path + await answer.Content.ReadAsStringAsync());
                }
            }
        }

        Assert.Equal(3, answers.Count);
    }

    [Fact]
    public async Task Two_tokens_at_once_are_none()
    {
        await using RawConnection connection = await RawConnection.OpenAsync(Rig);
        await connection.WriteAsync(
            $"GET /v1/node HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{connection.Authorization}"
            + "Authorization: Bearer x\r\n\r\n");

        Assert.StartsWith("HTTP/1.1 401 ", await connection.ReadToEndAsync(), StringComparison.Ordinal);
    }

    /// <summary>Every route, for who may not use it: with things that exist and things that don't.</summary>
    [Fact]
    public async Task What_exists_and_what_does_not_are_refused_alike_on_every_route()
    {
        using BerthClient client = new(Rig.Address, Rig.AdminToken, TimeProvider.System);
        string run = (await Rig.FinishAsync(body: new StringContent("x"))).Id;
        string token = Rig.Server.Rooms.Tokens.Create(NewName(), Role.Pull, null).Token.Id;
        string container = (await client.Containers.CreateAsync(
            new ContainerRequest { Image = ServerRig.Image }, TestContext.Current.CancellationToken)).Id;
        await client.Volumes.CreateAsync(new("kept"), TestContext.Current.CancellationToken);
        await client.Functions.DeployAsync(
            "kept", new FunctionRequest(ServerRig.Image), TestContext.Current.CancellationToken);
        int compared = 0;
        foreach (AccessRow row in AccessTable.All)
        {
            foreach (Role? role in (Role?[])[null, .. Enum.GetValues<Role>()])
            {
                if (role is { } some ? Roles.May(some, row.Permission) : row.Permission == Permission.Open)
                {
                    continue;
                }

                string? secret = role is { } known
                    ? Rig.Server.Rooms.Tokens.Create(NewName(), known, null).Secret
                    : null;
                string id = row.Pattern.Split('/').ElementAtOrDefault(2) switch
                {
                    "tokens" => token,
                    "containers" => container,
                    _ => run,
                };
                string there = await AnswerAsync(row, secret, id, ServerRig.Image, "kept", "1");
                string absent = await AnswerAsync(
                    row, secret, "01k00000000000000000000000", "demo/nothing:1", "nothing", "9");
                Assert.Equal(absent, there);
                // AWS's own interface knows no 401.
                bool says401 = role is null && !row.Pattern.StartsWith("/2015-03-31/", StringComparison.Ordinal);
                Assert.StartsWith(says401 ? "401 " : "403 ", there, StringComparison.Ordinal);
                compared++;
            }
        }

        Assert.True(compared >= AccessTable.All.Count, $"Only {compared} were compared.");
    }

    private static string NewName() => "t-" + Guid.CreateVersion7().ToString("N");

    private static string Encode(string text) =>
        Convert.ToBase64String(Encoding.ASCII.GetBytes(text)).TrimEnd('=').Replace('+', '-').Replace('/', '_');

    private async Task<string> AnswerAsync(
        AccessRow row, string? secret, string id, string reference, string name, string number)
    {
        using HttpClient client = Rig.ClientWith(secret);
        using HttpRequestMessage request = new(
            new HttpMethod(row.Method),
            row.Pattern.Replace("{**reference}", reference, StringComparison.Ordinal)
                .Replace("{**scope}", reference.Split(':')[0], StringComparison.Ordinal)
                .Replace("{id}", id, StringComparison.Ordinal)
                .Replace("{name}", name, StringComparison.Ordinal)
                .Replace("{number}", number, StringComparison.Ordinal)
                .Replace("{**path}", "x", StringComparison.Ordinal));
        using HttpResponseMessage answer = await client.SendAsync(request);
        // The holder's own name is in the words.
        string text = await answer.Content.ReadAsStringAsync();
        return $"{(int)answer.StatusCode} {text} {answer.Content.Headers.ContentLength}";
    }

    private async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request)
    {
        using HttpClient client = Rig.ClientWith(null);
        return await client.SendAsync(request);
    }
}
