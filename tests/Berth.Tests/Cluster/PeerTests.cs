using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Security.Cryptography;
using System.Text.Json;
using Berth.Api.Access;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Core.Runs;
using Berth.Oci.Content;
using Berth.Server.Spool;
using Berth.Testing.Server;
using Berth.Testing.Store;
using Xunit;

namespace Berth.Tests.Cluster;

/// <summary>Whole servers on one PostgreSQL that have nothing else in common: what one lacks it has from another.
/// </summary>
public sealed class PeerTests(SharedPostgres postgres)
{
    private const int Large = RunSpool.InlineLimit * 5;

    private static readonly CancellationToken None = CancellationToken.None;

    [Fact]
    public async Task A_large_result_and_its_log_are_had_from_whichever_server()
    {
        await using ServerPair pair = await ServerPair.StartAsync(postgres);
        byte[] input = RandomNumberGenerator.GetBytes(Large);

        string task = await SubmitAsync(pair.One, ["sh", "-c", "echo told >&2; cat"], input);
        await EndsAsync(pair.Two, task);

        foreach (ServerRig server in pair.Both)
        {
            Assert.Equal(input, await server.Client.GetByteArrayAsync($"/v1/runs/{task}/result"));
            Assert.Equal(input, await server.Client.GetByteArrayAsync($"/v1/runs/{task}/input"));
        }

        Assert.Equal(
            await pair.One.Client.GetStringAsync($"/v1/runs/{task}/logs"),
            await pair.Two.Client.GetStringAsync($"/v1/runs/{task}/logs"));
    }

    [Fact]
    public async Task A_part_of_a_result_of_another_server_is_sent_as_a_part()
    {
        await using ServerPair pair = await ServerPair.StartAsync(postgres);
        byte[] input = RandomNumberGenerator.GetBytes(Large);
        string task = await SubmitAsync(pair.One, ["cat"], input);
        await EndsAsync(pair.One, task);

        foreach (ServerRig server in pair.Both)
        {
            using HttpRequestMessage request = new(HttpMethod.Get, $"/v1/runs/{task}/result");
            request.Headers.Range = new RangeHeaderValue(Large - 1000, Large - 1);
            using HttpResponseMessage answer = await server.SendAsync(request);
            Assert.Equal(HttpStatusCode.PartialContent, answer.StatusCode);
            Assert.Equal(input[^1000..], await answer.Content.ReadAsByteArrayAsync());
        }
    }

    [Fact]
    public async Task A_task_with_a_large_input_runs_at_a_server_that_has_neither_input_nor_image()
    {
        await using ServerPair pair = await ServerPair.StartAsync(postgres);
        Digest image = await pair.One.AddImageAsync("demo/only", "1", "amd64");
        byte[] input = RandomNumberGenerator.GetBytes(Large);
        // The one that accepts has no place for it.
        pair.One.Server.Rooms.Runs.Resize(0);

        string task = await SubmitAsync(pair.One, ["cat"], input);
        Run run = await EndsAsync(pair.Two, task);

        Assert.Equal(("two", RunState.Succeeded), (run.Node, run.State));
        Assert.Equal(input, await pair.One.Client.GetByteArrayAsync($"/v1/runs/{task}/result"));
        Assert.NotNull(pair.One.Server.Rooms.Content.SizeOf(image));
    }

    [Fact]
    public async Task An_image_that_only_another_server_has_is_fetched_once_and_verified()
    {
        await using ServerPair pair = await ServerPair.StartAsync(postgres);
        Digest image = await pair.One.AddImageAsync("demo/only", "1", "arm64");
        Assert.Null(pair.Two.Server.Rooms.Content.SizeOf(image));

        // It is for another machine: that is found out by its configuration, which was fetched too.
        BerthException refused = await Assert.ThrowsAsync<BerthException>(
            () => pair.Two.Server.Rooms.Images.OpenAsync(image, None));

        Assert.Contains("arm64", refused.Message, StringComparison.Ordinal);
        Assert.NotNull(pair.Two.Server.Rooms.Content.SizeOf(image));
        BerthException nowhere = await Assert.ThrowsAsync<BerthException>(
            () => pair.Two.Server.Rooms.Images.OpenAsync(Digest.Sha256([1, 2, 3]), None));
        Assert.Equal(ErrorCode.ImageNotFound, nowhere.Code);
    }

    [Fact]
    public async Task What_a_server_has_that_is_gone_is_told_with_its_name()
    {
        await using ServerPair pair = await ServerPair.StartAsync(postgres);
        string task = await SubmitAsync(pair.One, ["cat"], RandomNumberGenerator.GetBytes(Large));
        await EndsAsync(pair.Two, task);
        (ServerRig holder, ServerRig other) = pair.One.Server.Rooms.Runs.Rooms.Spool.List().Any(r => r.Text == task)
            && await pair.One.Server.Rooms.Nodes.Peers!.HolderAsync(RunId.Parse(task), None) is null
                ? (pair.One, pair.Two)
                : (pair.Two, pair.One);

        await holder.Server.StopAsync(None);
        using HttpResponseMessage answer = await other.Client.GetAsync(
            new Uri($"/v1/runs/{task}/result", UriKind.Relative));

        string text = await answer.Content.ReadAsStringAsync();
        Assert.True(answer.StatusCode == HttpStatusCode.ServiceUnavailable, text);
        Assert.Equal("server_unreachable", JsonDocument.Parse(text).RootElement.GetProperty("code").GetString());
        Assert.Contains(holder == pair.One ? "'one'" : "'two'", text, StringComparison.Ordinal);
        Assert.NotNull(answer.Headers.RetryAfter);
    }

    [Fact]
    public async Task A_token_holds_at_every_server_until_it_is_revoked_at_any()
    {
        await using ServerPair pair = await ServerPair.StartAsync(postgres);
        using HttpResponseMessage made = await pair.One.Client.PostAsJsonAsync(
            "/v1/tokens", new TokenRequest("ci", "user", null), AccessJson.Default.TokenRequest);
        TokenCreated token = (await made.Content.ReadFromJsonAsync(AccessJson.Default.TokenCreated))!;

        using HttpClient there = pair.Two.ClientWith(token.Secret);
        await ServerPair.UntilAsync(async () => await StatusAsync(there) == HttpStatusCode.OK);
        using HttpResponseMessage revoked = await pair.Two.Client.DeleteAsync(
            new Uri($"/v1/tokens/{token.Token.Id}", UriKind.Relative));
        Assert.Equal(HttpStatusCode.NoContent, revoked.StatusCode);
        using HttpClient here = pair.One.ClientWith(token.Secret);
        await ServerPair.UntilAsync(async () => await StatusAsync(here) == HttpStatusCode.Unauthorized);
    }

    [Fact]
    public async Task Tokens_that_two_servers_make_at_once_are_all_kept()
    {
        await using ServerPair pair = await ServerPair.StartAsync(postgres);

        await Task.WhenAll(Enumerable.Range(0, 12).Select(async i =>
        {
            using HttpResponseMessage made = await pair.Both[i % 2].Client.PostAsJsonAsync(
                "/v1/tokens", new TokenRequest($"t{i}", "user", null), AccessJson.Default.TokenRequest);
            Assert.Equal(HttpStatusCode.Created, made.StatusCode);
        }));

        await ServerPair.UntilAsync(
            () => Task.FromResult(pair.Both.All(s => s.Server.Rooms.Tokens.List().Count == 13)));
    }

    [Fact]
    public async Task All_servers_are_of_one_authority_and_one_without_the_key_is_refused()
    {
        await using ServerPair pair = await ServerPair.StartAsync(postgres);
        foreach (string file in (string[])["node-authority.pem", "callback.key", "registry.key"])
        {
            Assert.Equal(
                await File.ReadAllTextAsync(Path.Combine(pair.One.Folder, file)),
                await File.ReadAllTextAsync(Path.Combine(pair.Two.Folder, file)));
        }

        BerthException refused = await Assert.ThrowsAsync<BerthException>(
            () => ServerPair.StartAsync(pair.Address, "three", null));
        Assert.Equal(ErrorCode.InvalidConfiguration, refused.Code);
        Assert.Contains("secrets.key is not the one of the servers", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Two_machines_have_two_names()
    {
        await using ServerPair pair = await ServerPair.StartAsync(postgres);

        BerthException refused = await Assert.ThrowsAsync<BerthException>(
            () => ServerPair.StartAsync(pair.Address, "two", pair.One));

        Assert.Contains("node-name = 'two'", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Nobody_but_a_server_has_files_from_a_server()
    {
        await using ServerPair pair = await ServerPair.StartAsync(postgres);
        Uri gate = pair.One.Server.Rooms.Nodes.Addresses[0];
        using HttpClient anybody = new(new SocketsHttpHandler
        {
            UseProxy = false,
            SslOptions = new() { RemoteCertificateValidationCallback = (_, shown, _, _) => shown is not null },
        })
        {
            BaseAddress = gate,
            DefaultRequestVersion = HttpVersion.Version20,
            DefaultVersionPolicy = HttpVersionPolicy.RequestVersionExact,
        };

        foreach (string path in (string[])
            [
                "/servers/results/x/1", "/servers/inputs/x", "/servers/logs/x", "/servers/function-logs/x", "/blobs/x",
            ])
        {
            using HttpResponseMessage answer = await anybody.GetAsync(new Uri(path, UriKind.Relative));
            Assert.Equal(HttpStatusCode.Unauthorized, answer.StatusCode);
        }
    }

    private static async Task<HttpStatusCode> StatusAsync(HttpClient client)
    {
        using HttpResponseMessage answer = await client.GetAsync(new Uri("/v1/runs", UriKind.Relative));
        return answer.StatusCode;
    }

    private static async Task<string> SubmitAsync(ServerRig server, string[] command, byte[] input)
    {
        using HttpResponseMessage answer = await server.SendAsync(
            ServerRig.Call(command, new ByteArrayContent(input), "tasks"));
        string text = await answer.Content.ReadAsStringAsync();
        Assert.True(answer.StatusCode == HttpStatusCode.Accepted, text);
        return JsonDocument.Parse(text).RootElement.GetProperty("id").GetString()!;
    }

    private static Task<Run> EndsAsync(ServerRig server, string task) =>
        server.Server.Rooms.Runs.WaitAsync(RunId.Parse(task), TimeSpan.FromMinutes(1), None);
}
