using System.Net;
using System.Text;
using Berth.Testing.Server;
using Xunit;

namespace Berth.Tests.Containers;

/// <summary>What is asked of containers and can't be had: refused by naming the member, the value and the remedy.
/// </summary>
public sealed class ContainerRequestTests : IAsyncLifetime
{
    private ContainerRig rig = null!;

    public async ValueTask InitializeAsync() => rig = await ContainerRig.StartAsync();

    public ValueTask DisposeAsync() => rig.DisposeAsync();

    [Theory]
    [InlineData("{}", 400, "'image' is missing")]
    [InlineData("""{"image":"demo/none"}""", 404, "There is no image demo/none")]
    [InlineData("""{"image":"E","imge":"x"}""", 400, "imge")]
    [InlineData("""{"image":"E","name":"../x"}""", 400, "no name for a container")]
    [InlineData("""{"image":"E","command":["a"],"arguments":["b"]}""", 400, "arguments = 'b'")]
    [InlineData("""{"image":"E","command":["a\u0000b"]}""", 400, "without NUL")]
    [InlineData("""{"image":"E","memory":"9Ti"}""", 400, "max-memory")]
    [InlineData("""{"image":"E","memory":"lots"}""", 400, "memory = 'lots'")]
    [InlineData("""{"image":"E","cpus":"-1"}""", 400, "cpus = '-1'")]
    [InlineData("""{"image":"E","pids":0}""", 400, "pids = '0'")]
    [InlineData("""{"image":"E","disk":"1Ki"}""", 400, "disk = '1Ki'")]
    [InlineData("""{"image":"E","network":"bridge"}""", 400, "expected none, host, or the name")]
    [InlineData("""{"image":"E","network":"nowhere"}""", 404, "no network 'nowhere'")]
    [InlineData("""{"image":"E","ports":[{"port":1,"target":1}]}""", 400, "belong to a network")]
    [InlineData("""{"image":"E","network":"n","ports":[{"port":0,"target":1}]}""", 400, "ports.port")]
    [InlineData("""{"image":"E","network":"n","ports":[{"port":1,"target":65536}]}""", 400, "ports.target")]
    [InlineData(
        """{"image":"E","network":"n","ports":[{"port":1,"target":1},{"port":1,"target":2}]}""", 400,
        "one place only")]
    [InlineData("""{"image":"E","network":"n","aliases":["A.B"]}""", 400, "aliases")]
    [InlineData("""{"image":"E","network":"n","address":"fe80::1"}""", 400, "IPv4 address")]
    [InlineData("""{"image":"E","network":"host"}""", 403, "allow-host-network")]
    [InlineData("""{"image":"E","environment":{"BERTH_X":"1"}}""", 400, "Berth's own")]
    [InlineData("""{"image":"E","environment":{"1X":"1"}}""", 400, "environment = '1X'")]
    [InlineData("""{"image":"E","user":"4294967296"}""", 400, "user = '4294967296'")]
    [InlineData("""{"image":"E","workingDirectory":"/a/../b"}""", 400, "workingDirectory")]
    [InlineData("""{"image":"E","hostName":"a_b"}""", 400, "hostName = 'a_b'")]
    [InlineData("""{"image":"E","restart":"often"}""", 400, "'often' is no restart policy")]
    [InlineData("""{"image":"E","restart":"always","autoRemove":true}""", 400, "can't be started again")]
    [InlineData("""{"image":"E","stopSignal":"SIGNOPE"}""", 400, "'SIGNOPE' is no signal")]
    [InlineData("""{"image":"E","grace":"long"}""", 400, "grace = 'long'")]
    [InlineData("""{"image":"E","labels":{"a b":"1"}}""", 400, "labels = 'a b'")]
    [InlineData("""{"image":"E","health":{"command":["a"],"retries":0}}""", 400, "health.retries")]
    [InlineData("""{"image":"E","health":{"command":["a"],"interval":"0s"}}""", 400, "health.interval")]
    [InlineData("""{"image":"E","mounts":[{"type":"nfs","target":"/x"}]}""", 400, "volume, host or memory")]
    [InlineData("""{"image":"E","mounts":[{"type":"volume","target":"x"}]}""", 400, "mounts.target = 'x'")]
    [InlineData("""{"image":"E","mounts":[{"type":"volume","target":"/proc/x"}]}""", 400, "mounts.target")]
    [InlineData("""{"image":"E","mounts":[{"type":"volume","target":"/a/../b"}]}""", 400, "mounts.target")]
    [InlineData("""{"image":"E","mounts":[{"type":"volume","source":"a/b","target":"/x"}]}""", 400, "volume")]
    [InlineData("""{"image":"E","mounts":[{"type":"host","source":"/etc","target":"/x"}]}""", 403, "mount-allow")]
    [InlineData(
        """{"image":"E","mounts":[{"type":"host","source":"/srv/sharedx","target":"/x"}]}""", 403, "mount-allow")]
    [InlineData(
        """{"image":"E","mounts":[{"type":"host","source":"/srv/shared/../x","target":"/x"}]}""", 400,
        "mounts.source")]
    [InlineData(
        """{"image":"E","mounts":[{"type":"volume","target":"/x"},{"type":"memory","target":"/x/"}]}""", 400,
        "same place")]
    [InlineData("""{"image":"E","mounts":[{"type":"memory","target":"/x","size":"99Ti"}]}""", 400, "mounts.size")]
    public async Task What_can_not_be_made_is_refused_by_name(string body, int status, string says)
    {
        using HttpResponseMessage response = await rig.Server.Client.PostAsync(
            "/v1/containers", new StringContent(
                body.Replace("\"E\"", $"\"{ServerRig.Image}\"", StringComparison.Ordinal), Encoding.UTF8,
                "application/json"));
        string text = await response.Content.ReadAsStringAsync();

        Assert.Equal((HttpStatusCode)status, response.StatusCode);
        Assert.Contains(says, System.Text.RegularExpressions.Regex.Unescape(text), StringComparison.Ordinal);
        Assert.Empty(await rig.Client.Volumes.ListAsync(CancellationToken.None));
    }

    [Theory]
    [InlineData("GET", "/v1/containers?state=sleeping", 400)]
    [InlineData("GET", "/v1/containers?limit=0", 400)]
    [InlineData("GET", "/v1/containers?cursor=x", 400)]
    [InlineData("GET", "/v1/containers?color=red", 400)]
    [InlineData("GET", "/v1/containers/none", 404)]
    [InlineData("GET", "/v1/containers/none/logs", 404)]
    [InlineData("GET", "/v1/containers/none/attach", 404)]
    [InlineData("GET", "/v1/containers/made/attach", 400)]
    [InlineData("GET", "/v1/containers/made/exec", 400)]
    [InlineData("GET", "/v1/containers/made/stats", 409)]
    [InlineData("GET", "/v1/containers/made/processes", 409)]
    [InlineData("GET", "/v1/containers/made/path?path=etc", 400)]
    [InlineData("GET", "/v1/containers/made/archive", 400)]
    [InlineData("GET", "/v1/containers/made/logs?stream=both", 400)]
    [InlineData("POST", "/v1/containers/none/start", 404)]
    [InlineData("POST", "/v1/containers/made/kill", 409)]
    [InlineData("POST", "/v1/containers/made/kill?signal=0", 400)]
    [InlineData("POST", "/v1/containers/made/pause", 409)]
    [InlineData("POST", "/v1/containers/made/unpause", 409)]
    [InlineData("POST", "/v1/containers/made/stop?grace=2d", 400)]
    [InlineData("POST", "/v1/containers/made/rename", 400)]
    [InlineData("POST", "/v1/containers/made/rename?name=a/b", 400)]
    [InlineData("DELETE", "/v1/containers/none", 404)]
    [InlineData("GET", "/v1/volumes/none", 404)]
    [InlineData("DELETE", "/v1/volumes/none", 404)]
    [InlineData("DELETE", "/v1/volumes/..%2F..%2Fetc", 404)]
    public async Task What_is_not_there_or_not_so_is_refused(string method, string address, int status)
    {
        await rig.CreateAsync("made", "true");

        using HttpResponseMessage response = await rig.Server.Client.SendAsync(
            new HttpRequestMessage(new HttpMethod(method), address));

        Assert.Equal((HttpStatusCode)status, response.StatusCode);
        Assert.Equal("application/problem+json", response.Content.Headers.ContentType?.MediaType);
    }

    [Fact]
    public async Task A_host_folder_below_an_allowed_one_is_taken_and_deeper_mounts_come_later()
    {
        Api.Containers.ContainerView made = await rig.CreateAsync(new Api.Containers.ContainerRequest(
            Mounts:
            [
                new("memory", null, "/a/b/c"), new("volume", "data", "/a"),
                new("host", "/srv/shared/x", "/a/b", ReadOnly: true),
            ]));

        Assert.Equal(["/a", "/a/b", "/a/b/c"], made.Spec.Mounts!.Select(m => m.Target));
        Assert.Equal(ServerRig.Image, made.Spec.Image);
    }
}
