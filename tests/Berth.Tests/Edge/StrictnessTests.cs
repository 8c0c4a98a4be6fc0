using System.Collections.Concurrent;
using System.Net;
using System.Text;
using System.Text.RegularExpressions;
using Berth.Testing.Fuzzing;
using Berth.Testing.Server;
using Berth.Tests.Fuzzing;
using Berth.Tests.Server;
using Xunit;

namespace Berth.Tests.Edge;

/// <summary>Berth is never laxer than the web server below it: what plain Kestrel refuses, it refuses. The same bytes
/// are sent to both.</summary>
public sealed partial class StrictnessTests(ServerRigFixture fixture)
    : IClassFixture<ServerRigFixture>, IAsyncLifetime
{
    private static readonly int[] Refusals = [400, 408, 411, 413, 414, 417, 431, 500, 501, 505];

    private BareKestrel bare = null!;

    public static TheoryData<string> Schemes =>
        ["http", "HTTP", "https", "HTTPS", "ftp", "ws", "javascript", "http:", "http ", "ht tp", "1http", "h\u00fc"];

    private ServerRig Rig => fixture.Rig;

    public async ValueTask InitializeAsync() => bare = await BareKestrel.StartAsync();

    public ValueTask DisposeAsync() => bare.DisposeAsync();

    [Fact]
    public async Task Of_no_ambiguous_request_more_is_taken_than_plain_Kestrel_takes()
    {
        string authorization = $"Authorization: Bearer {Rig.AdminToken}\r\n";
        byte[][] requests =
        [
            .. AmbiguousRequest.Refused.Select(r => Encoding.Latin1.GetBytes(
                (r.Text + AmbiguousRequest.Second).Replace("{auth}", authorization, StringComparison.Ordinal))),
        ];
        Mutator mutator = new([.. requests.Where(r => r.Length < 1000)]);
        ConcurrentBag<string> laxer = [];
        int compared = 0;

        await Parallel.ForEachAsync(
            requests.Concat(Enumerable.Range(0, FuzzCount.Of(400)).Select(n => mutator.Make(n))),
            new ParallelOptions { MaxDegreeOfParallelism = 8 },
            async (request, _) =>
            {
                string plain = await RequestFuzzTests.SendAsync(bare.Http1, request);
                string ours = await RequestFuzzTests.SendAsync(Rig.Address, request);
                int may = StatusesIn(plain).Count(s => s >= 200 && !Refusals.Contains(s));
                int taken = StatusesIn(ours).Count(s => s is >= 200 and < 300);
                Interlocked.Add(ref compared, StatusesIn(plain).Any(Refusals.Contains) ? 1 : 0);
                if (taken > may || ours == RequestFuzzTests.Hang)
                {
                    laxer.Add($"{Encoding.Latin1.GetString(request)}\n--- Kestrel:\n{plain}\n--- Berth:\n{ours}");
                }
            });

        Assert.True(laxer.IsEmpty, string.Join("\n=====\n", laxer.Take(5)));
        Assert.True(compared > AmbiguousRequest.Refused.Count / 2, $"Kestrel refused only {compared}.");
    }

    [Theory]
    [MemberData(nameof(Schemes))]
    public async Task A_scheme_of_HTTP2_is_taken_only_where_plain_Kestrel_takes_it(string scheme)
    {
        byte[] request = OfScheme(scheme);

        string plain = await OutcomeAsync(bare.Http2, request);
        string ours = await OutcomeAsync(Rig.Address, request);

        Assert.Equal(scheme.Equals("http", StringComparison.OrdinalIgnoreCase) ? "200" : "refused", plain);
        Assert.Equal(plain, ours);
    }

    [Theory]
    [MemberData(nameof(Schemes))]
    public async Task A_trusted_proxy_may_name_the_other_scheme_of_the_web_and_no_third(string scheme)
    {
        await using ServerRig rig = await ServerRig.StartAsync(
            o => o with { TrustedProxies = [IPNetwork.Parse("127.0.0.1/32")] });

        string outcome = await OutcomeAsync(rig.Address, OfScheme(scheme));

        bool isWeb = scheme.ToLowerInvariant() is "http" or "https";
        Assert.True(isWeb == (outcome == "200"), $"'{scheme}' is answered with {outcome}.");
    }

    [Fact]
    public async Task Where_there_are_trusted_proxies_nobody_else_may_name_the_other_scheme()
    {
        await using ServerRig rig = await ServerRig.StartAsync(
            o => o with { TrustedProxies = [IPNetwork.Parse("192.0.2.0/24")] });

        Assert.Equal("200", await OutcomeAsync(rig.Address, OfScheme("http")));
        Assert.Equal("400", await OutcomeAsync(rig.Address, OfScheme("https")));
    }

    /// <summary>Those of one frame: what follows a good request may be refused before or after its answer.</summary>
    [Fact]
    public async Task No_request_of_HTTP2_that_plain_Kestrel_refuses_is_taken()
    {
        int refused = 0;
        foreach ((string name, byte[] bytes) in Http2EdgeTests.Malformed.Where(m => IsOneFrame(m.Value)))
        {
            string plain = await OutcomeAsync(bare.Http2, bytes);
            string ours = await OutcomeAsync(Rig.Address, bytes);

            Assert.True(plain == "200" || ours != "200", $"{name}: Kestrel {plain}, Berth {ours}.");
            refused += plain == "200" ? 0 : 1;
        }

        Assert.InRange(refused, 20, int.MaxValue);
    }

    private static IEnumerable<int> StatusesIn(string answer) =>
        StatusLine().Matches(answer).Select(m => int.Parse(m.Groups[1].ValueSpan));

    private static byte[] OfScheme(string scheme) => Http2EdgeTests.Request(
        [.. Http2EdgeTests.Good.Select(field => field.Replace(
            ":scheme: http", ":scheme: " + scheme, StringComparison.Ordinal))]);

    private static bool IsOneFrame(byte[] bytes) =>
        bytes.Length == 9 + (bytes[0] << 16 | bytes[1] << 8 | bytes[2]);

    private static async Task<string> OutcomeAsync(Uri address, byte[] frames)
    {
        await using Http2Wire wire = await Http2Wire.OpenAsync(address);
        await wire.SendAsync(frames);
        return await wire.OutcomeAsync();
    }

    [GeneratedRegex(@"HTTP/1\.1 (\d{3}) ")]
    private static partial Regex StatusLine();
}
