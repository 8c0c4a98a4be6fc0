using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Berth.Api.Links;
using Berth.Core.Errors;
using Berth.Oci.Content;

namespace Berth.Server.Nodes;

/// <summary>
/// The server's own certificate authority: it signs the certificates of nodes, and the server's own on the address that
/// nodes dial. Its key is in <c>node-authority.pem</c> of the data folder (mode 0600) and never leaves it. Certificates
/// say what they are for, so that no node passes for the server.
/// </summary>
internal sealed class NodeAuthority : IDisposable
{
    /// <summary>OID of the curve P-256, the one kind of key that is signed.</summary>
    private const string Curve = "1.2.840.10045.3.1.7";

    private static readonly TimeSpan OwnLife = TimeSpan.FromDays(3650);

    private readonly X509Certificate2 own;
    private readonly TimeProvider time;

    private NodeAuthority(X509Certificate2 own, TimeProvider time)
    {
        this.own = own;
        this.time = time;
        Certificate = own.ExportCertificatePem();
        Fingerprint = LinkCertificates.FingerprintOf(own);
    }

    /// <summary>How long a node's certificate is valid; it gets another after two thirds of that.</summary>
    public static TimeSpan NodeLife { get; } = TimeSpan.FromDays(30);

    /// <summary>In PEM.</summary>
    public string Certificate { get; }

    /// <summary>SHA-256 of the certificate, lower-case hexadecimal.</summary>
    public string Fingerprint { get; }

    /// <summary>Reads it, or makes one that only the file's owner can read.</summary>
    public static NodeAuthority LoadOrCreate(string path, TimeProvider time)
    {
        if (!File.Exists(path))
        {
            using X509Certificate2 made = Make(time.GetUtcNow());
            using ECDsa key = made.GetECDsaPrivateKey()!;
            DurableFile.ReplacePrivate(
                path,
                System.Text.Encoding.ASCII.GetBytes(
                    made.ExportCertificatePem() + "\n" + key.ExportPkcs8PrivateKeyPem() + "\n"));
        }

        try
        {
            return new NodeAuthority(X509Certificate2.CreateFromPemFile(path), time);
        }
        catch (CryptographicException error)
        {
            throw new BerthException(
                ErrorCode.InvalidConfiguration,
                $"The authority of nodes {path} can't be read ({error.Message}). Restore it from a backup, or delete "
                + "it: then every node has to join again.", error);
        }
    }

    /// <summary>The type that certificates tell their times in is local time.</summary>
    public static DateTimeOffset EndOf(X509Certificate2 certificate) =>
        new DateTimeOffset(certificate.NotAfter).ToUniversalTime();

    /// <summary>The certificate for the address that nodes dial, with its key; made anew at each start. A server shows
    /// it to other servers too.</summary>
    /// <param name="name">Which of several servers it is of.</param>
    public X509Certificate2 MakeServer(string name)
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = new("CN=" + name, key, HashAlgorithmName.SHA256);
        using X509Certificate2 signed = Sign(
            request, [LinkCertificates.ServerUse, LinkCertificates.ClientUse], EndOf(own));
        using X509Certificate2 whole = signed.CopyWithPrivateKey(key);
        return LinkCertificates.WithLastingKey(whole);
    }

    /// <summary>Signs a node's key. Throws BerthException (<c>InvalidRequest</c>) where the request is none.</summary>
    /// <param name="pem">PKCS #10; of what it asks, only the key is taken.</param>
    public X509Certificate2 Issue(string pem, string name)
    {
        try
        {
            CertificateRequest asked = CertificateRequest.LoadSigningRequestPem(
                pem, HashAlgorithmName.SHA256, CertificateRequestLoadOptions.Default, RSASignaturePadding.Pkcs1);
            using ECDsa key = asked.PublicKey.GetECDsaPublicKey()
                ?? throw new CryptographicException("its key is none of elliptic curves");
            if (key.ExportParameters(includePrivateParameters: false).Curve.Oid.Value != Curve)
            {
                throw new CryptographicException("its key is not on the curve P-256");
            }

            return Sign(
                new CertificateRequest("CN=" + name, key, HashAlgorithmName.SHA256), [LinkCertificates.ClientUse],
                time.GetUtcNow() + NodeLife);
        }
        catch (Exception error) when (error is CryptographicException or ArgumentException)
        {
            throw new BerthException(
                ErrorCode.InvalidRequest, $"The request for a certificate can't be used: {error.Message}.", error);
        }
    }

    /// <summary>Whether a certificate is one for a node, signed here and valid now.</summary>
    public bool IsNode(X509Certificate2 certificate) => IsFor(certificate, LinkCertificates.ClientUse);

    /// <summary>The server that a certificate is of; null where it is no server's, signed here and valid now.</summary>
    public string? ServerOf(X509Certificate2 certificate) => IsFor(certificate, LinkCertificates.ServerUse)
        ? certificate.GetNameInfo(X509NameType.SimpleName, forIssuer: false)
        : null;

    public void Dispose() => own.Dispose();

    private bool IsFor(X509Certificate2 certificate, string use) =>
        LinkCertificates.IsSigned(certificate, own, use, time.GetUtcNow());

    private static X509Certificate2 Make(DateTimeOffset now)
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = new("CN=Berth nodes", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, true, 0, true));
        request.CertificateExtensions.Add(
            new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign | X509KeyUsageFlags.CrlSign, critical: true));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, critical: false));
        return request.CreateSelfSigned(now - LinkCertificates.Backdated, now + OwnLife);
    }

    private X509Certificate2 Sign(CertificateRequest request, IEnumerable<string> uses, DateTimeOffset end)
    {
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(false, false, 0, true));
        request.CertificateExtensions.Add(
            new X509KeyUsageExtension(X509KeyUsageFlags.DigitalSignature, critical: true));
        request.CertificateExtensions.Add(
            new X509EnhancedKeyUsageExtension([.. uses.Select(u => new Oid(u))], critical: true));
        byte[] serial = RandomNumberGenerator.GetBytes(16);
        // A positive number (RFC 5280, section 4.1.2.2).
        serial[0] = (byte)((serial[0] & 0x7f) | 0x40);
        DateTimeOffset begin = time.GetUtcNow() - LinkCertificates.Backdated;
        DateTimeOffset first = new(own.NotBefore);
        DateTimeOffset last = EndOf(own);
        return request.Create(own, begin < first ? first : begin, end > last ? last : end, serial);
    }
}
