using System.Net;
using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Berth.Benchmarks.Rigs;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace Berth.Benchmarks.Cases;

/// <summary>
/// What a node of another machine costs a call: the same call of a reused sandbox, and of an instance that serves HTTP,
/// on the server's own node and on one that has joined, beside a bare echo over HTTP/2 and TLS between two processes'
/// worth of Kestrel and HttpClient.
/// </summary>
internal static class HopCase
{
    private const string Path = "/v1/functions/echo";
    private const double Most = 2;
    private static readonly byte[] Body = [.. Enumerable.Range(0, 1024).Select(i => (byte)(i * 7))];

    public static async Task<IReadOnlyList<Figure>> RunAsync(BenchOptions options)
    {
        int port = BerthRig.FreePort();
        await using BerthRig rig = await BerthRig.StartAsync(
            options, "--node-listen", $"127.0.0.1:{port}", "--node-name", "control");
        await rig.PushBusyboxAsync();
        await rig.CliAsync("function", "deploy", "--isolation", "reused", "echo", "bench/busybox:1", "cat");
        await using JoinedNode node = await JoinedNode.StartAsync(rig, options, port, "worker");
        await ServiceCase.PushAsync(rig, options, "echo");
        foreach (string name in (string[])["control", "worker"])
        {
            await rig.CliAsync(
                "function", "deploy", "--contract", "http", "--min-instances", "1", "--constraint", "node=" + name,
                "on-" + name, "bench/echo:1");
        }

        return await MeasureAsync(rig, options);
    }

    private static async Task<IReadOnlyList<Figure>> MeasureAsync(BerthRig rig, BenchOptions options)
    {
        await using BareEcho bare = await BareEcho.StartAsync();
        Samples local = new();
        Samples remote = new();
        Samples hop = new();
        Samples localInstance = new();
        Samples remoteInstance = new();
        for (int round = 0; round < 4; round++)
        {
            bool isMeasured = round > 0;
            await OnAsync(rig, "control", "worker");
            await TakeAsync(options, isMeasured ? local : null, () => rig.EchoAsync(Body, Path));
            await OnAsync(rig, "worker", "control");
            await TakeAsync(options, isMeasured ? remote : null, () => rig.EchoAsync(Body, Path));
            await TakeAsync(options, isMeasured ? hop : null, () => bare.EchoAsync(Body));
            await TakeAsync(
                options, isMeasured ? localInstance : null, () => rig.EchoAsync(Body, "/v1/functions/on-control/"));
            await TakeAsync(
                options, isMeasured ? remoteInstance : null, () => rig.EchoAsync(Body, "/v1/functions/on-worker/"));
        }

        return
        [
            new(
                "a call's time on a node over its time here, in bare HTTP/2 hops", (remote.P50 - local.P50) / hop.P50,
                Most, AtMost: true, $"here {local}; on a node {remote}; bare hop {hop}"),
            new(
                "the same of an instance that serves HTTP", (remoteInstance.P50 - localInstance.P50) / hop.P50, Most,
                AtMost: true, $"here {localInstance}; on a node {remoteInstance}; bare hop {hop}"),
        ];
    }

    private static async Task TakeAsync(BenchOptions options, Samples? samples, Func<Task<TimeSpan>> call)
    {
        for (int i = 0; i < options.Scaled(500); i++)
        {
            TimeSpan took = await call();
            samples?.Add(took);
        }
    }

    /// <summary>Lets one node have all of it.</summary>
    private static async Task OnAsync(BerthRig rig, string node, string other)
    {
        await rig.CliAsync("node", "uncordon", node);
        await rig.CliAsync("node", "cordon", other);
    }

    /// <summary>The least that a hop can be: one POST over a TLS connection that is open.</summary>
    private sealed class BareEcho(WebApplication host, HttpClient http, X509Certificate2 certificate) : IAsyncDisposable
    {
        public static async Task<BareEcho> StartAsync()
        {
            int port = BerthRig.FreePort();
            using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
            CertificateRequest request = new("CN=localhost", key, HashAlgorithmName.SHA256);
            DateTimeOffset now = TimeProvider.System.GetUtcNow();
            using X509Certificate2 made = request.CreateSelfSigned(now.AddDays(-1), now.AddDays(1));
            X509Certificate2 certificate = X509CertificateLoader.LoadPkcs12(
                made.Export(X509ContentType.Pkcs12), password: null);
            WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
            builder.WebHost.UseKestrelCore().UseKestrelHttpsConfiguration().ConfigureKestrel(
                kestrel => kestrel.Listen(IPAddress.Loopback, port, listen =>
                {
                    listen.Protocols = HttpProtocols.Http2;
                    listen.UseHttps(certificate);
                }));
            WebApplication host = builder.Build();
            host.Run(context => context.Request.Body.CopyToAsync(context.Response.Body));
            await host.StartAsync();
            HttpClient http = new(new SocketsHttpHandler
            {
                SslOptions = new SslClientAuthenticationOptions
                {
                    RemoteCertificateValidationCallback = (_, presented, _, _) =>
                        presented?.GetCertHashString() == certificate.Thumbprint,
                },
            })
            {
                BaseAddress = new Uri($"https://localhost:{port}"),
                DefaultRequestVersion = HttpVersion.Version20,
                DefaultVersionPolicy = HttpVersionPolicy.RequestVersionExact,
            };
            return new BareEcho(host, http, certificate);
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
            await host.DisposeAsync();
            certificate.Dispose();
        }
    }
}
