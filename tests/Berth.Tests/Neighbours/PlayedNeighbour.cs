using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Berth.Api.Links;
using Berth.Core.Images;

namespace Berth.Tests.Neighbours;

/// <summary>A machine that offers layers and answers as a test says.</summary>
internal sealed class PlayedNeighbour : IAsyncDisposable
{
    private readonly Func<Digest, Stream, CancellationToken, Task> answer;
    private readonly TcpListener listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource stop = new();
    private readonly X509Certificate2 certificate;
    private readonly Task serving;
    private int asked;

    /// <param name="answer">Told what is asked for; writes everything that comes back.</param>
    public PlayedNeighbour(Func<Digest, Stream, CancellationToken, Task> answer)
    {
        this.answer = answer;
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using X509Certificate2 made = new CertificateRequest("CN=played", key, HashAlgorithmName.SHA256)
            .CreateSelfSigned(DateTimeOffset.UnixEpoch, DateTimeOffset.UnixEpoch.AddYears(100));
        certificate = X509CertificateLoader.LoadPkcs12(made.Export(X509ContentType.Pkcs12), null);
        listener.Start();
        serving = Task.Run(ServeAsync);
    }

    /// <summary>Requests that came.</summary>
    public int Asked => Volatile.Read(ref asked);

    public LayerOffer Offer => new(
        listener.LocalEndpoint.ToString()!, Convert.ToHexStringLower(SHA256.HashData(certificate.RawData)));

    /// <summary>Writes the head of an answer.</summary>
    public static Task HeadAsync(Stream to, long? length, CancellationToken stop) => to.WriteAsync(
        Encoding.ASCII.GetBytes(
            "HTTP/1.1 200 OK\r\n" + (length is null ? "Connection: close\r\n" : $"Content-Length: {length}\r\n")
            + "\r\n"),
        stop).AsTask();

    public async ValueTask DisposeAsync()
    {
        await stop.CancelAsync();
        listener.Dispose();
        await serving;
        certificate.Dispose();
        stop.Dispose();
    }

    private async Task ServeAsync()
    {
        List<Task> connections = [];
        try
        {
            while (true)
            {
                connections.Add(AnswerAsync(await listener.AcceptTcpClientAsync(stop.Token)));
            }
        }
        // Invalid where it was closed before it was asked for the first.
        catch (Exception over) when (over is OperationCanceledException or SocketException or InvalidOperationException)
        {
            await Task.WhenAll(connections);
        }
    }

    private async Task AnswerAsync(TcpClient client)
    {
        using (client)
        {
            try
            {
                await using SslStream tls = new(client.GetStream());
                await tls.AuthenticateAsServerAsync(
                    new SslServerAuthenticationOptions { ServerCertificate = certificate }, stop.Token);
                using StreamReader reader = new(tls, Encoding.ASCII, leaveOpen: true);
                if (await reader.ReadLineAsync(stop.Token) is not { } first)
                {
                    return;
                }

                while (await reader.ReadLineAsync(stop.Token) is { Length: > 0 })
                {
                    continue;
                }

                Interlocked.Increment(ref asked);
                await answer(Digest.Parse(first.Split(' ')[1]["/blobs/".Length..]), tls, stop.Token);
            }
            catch (Exception gone) when (gone is IOException or OperationCanceledException)
            {
                // Who asked has given up, or the test has ended.
                return;
            }
        }
    }
}
