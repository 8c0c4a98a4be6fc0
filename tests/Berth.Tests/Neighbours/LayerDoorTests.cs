using System.Net;
using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Berth.Api.Links;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Node.Links;
using Berth.Node.Neighbours;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Berth.Tests.Neighbours;

/// <summary>Who gets what where a node offers its layers.</summary>
public sealed class LayerDoorTests : IAsyncLifetime
{
    private static readonly byte[] Layer = Encoding.ASCII.GetBytes("a layer that is held");

    private readonly NodePapers papers = new();
    private readonly HashSet<string> removed = [];
    private Func<Digest, Stream?> open = digest => digest == Digest.Sha256(Layer) ? new MemoryStream(Layer) : null;
    private LayerDoor door = null!;
    private int asked;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        Guests guests = new(
            papers.Authority,
            (name, hash, _) =>
            {
                Assert.Equal(64, hash.Length);
                asked++;
                return Task.FromResult(!removed.Contains(name));
            },
            TimeProvider.System);
        door = new LayerDoor(
            new IPEndPoint(IPAddress.Loopback, 0), digest => open(digest), guests, TimeProvider.System,
            NullLoggerFactory.Instance);
        await door.OpenAsync(Token);
    }

    public async ValueTask DisposeAsync()
    {
        await door.DisposeAsync();
        papers.Dispose();
    }

    [Fact]
    public async Task A_node_of_the_same_authority_reads_a_layer_and_a_server_is_asked_for_it_once()
    {
        using Neighbour neighbour = To(door.Offer, papers.Of("reader"));

        Assert.Equal(Layer, await ReadAsync(neighbour, Digest.Sha256(Layer)));
        Assert.Equal(Layer, await ReadAsync(neighbour, Digest.Sha256(Layer)));
        Assert.Null(await neighbour.TryOpenAsync(Digest.Sha256([1]), Token));
        Assert.Equal(1, asked);
    }

    [Fact]
    public async Task A_node_that_was_removed_reads_nothing()
    {
        removed.Add("gone");
        using Neighbour neighbour = To(door.Offer, papers.Of("gone"));

        Assert.Null(await neighbour.TryOpenAsync(Digest.Sha256(Layer), Token));
    }

    [Fact]
    public async Task Who_has_no_certificate_of_the_authority_is_not_answered()
    {
        using NodePapers others = new();
        using Neighbour stranger = To(door.Offer, others.Of("reader"));
        using HttpClient nobody = Client(null);

        await Assert.ThrowsAnyAsync<Exception>(() => stranger.TryOpenAsync(Digest.Sha256(Layer), Token));
        await Assert.ThrowsAsync<HttpRequestException>(() => nobody.GetAsync("/blobs/" + Digest.Sha256(Layer), Token));
        Assert.Equal(0, asked);
    }

    [Fact]
    public async Task A_door_with_another_certificate_is_not_spoken_to()
    {
        LayerOffer other = door.Offer with { Fingerprint = Digest.Sha256([1]).Hex };
        using Neighbour neighbour = To(other, papers.Of("reader"));

        IOException refused = await Assert.ThrowsAsync<IOException>(
            () => neighbour.TryOpenAsync(Digest.Sha256(Layer), Token));

        Assert.Contains("not the one that the server told", refused.Message, StringComparison.Ordinal);
        Assert.Equal(0, asked);
    }

    [Theory]
    [InlineData("GET", "/")]
    [InlineData("GET", "/blobs/")]
    [InlineData("GET", "/blobs/sha256:xyz")]
    [InlineData("GET", "/blobs/../identity.pem")]
    [InlineData("GET", "/blobs/..%2fidentity.pem")]
    [InlineData("GET", "/blobs/sha256:..%2f..%2f..%2fetc%2fpasswd")]
    [InlineData("GET", "/authority")]
    [InlineData("POST", "")]
    [InlineData("DELETE", "")]
    public async Task There_is_nothing_but_layers(string method, string path)
    {
        using HttpClient http = Client(papers.Of("reader"));
        using HttpRequestMessage request = new(
            new HttpMethod(method), path.Length > 0 ? path : "/blobs/" + Digest.Sha256(Layer));

        using HttpResponseMessage answer = await http.SendAsync(request, Token);

        Assert.Equal(HttpStatusCode.NotFound, answer.StatusCode);
        Assert.Equal("", await answer.Content.ReadAsStringAsync(Token));
    }

    [Fact]
    public async Task Few_are_sent_at_once_and_who_comes_beyond_that_is_told_to_go_elsewhere()
    {
        open = _ => new EndlessLayer();
        using Neighbour neighbour = To(door.Offer, papers.Of("reader"));
        List<Stream?> sent = [];
        for (int i = 0; i < LayerDoor.AtOnce; i++)
        {
            sent.Add(await neighbour.TryOpenAsync(Digest.Sha256(Layer), Token));
        }

        Stream? beyond = await neighbour.TryOpenAsync(Digest.Sha256(Layer), Token);

        Assert.All(sent, Assert.NotNull);
        Assert.Null(beyond);
        sent[0]!.Dispose();
        Stream? later = null;
        using CancellationTokenSource limit = new(TimeSpan.FromSeconds(30));
        while (later is null)
        {
            later = await neighbour.TryOpenAsync(Digest.Sha256(Layer), limit.Token);
        }

        later.Dispose();
        sent.ForEach(stream => stream!.Dispose());
    }

    [Fact]
    public async Task An_address_that_is_taken_is_named()
    {
        await using LayerDoor second = new(
            door.Offer.Read()!, open, new Guests(
                papers.Authority, (_, _, _) => Task.FromResult(true), TimeProvider.System),
            TimeProvider.System, NullLoggerFactory.Instance);

        BerthException refused = await Assert.ThrowsAsync<BerthException>(() => second.OpenAsync(Token));

        Assert.Equal(ErrorCode.InvalidConfiguration, refused.Code);
        Assert.Contains("--share-layers", refused.Message, StringComparison.Ordinal);
    }

    private static Neighbour To(LayerOffer offer, NodeIdentity identity) =>
        new(offer, identity, TimeProvider.System, static (_, _) => { });

    private static async Task<byte[]> ReadAsync(Neighbour neighbour, Digest layer)
    {
        await using Stream? stream = await neighbour.TryOpenAsync(layer, Token);
        MemoryStream read = new();
        await stream!.CopyToAsync(read, Token);
        return read.ToArray();
    }

    private HttpClient Client(NodeIdentity? identity) => new(new SocketsHttpHandler
    {
        SslOptions = new SslClientAuthenticationOptions
        {
            EnabledSslProtocols = SslProtocols.Tls13,
            LocalCertificateSelectionCallback = identity is null ? null : (_, _, _, _, _) => identity.Certificate,
            ClientCertificates = identity is null ? null : new X509CertificateCollection { identity.Certificate },
            RemoteCertificateValidationCallback = (_, presented, _, _) =>
                presented is not null && Digest.Sha256(presented.GetRawCertData()).Hex == door.Fingerprint,
        },
    })
    {
        BaseAddress = new Uri("https://" + door.Offer.Address),
    };

    /// <summary>More than fits into any buffer on the way.</summary>
    private sealed class EndlessLayer : MemoryStream
    {
        public override long Length => 1L << 40;

        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
            ValueTask.FromResult(buffer.Length);

        public override async Task CopyToAsync(
            Stream destination, int bufferSize, CancellationToken cancellationToken)
        {
            byte[] zeros = new byte[bufferSize];
            while (true)
            {
                await destination.WriteAsync(zeros, cancellationToken);
            }
        }
    }
}
