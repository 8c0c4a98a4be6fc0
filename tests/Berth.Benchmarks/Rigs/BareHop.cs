using System.Diagnostics;
using System.Net;
using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace Berth.Benchmarks.Rigs;

/// <summary>The least that a hop can be: one POST over an HTTP/2 connection with TLS that is open, from HttpClient here
/// to plain Kestrel in a process of its own, as server and node are two.</summary>
internal sealed class BareHop(Process server, HttpClient http, string file) : IAsyncDisposable
{
    public static async Task<BareHop> StartAsync(BenchOptions options)
    {
        int port = BerthRig.FreePort();
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = new("CN=localhost", key, HashAlgorithmName.SHA256);
        DateTimeOffset now = TimeProvider.System.GetUtcNow();
        using X509Certificate2 made = request.CreateSelfSigned(now.AddDays(-1), now.AddDays(1));
        string thumbprint = made.Thumbprint;
        string file = Path.Combine(options.Work, $"hop-{port}.pfx");
        await File.WriteAllBytesAsync(file, made.Export(X509ContentType.Pkcs12));
        Process server = Command.Start(
            Environment.ProcessPath!, [typeof(BareHop).Assembly.Location, "bare-hop", file, $"{port}"]);
        HttpClient http = new(new SocketsHttpHandler
        {
            SslOptions = new SslClientAuthenticationOptions
            {
                RemoteCertificateValidationCallback = (_, presented, _, _) =>
                    presented?.GetCertHashString() == thumbprint,
            },
        })
        {
            BaseAddress = new Uri($"https://localhost:{port}"),
            DefaultRequestVersion = HttpVersion.Version20,
            DefaultVersionPolicy = HttpVersionPolicy.RequestVersionExact,
        };
        await Wrk.ListeningAsync(port);
        return new BareHop(server, http, file);
    }

    /// <summary>The other process.</summary>
    public static async Task ServeAsync(string file, int port)
    {
        using X509Certificate2 certificate = X509CertificateLoader.LoadPkcs12FromFile(file, password: null);
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().UseKestrelHttpsConfiguration().ConfigureKestrel(
            kestrel => kestrel.Listen(IPAddress.Loopback, port, listen =>
            {
                listen.Protocols = HttpProtocols.Http2;
                listen.UseHttps(certificate);
            }));
        await using WebApplication host = builder.Build();
        host.Run(context => context.Request.Body.CopyToAsync(context.Response.Body));
        await host.RunAsync();
    }

    public async Task<TimeSpan> EchoAsync(byte[] body)
    {
        long start = TimeProvider.System.GetTimestamp();
        using ByteArrayContent content = new(body);
        using HttpResponseMessage answer = await http.PostAsync(new Uri("/", UriKind.Relative), content);
        byte[] echoed = await answer.Content.ReadAsByteArrayAsync();
        TimeSpan took = TimeProvider.System.GetElapsedTime(start);
        return echoed.AsSpan().SequenceEqual(body)
            ? took
            : throw new InvalidOperationException("The bare hop echoed something else.");
    }

    public async ValueTask DisposeAsync()
    {
        http.Dispose();
        server.Kill();
        await server.WaitForExitAsync();
        server.Dispose();
        File.Delete(file);
    }
}
