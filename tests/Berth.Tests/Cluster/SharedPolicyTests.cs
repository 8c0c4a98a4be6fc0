using System.Net;
using System.Net.Http.Json;
using Berth.Api.Repositories;
using Berth.Testing.Server;
using Berth.Testing.Store;
using Xunit;

namespace Berth.Tests.Cluster;

/// <summary>Policies of repositories of two whole servers with one store.</summary>
public sealed class SharedPolicyTests(SharedPostgres postgres)
{
    private static CancellationToken Soon => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_policy_that_is_set_at_one_server_holds_at_the_other()
    {
        await using ServerPair pair = await ServerPair.StartAsync(postgres);

        await SetAsync(pair.One, new PolicyView(["1"], AnonymousPull: true));
        await ServerPair.UntilAsync(
            () => Task.FromResult(pair.Two.Server.Rooms.Policies.IsImmutable("demo/echo", "1")));
        using HttpResponseMessage refused = await pair.Two.Client.DeleteAsync(
            new Uri("/v2/demo/echo/manifests/1", UriKind.Relative), Soon);
        using HttpClient nobody = pair.Two.ClientWith(null);
        using HttpResponseMessage pulled = await nobody.GetAsync(
            new Uri("/v2/demo/echo/manifests/1", UriKind.Relative), Soon);
        await SetAsync(pair.Two, new PolicyView());
        await ServerPair.UntilAsync(() => Task.FromResult(pair.One.Server.Rooms.Policies.All().Count == 0));

        Assert.Equal(HttpStatusCode.Conflict, refused.StatusCode);
        Assert.Equal(HttpStatusCode.OK, pulled.StatusCode);
        foreach (ServerRig server in pair.Both)
        {
            Assert.False(File.Exists(Path.Combine(server.Folder, "repository-policies.json")));
        }
    }

    private static async Task SetAsync(ServerRig server, PolicyView policy)
    {
        using HttpResponseMessage set = await server.Client.PutAsJsonAsync(
            "/v1/repositories/demo", policy, RepositoryJson.Default.PolicyView, Soon);
        Assert.True(set.IsSuccessStatusCode, await set.Content.ReadAsStringAsync(Soon));
    }
}
