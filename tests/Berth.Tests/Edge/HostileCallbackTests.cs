using System.Net;
using Berth.Testing.Server;
using Berth.Tests.Server;
using Xunit;

namespace Berth.Tests.Edge;

/// <summary>
/// Addresses that would turn a callback into a request from inside, asked for over HTTP. What a name resolves to is
/// judged when it is connected to: CallbackDeliveryTests.
/// </summary>
public sealed class HostileCallbackTests(ServerRigFixture fixture) : IClassFixture<ServerRigFixture>
{
    public static TheoryData<string> Targets =>
    [
        "http://127.0.0.1/", "http://127.0.0.1:7070/v1/tokens", "http://127.1/", "http://127.0.1/",
        "http://2130706433/",
        "http://0x7f000001/", "http://0x7f.0.0.1/", "http://0177.0.0.1/", "http://017700000001/", "http://0/",
        "http://0.0.0.0/", "http://127.255.255.254/", "http://127.0.0.1./", "http://%31%32%37.0.0.1/",
        "http://127。0。0。1/", "http://①②⑦.⓪.⓪.①/",
        "http://localhost/", "http://LOCALHOST:80/", "http://localhost./",
        "http://x.localhost/", "http://[::1]/", "http://[0:0:0:0:0:0:0:1]/", "http://[::]/",
        "http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/", "http://[::127.0.0.1]/", "http://[64:ff9b::7f00:1]/",
        "http://[2002:7f00:1::]/", "http://[fe80::1]/", "http://[fe80::1%25lo]/", "http://[fd00:ec2::254]/",
        "http://[fec0::1]/", "http://[ff02::1]/", "http://169.254.169.254/latest/meta-data/",
        "http://[::ffff:169.254.169.254]/", "http://2852039166/", "http://0xa9fea9fe/", "http://10.0.0.1/",
        "http://172.16.0.1/", "http://192.168.0.1/", "http://100.64.0.1/", "http://198.18.0.1/", "http://224.0.0.1/",
        "http://255.255.255.255/", "http://240.0.0.1/", "http://user@example.org/", "http://user:secret@example.org/",
        "http://example.org@127.0.0.1/", "http://127.0.0.1#@example.org/", "http://127.0.0.1\\@example.org/",
        "ftp://example.org/", "file:///etc/passwd", "gopher://example.org/", "unix:///run/docker.sock",
        "dict://example.org:11211/", "javascript:alert(1)", "//example.org/", "/relative", "http:///", "http://",
        "http://example.org:0/", "http://example.org:99999/",
    ];

    private ServerRig Rig => fixture.Rig;

    [Theory]
    [MemberData(nameof(Targets))]
    public async Task Is_refused_when_it_is_asked_for_and_starts_nothing(string target)
    {
        int before = Rig.Node.Started.Count;
        using HttpRequestMessage request = ServerRig.Call(route: "tasks", headers: ("Berth-Callback", Escaped(target)));

        using HttpResponseMessage answer = await Rig.SendAsync(request);

        Assert.True(
            answer.StatusCode is HttpStatusCode.BadRequest or HttpStatusCode.Forbidden
                or HttpStatusCode.UnprocessableEntity,
            $"{(int)answer.StatusCode} {await answer.Content.ReadAsStringAsync()}");
        Assert.Equal(before, Rig.Node.Started.Count);
    }

    [Fact]
    public void There_are_as_many_as_promised() => Assert.True(Targets.Count >= 40, $"There are {Targets.Count}.");

    /// <summary>Header values are ASCII; a URL says the rest in percent.</summary>
    private static string Escaped(string target) =>
        string.Concat(target.Select(c => char.IsAscii(c) ? c.ToString() : Uri.EscapeDataString(c.ToString())));
}
