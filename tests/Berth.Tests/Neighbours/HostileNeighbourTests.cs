using Berth.Api.Links;
using Berth.Core.Images;
using Berth.Node.Neighbours;
using Berth.Oci.Content;
using Berth.Oci.Images;
using Berth.Oci.Layers;
using Berth.Testing.Clocks;
using Berth.Testing.Content;
using Berth.Testing.Engines;
using Berth.Tests.Distribution;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Berth.Tests.Neighbours;

/// <summary>Whatever a neighbour does, an image comes whole: from it where it gives what was asked for, and otherwise
/// from the server.</summary>
public sealed class HostileNeighbourTests : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly TemporaryFolder folder = new();
    private readonly NodePapers papers = new();
    private readonly ManualTime time = new();
    private readonly PlayedOrigin origin = new();
    private readonly ContentStore content;
    private readonly FetchedImages images;
    private NeighbourList? named;

    public HostileNeighbourTests()
    {
        content = new ContentStore(folder["blobs"], TimeProvider.System);
        Berth.Node.Links.NodeIdentity identity = papers.Of("reader");
        images = new FetchedImages(content, new NoImages(), PlatformChoice.Here, time)
        {
            Origin = origin,
            Neighbours = new NearbyNodes(
                (_, _) => Task.FromResult(named), () => identity, time, NullLogger.Instance),
        };
    }

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose()
    {
        papers.Dispose();
        folder.Dispose();
    }

    [Fact]
    public async Task Layers_come_from_the_neighbour_and_manifest_and_configuration_from_the_server()
    {
        Digest image = origin.Add("a");
        await using PlayedNeighbour good = new((digest, to, stop) => SendAsync(origin.Content[digest], to, stop));

        await FetchAsync(image, good);

        Assert.Equal((2, 2), (good.Asked, origin.Asked));
        Assert.Equal(2 * "a layer 0".Length, images.FromNeighbours);
        Assert.Equal(origin.Content.Values.Sum(b => b.Length) - images.FromNeighbours, images.FromOrigin);
    }

    [Fact]
    public async Task Wrong_bytes_are_thrown_away()
    {
        Digest image = origin.Add("a");
        await using PlayedNeighbour bad = new((digest, to, stop) =>
            SendAsync([.. origin.Content[digest].Select(b => (byte)(b ^ 1))], to, stop));

        await FetchAsync(image, bad);

        Assert.Equal(0, images.FromNeighbours);
        Assert.Equal(4, origin.Asked);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task What_is_too_long_is_given_up_when_it_is(bool saysSo)
    {
        Digest image = origin.Add("a");
        long sent = 0;
        await using PlayedNeighbour bad = new(async (digest, to, stop) =>
        {
            await PlayedNeighbour.HeadAsync(to, saysSo ? 1L << 40 : null, stop);
            await to.WriteAsync(origin.Content[digest], stop);
            byte[] zeros = new byte[64 * 1024];
            while (true)
            {
                await to.WriteAsync(zeros, stop);
                Interlocked.Add(ref sent, zeros.Length);
            }
        });

        await FetchAsync(image, bad);

        Assert.Equal(0, images.FromNeighbours);
        Assert.True(sent < 64 * 1024 * 1024, $"It could send {sent} bytes.");
    }

    [Fact]
    public async Task What_ends_too_soon_is_fetched_from_the_server()
    {
        Digest image = origin.Add("a");
        await using PlayedNeighbour bad = new(async (digest, to, stop) =>
        {
            byte[] all = origin.Content[digest];
            await PlayedNeighbour.HeadAsync(to, all.Length, stop);
            await to.WriteAsync(all.AsMemory(0, all.Length / 2), stop);
        });

        await FetchAsync(image, bad);

        Assert.Equal(0, images.FromNeighbours);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task One_that_says_nothing_is_given_up_after_a_while(bool withHead)
    {
        Digest image = origin.Add("a");
        await using PlayedNeighbour bad = new(async (digest, to, stop) =>
        {
            if (withHead)
            {
                await PlayedNeighbour.HeadAsync(to, origin.Content[digest].Length, stop);
            }

            await Task.Delay(Timeout.Infinite, stop);
        });

        await FetchAsync(image, bad, passing: true);

        Assert.Equal(0, images.FromNeighbours);
    }

    [Fact]
    public async Task One_that_sends_a_byte_now_and_then_is_given_up_too()
    {
        Digest image = origin.Add("a name that is long enough for some patience to end before it");
        await using PlayedNeighbour bad = new(async (digest, to, stop) =>
        {
            byte[] all = origin.Content[digest];
            await PlayedNeighbour.HeadAsync(to, all.Length, stop);
            foreach (byte one in all)
            {
                await to.WriteAsync(new[] { one }, stop);
                await to.FlushAsync(stop);
                await Task.Delay(100, stop);
            }
        });

        await FetchAsync(image, bad, passing: true);

        Assert.Equal(0, images.FromNeighbours);
    }

    [Fact]
    public async Task One_with_another_certificate_or_that_is_not_there_costs_nothing()
    {
        Digest image = origin.Add("a");
        await using PlayedNeighbour other = new((digest, to, stop) => SendAsync(origin.Content[digest], to, stop));
        LayerOffer gone;
        await using (PlayedNeighbour former = new((_, _, _) => Task.CompletedTask))
        {
            gone = former.Offer;
        }

        named = new NeighbourList([gone, other.Offer with { Fingerprint = gone.Fingerprint }]);
        await images.FetchAheadAsync(image, Token).WaitAsync(Patience, Token);

        Assert.True(images.Holds(image));
        Assert.Equal((0, 0L), (other.Asked, images.FromNeighbours));
    }

    [Fact]
    public async Task One_that_deceived_is_not_asked_for_the_next_image_until_some_time_has_passed()
    {
        Digest first = origin.Add("a");
        Digest second = origin.Add("b");
        Digest third = origin.Add("c");
        bool isHonest = false;
        await using PlayedNeighbour bad = new((digest, to, stop) =>
            SendAsync(isHonest ? origin.Content[digest] : [1, 2, 3], to, stop));
        await FetchAsync(first, bad);
        int asked = bad.Asked;

        await FetchAsync(second, bad);
        Assert.Equal(asked, bad.Asked);
        time.Advance(TimeSpan.FromMinutes(6));
        isHonest = true;
        await FetchAsync(third, bad);

        Assert.Equal(2 * "c layer 0".Length, images.FromNeighbours);
    }

    [Fact]
    public async Task A_busy_one_is_not_blamed_and_the_next_is_asked()
    {
        Digest image = origin.Add("a");
        await using PlayedNeighbour busy = new((_, to, stop) => to.WriteAsync(
            "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"u8.ToArray(), stop).AsTask());
        await using PlayedNeighbour good = new((digest, to, stop) => SendAsync(origin.Content[digest], to, stop));
        named = new NeighbourList([busy.Offer, good.Offer]);

        await images.FetchAheadAsync(image, Token).WaitAsync(Patience, Token);

        Assert.Equal(2 * "a layer 0".Length, images.FromNeighbours);
        Assert.Equal(2, origin.Asked);
    }

    [Fact]
    public async Task Offers_that_no_machine_can_have_are_passed_over()
    {
        Digest image = origin.Add("a");
        string fingerprint = Digest.Sha256([1]).Hex;
        named = new NeighbourList(
        [
            new LayerOffer("somewhere.example:443", fingerprint), new LayerOffer("0.0.0.0:7072", fingerprint),
            new LayerOffer("127.0.0.1", fingerprint), new LayerOffer("127.0.0.1:7072", "no fingerprint"),
            new LayerOffer("[fe80::1%3]:7072", fingerprint), new LayerOffer("[::]:7072", fingerprint),
            new LayerOffer("224.0.0.1:7072", fingerprint), new LayerOffer(null!, null!),
        ]);

        await images.FetchAheadAsync(image, Token).WaitAsync(Patience, Token);

        Assert.Equal(4, origin.Asked);
    }

    private static async Task SendAsync(byte[] bytes, Stream to, CancellationToken stop)
    {
        await PlayedNeighbour.HeadAsync(to, bytes.Length, stop);
        await to.WriteAsync(bytes, stop);
    }

    /// <param name="passing">Whether time passes meanwhile.</param>
    private async Task FetchAsync(Digest image, PlayedNeighbour neighbour, bool passing = false)
    {
        named = new NeighbourList([neighbour.Offer]);
        Task fetch = images.FetchAheadAsync(image, Token);
        while (passing && !fetch.IsCompleted)
        {
            await Task.Delay(20, Token);
            time.Advance(TimeSpan.FromMilliseconds(neighbour.Asked > 0 ? 250 : 0));
        }

        await fetch.WaitAsync(Patience, Token);
        Assert.True(images.Holds(image));
        Assert.All(
            origin.Content.Where(c => content.SizeOf(c.Key) is not null),
            kept => Assert.Equal(kept.Value, File.ReadAllBytes(content.PathOf(kept.Key)!)));
    }
}
