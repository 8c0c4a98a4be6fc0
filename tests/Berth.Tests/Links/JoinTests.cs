using System.Net;
using System.Net.Http.Json;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json;
using Berth.Api.Links;
using Berth.Api.Nodes;
using Berth.Api.Runs;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Node.Links;
using Berth.Server.Nodes;
using Berth.Testing.Content;
using Berth.Testing.Server;
using Berth.Tests.Server;
using Xunit;

namespace Berth.Tests.Links;

public sealed class JoinTests : IAsyncLifetime
{
    private LinkRig rig = null!;

    public async ValueTask InitializeAsync() => rig = await LinkRig.StartAsync();

    public async ValueTask DisposeAsync() => await rig.DisposeAsync();

    [Fact]
    public async Task A_node_that_joined_is_told_of_with_what_it_said()
    {
        await rig.JoinAsync("worker", places: 7);

        MachineView node = await rig.UntilAsync("worker", n => n is { State: "ready", Load: not null });

        Assert.Equal((7, false, false), (node.Places, node.Own, node.Cordoned));
        Assert.Equal("fake", node.Facts!.Engine);
        Assert.NotNull(node.CertificateEnd);
        MachineList all = (await rig.Server.Client.GetFromJsonAsync("/v1/nodes", NodeJson.Default.MachineList))!;
        Assert.Equal(["fake", "worker"], all.Nodes.Select(n => n.Name));
        Assert.True(all.Nodes[0].Own);
    }

    [Fact]
    public async Task A_token_is_spent_once()
    {
        string token = await rig.TokenAsync();
        using NodeIdentity first = await JoinAsync(token, "one");

        BerthException refusal = await Assert.ThrowsAsync<BerthException>(() => JoinAsync(token, "two"));

        Assert.Equal(ErrorCode.Unauthorized, refusal.Code);
        Assert.Contains("used already, by the node 'one'", refusal.Message, StringComparison.Ordinal);
        Assert.DoesNotContain(rig.Rooms.Register.All, n => n.Name == "two");
    }

    [Fact]
    public async Task Of_many_who_come_with_one_token_one_joins()
    {
        string token = await rig.TokenAsync();

        Exception?[] ends = await Task.WhenAll(Enumerable.Range(0, 8).Select(
            i => Record.ExceptionAsync(async () => (await JoinAsync(token, $"n{i}")).Dispose()).AsTask()));

        Assert.Single(ends, e => e is null);
        Assert.All(ends.OfType<Exception>(), e => Assert.Equal(
            ErrorCode.Unauthorized, Assert.IsType<BerthException>(e).Code));
    }

    [Fact]
    public async Task A_wrong_secret_looks_like_no_token_at_all()
    {
        Assert.True(JoinToken.TryParse(await rig.TokenAsync(), out JoinToken token));
        string wrong = (token with { Secret = new string('0', 64) }).ToString();
        string unknown = (token with { Id = "000000000000" }).ToString();

        BerthException one = await Assert.ThrowsAsync<BerthException>(() => JoinAsync(wrong, "one"));
        BerthException other = await Assert.ThrowsAsync<BerthException>(() => JoinAsync(unknown, "one"));

        Assert.Equal((ErrorCode.Unauthorized, one.Message), (other.Code, other.Message));
    }

    [Fact]
    public async Task An_expired_token_is_refused_as_that()
    {
        (JoinToken token, _) = await rig.Rooms.Register.MakeTokenAsync(
            TimeSpan.FromTicks(1), "test", CancellationToken.None);

        BerthException refusal = await Assert.ThrowsAsync<BerthException>(() => JoinAsync(token.ToString(), "one"));

        Assert.Contains("has expired", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_token_that_was_taken_back_is_refused_like_one_there_never_was()
    {
        string text = await rig.TokenAsync();
        Assert.True(JoinToken.TryParse(text, out JoinToken token));

        using HttpResponseMessage first = await rig.Server.Client.DeleteAsync($"/v1/node-tokens/{token.Id}");
        using HttpResponseMessage second = await rig.Server.Client.DeleteAsync($"/v1/node-tokens/{token.Id}");
        BerthException refusal = await Assert.ThrowsAsync<BerthException>(() => JoinAsync(text, "one"));

        Assert.Equal((HttpStatusCode.NoContent, HttpStatusCode.NotFound), (first.StatusCode, second.StatusCode));
        Assert.Equal(ErrorCode.Unauthorized, refusal.Code);
        Assert.Contains("is not valid", refusal.Message, StringComparison.Ordinal);
        Assert.DoesNotContain(rig.Rooms.Register.All, n => n.Name == "one");
    }

    [Fact]
    public async Task Tokens_are_listed_with_what_became_of_them_and_without_their_secrets()
    {
        string used = await rig.TokenAsync();
        string valid = await rig.TokenAsync();
        using NodeIdentity one = await JoinAsync(used, "one");
        (JoinToken expired, _) = await rig.Rooms.Register.MakeTokenAsync(
            TimeSpan.FromTicks(1), "somebody", CancellationToken.None);

        string text = await rig.Server.Client.GetStringAsync("/v1/node-tokens");

        JoinTokenList list = JsonSerializer.Deserialize(text, NodeJson.Default.JoinTokenList)!;
        Dictionary<string, JoinTokenView> byId = list.Tokens.ToDictionary(t => t.Id);
        Assert.Equal(3, byId.Count);
        Assert.Equal(("used", "one"), (byId[IdOf(used)].State, byId[IdOf(used)].UsedBy));
        Assert.Equal(("valid", null), (byId[IdOf(valid)].State, byId[IdOf(valid)].UsedBy));
        Assert.Equal(("expired", "somebody"), (byId[expired.Id].State, byId[expired.Id].Caller));
        Assert.DoesNotContain(valid.Split('_')[2], text, StringComparison.Ordinal);
        Assert.DoesNotContain(expired.HashOfSecret(), text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_node_stays_when_the_token_that_it_joined_with_is_taken_back()
    {
        string token = await rig.TokenAsync();
        using NodeIdentity one = await JoinAsync(token, "one");

        using HttpResponseMessage removed = await rig.Server.Client.DeleteAsync($"/v1/node-tokens/{IdOf(token)}");

        Assert.Equal(HttpStatusCode.NoContent, removed.StatusCode);
        using ServerDoor door = ServerDoor.Of(rig.NodeAddress, one, TimeProvider.System);
        await using Stream blob = await door.OpenBlobAsync(rig.Server.Digest, CancellationToken.None);
        Assert.NotEqual(-1, blob.ReadByte());
    }

    private static string IdOf(string token) =>
        JoinToken.TryParse(token, out JoinToken read) ? read.Id : throw new ArgumentException(token);

    [Fact]
    public async Task A_token_is_not_sent_to_another_server()
    {
        await using LinkRig other = await LinkRig.StartAsync();
        string token = await other.TokenAsync();

        BerthException refusal = await Assert.ThrowsAsync<BerthException>(() => JoinAsync(token, "one"));

        Assert.Contains("The token was not sent", refusal.Message, StringComparison.Ordinal);
        using TemporaryFolder folder = new();
        using NodeIdentity still = await ServerDoor.JoinAsync(
            other.NodeAddress, token, "one", new Dictionary<string, string>(), folder.Path, TimeProvider.System,
            CancellationToken.None);
    }

    [Fact]
    public async Task A_name_is_given_once()
    {
        using NodeIdentity first = await JoinAsync(await rig.TokenAsync(), "one");
        string token = await rig.TokenAsync();

        BerthException taken = await Assert.ThrowsAsync<BerthException>(() => JoinAsync(token, "one"));
        BerthException own = await Assert.ThrowsAsync<BerthException>(() => JoinAsync(token, "fake"));
        // A refusal costs no token.
        using NodeIdentity second = await JoinAsync(token, "two");

        Assert.All([taken, own], e => Assert.Equal(ErrorCode.Conflict, e.Code));
        Assert.Contains("berth node rm one", taken.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(3)]
    [InlineData(-3)]
    public async Task A_clock_that_is_hours_off_is_refused_with_a_text(int hours)
    {
        OffsetClock clock = new(TimeSpan.FromHours(hours));
        using TemporaryFolder folder = new();

        BerthException refusal = await Assert.ThrowsAsync<BerthException>(async () => await ServerDoor.JoinAsync(
            rig.NodeAddress, await rig.TokenAsync(), "late", new Dictionary<string, string>(), folder.Path, clock,
            CancellationToken.None));

        Assert.Contains("Its clock is 180 min", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_clock_that_goes_wrong_after_joining_is_shown_with_the_nodes()
    {
        TemporaryFolder folder = new();
        NodeIdentity identity = await JoinAsync(await rig.TokenAsync(), "late", folder);

        await rig.StartAsync(folder, identity, time: new OffsetClock(TimeSpan.FromHours(-2)));
        MachineView node = await rig.UntilAsync("late", n => n.State == "refused");

        Assert.Contains("behind the server's", node.Problem, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_removed_node_is_refused_and_its_link_ends()
    {
        JoinedNode worker = await rig.JoinAsync("worker");
        await rig.UntilAsync("worker", n => n.State == "ready");
        RemoteNode node = rig.Rooms.Register.Get("worker").Node!;

        using HttpResponseMessage removed = await rig.Server.Client.DeleteAsync("/v1/nodes/worker");

        Assert.Equal(HttpStatusCode.NoContent, removed.StatusCode);
        Assert.True(node.Link.Closed.IsCancellationRequested);
        using NodeIdentity identity = NodeIdentity.Load(worker.Folder.Path)!;
        using ServerDoor door = ServerDoor.Of(rig.NodeAddress, identity, TimeProvider.System);
        BerthException refusal = await Assert.ThrowsAsync<BerthException>(
            () => door.OpenBlobAsync(rig.Server.Digest, CancellationToken.None));
        Assert.Equal(ErrorCode.Unauthorized, refusal.Code);
        Assert.Contains("it was removed", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_certificate_of_another_authority_is_of_no_use()
    {
        await using LinkRig other = await LinkRig.StartAsync();
        using TemporaryFolder folder = new();
        using NodeIdentity there = await ServerDoor.JoinAsync(
            other.NodeAddress, await other.TokenAsync(), "worker", new Dictionary<string, string>(), folder.Path,
            TimeProvider.System, CancellationToken.None);
        using NodeIdentity here = await JoinAsync(await rig.TokenAsync(), "worker");

        Assert.NotNull(rig.Rooms.Register.Holder(here.Certificate));
        Assert.Null(rig.Rooms.Register.Holder(there.Certificate));
        Assert.Null(rig.Rooms.Register.Holder(null));
    }

    [Fact]
    public async Task A_node_does_not_pass_for_the_server()
    {
        using NodeIdentity node = await JoinAsync(await rig.TokenAsync(), "worker");

        Assert.False(NodeIdentity.IsServer(node.Certificate, node.Authority, DateTimeOffset.UnixEpoch));
    }

    [Fact]
    public async Task A_renewed_certificate_is_good_and_the_old_one_until_the_new_was_used()
    {
        JoinedNode worker = await rig.JoinAsync("worker");
        await rig.UntilAsync("worker", n => n.State == "ready");
        using NodeIdentity old = NodeIdentity.Load(worker.Folder.Path)!;
        using ServerDoor door = ServerDoor.Of(rig.NodeAddress, old, TimeProvider.System);

        using NodeIdentity renewed = await door.RenewAsync(worker.Folder.Path, CancellationToken.None);

        Assert.NotNull(rig.Rooms.Register.Holder(old.Certificate));
        Assert.NotNull(rig.Rooms.Register.Holder(renewed.Certificate));
        await worker.StopAsync();
        await rig.StartAsync(new TemporaryFolder(), NodeIdentity.Load(worker.Folder.Path)!);
        await rig.UntilAsync("worker", n => n.State == "ready");
        Assert.Null(rig.Rooms.Register.Holder(old.Certificate));
    }

    [Theory]
    [InlineData("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----")]
    [InlineData("")]
    [InlineData("nothing of the kind")]
    public void What_is_no_request_is_refused(string pem)
    {
        using TemporaryFolder folder = new();
        using NodeAuthority authority = NodeAuthority.LoadOrCreate(folder["a.pem"], TimeProvider.System);

        Assert.Equal(
            ErrorCode.InvalidRequest, Assert.Throws<BerthException>(() => authority.Issue(pem, "x")).Code);
    }

    [Fact]
    public void Only_keys_of_one_kind_are_signed_and_the_authority_s_own_is_its_owner_s_alone()
    {
        using TemporaryFolder folder = new();
        using NodeAuthority authority = NodeAuthority.LoadOrCreate(folder["a.pem"], TimeProvider.System);
        using RSA rsa = RSA.Create(2048);
        using ECDsa other = ECDsa.Create(ECCurve.NamedCurves.nistP384);
        string[] requests =
        [
            new CertificateRequest("CN=x", rsa, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1)
                .CreateSigningRequestPem(),
            new CertificateRequest("CN=x", other, HashAlgorithmName.SHA256).CreateSigningRequestPem(),
        ];

        Assert.All(requests, r => Assert.Throws<BerthException>(() => authority.Issue(r, "x")));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(folder["a.pem"]));
        using NodeAuthority again = NodeAuthority.LoadOrCreate(folder["a.pem"], TimeProvider.System);
        Assert.Equal(authority.Fingerprint, again.Fingerprint);
    }

    private Task<NodeIdentity> JoinAsync(string token, string name, TemporaryFolder? folder = null) =>
        ServerDoor.JoinAsync(
            rig.NodeAddress, token, name, new Dictionary<string, string>(),
            (folder ?? new TemporaryFolder()).Path, TimeProvider.System, CancellationToken.None);

    private sealed class OffsetClock(TimeSpan offset) : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => System.GetUtcNow() + offset;
    }
}
