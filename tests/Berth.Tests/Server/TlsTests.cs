using System.Net;
using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Berth.Api.Client;
using Berth.Core.Errors;
using Berth.Testing.Content;
using Berth.Testing.Server;
using Xunit;

namespace Berth.Tests.Server;

/// <summary>The server behind its own certificate.</summary>
public sealed class TlsTests
{
    [Theory]
    [InlineData("1.1")]
    [InlineData("2.0")]
    public async Task Calls_go_over_tls_in_both_versions_of_http(string version)
    {
        using TemporaryFolder folder = new();
        string thumbprint = WriteCertificate(folder);
        await using ServerRig rig = await ServerRig.StartAsync(
            o => o with { TlsCertificate = folder["cert.pem"], TlsKey = folder["key.pem"] });
        using SocketsHttpHandler handler = new() { UseProxy = false };
        handler.SslOptions.RemoteCertificateValidationCallback =
            (_, certificate, _, _) => certificate?.GetCertHashString(HashAlgorithmName.SHA256) == thumbprint;
        using HttpClient client = new(handler) { BaseAddress = rig.Address };
        HttpRequestMessage request = ServerRig.Call(body: new StringContent("sealed"));
        request.Headers.Authorization = new("Bearer", rig.AdminToken);
        request.Version = Version.Parse(version);
        request.VersionPolicy = HttpVersionPolicy.RequestVersionExact;

        using HttpResponseMessage response = await client.SendAsync(request);

        Assert.Equal("https", rig.Address.Scheme);
        Assert.Equal((HttpStatusCode.OK, Version.Parse(version)), (response.StatusCode, response.Version));
        Assert.Equal("sealed", await response.Content.ReadAsStringAsync());
    }

    [Fact]
    public async Task A_client_that_does_not_trust_the_certificate_says_how_to()
    {
        using TemporaryFolder folder = new();
        WriteCertificate(folder);
        await using ServerRig rig = await ServerRig.StartAsync(
            o => o with { TlsCertificate = folder["cert.pem"], TlsKey = folder["key.pem"] });
        using BerthClient client = new(rig.Address, rig.AdminToken, TimeProvider.System, new OneShotHandler());

        BerthException refusal = await Assert.ThrowsAsync<BerthException>(
            () => client.VersionAsync(TestContext.Current.CancellationToken));

        Assert.Equal(ErrorCode.Upstream, refusal.Code);
        Assert.Contains("SSL_CERT_FILE", refusal.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("berth serve", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_certificate_that_is_none_stops_the_start_and_leaves_the_folder_free()
    {
        using TemporaryFolder folder = new();
        await File.WriteAllTextAsync(folder["cert.pem"], "no certificate");
        await File.WriteAllTextAsync(folder["key.pem"], "no key");

        BerthException refusal = await Assert.ThrowsAsync<BerthException>(() => ServerRig.StartAsync(
            o => o with { TlsCertificate = folder["cert.pem"], TlsKey = folder["key.pem"] }, folder));
        await using ServerRig after = await ServerRig.StartAsync(folder: folder);

        Assert.Equal(ErrorCode.InvalidConfiguration, refusal.Code);
        Assert.Contains("tls-certificate", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_address_that_is_taken_stops_the_start_with_its_name()
    {
        await using ServerRig first = await ServerRig.StartAsync();
        Berth.Server.Configuration.ListenAddress taken = new(IPAddress.Loopback, first.Address.Port);

        BerthException refusal = await Assert.ThrowsAsync<BerthException>(
            () => ServerRig.StartAsync(o => o with { Listen = [taken] }));

        Assert.Equal(ErrorCode.InvalidConfiguration, refusal.Code);
        Assert.Contains(taken.ToString(), refusal.Message, StringComparison.Ordinal);
    }

    private static string WriteCertificate(TemporaryFolder folder)
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = new("CN=127.0.0.1", key, HashAlgorithmName.SHA256);
        using X509Certificate2 certificate = request.CreateSelfSigned(
            new DateTimeOffset(2020, 1, 1, 0, 0, 0, TimeSpan.Zero),
            new DateTimeOffset(2100, 1, 1, 0, 0, 0, TimeSpan.Zero));
        File.WriteAllText(folder["cert.pem"], certificate.ExportCertificatePem());
        File.WriteAllText(folder["key.pem"], key.ExportPkcs8PrivateKeyPem());
        return certificate.GetCertHashString(HashAlgorithmName.SHA256);
    }
}
