using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Berth.Api.Links;
using Berth.Core.Errors;
using Berth.Oci.Content;

namespace Berth.Node.Links;

/// <summary>
/// Who this node is to its server: a key that never leaves the machine, the certificate that the server's authority
/// signed for it, and that authority's own. In two files of the node's data folder, the key's with mode 0600.
/// </summary>
public sealed class NodeIdentity : IDisposable
{
    private const string IdentityFile = "identity.pem";
    private const string AuthorityFile = "authority.pem";

    private NodeIdentity(X509Certificate2 certificate, X509Certificate2 authority)
    {
        Certificate = certificate;
        Authority = authority;
    }

    /// <summary>With its key.</summary>
    public X509Certificate2 Certificate { get; }

    public X509Certificate2 Authority { get; }

    /// <summary>As the server calls it.</summary>
    public string Name => Certificate.GetNameInfo(X509NameType.SimpleName, forIssuer: false);

    /// <summary>When another certificate is asked for: after two thirds of this one's time.</summary>
    public DateTimeOffset RenewAt
    {
        get
        {
            DateTimeOffset begin = new(Certificate.NotBefore);
            return begin + ((End - begin) * 2 / 3);
        }
    }

    public DateTimeOffset End => new DateTimeOffset(Certificate.NotAfter).ToUniversalTime();

    /// <summary>Null where this folder has none: the machine has not joined. Throws BerthException
    /// (<c>InvalidConfiguration</c>) where it can't be read.</summary>
    public static NodeIdentity? Load(string folder)
    {
        string file = Path.Combine(folder, IdentityFile);
        if (!File.Exists(file))
        {
            return null;
        }

        try
        {
            using X509Certificate2 read = X509Certificate2.CreateFromPemFile(file);
            return new NodeIdentity(
                LinkCertificates.WithLastingKey(read),
                X509CertificateLoader.LoadCertificateFromFile(Path.Combine(folder, AuthorityFile)));
        }
        catch (Exception error) when (error is CryptographicException or IOException)
        {
            throw new BerthException(
                ErrorCode.InvalidConfiguration,
                $"The node's certificate in {folder} can't be read ({error.Message}): remove {IdentityFile} there and "
                + "join again with a new token.", error);
        }
    }

    /// <summary>A new key, and a request in PEM to have it signed.</summary>
    public static (ECDsa Key, string Request) NewRequest(string name)
    {
        ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = new("CN=" + name, key, HashAlgorithmName.SHA256);
        return (key, request.CreateSigningRequestPem());
    }

    /// <summary>Keeps what the server signed, durably.</summary>
    public static NodeIdentity Save(string folder, ECDsa key, string certificate, string authority)
    {
        DurableFile.ReplacePrivate(Path.Combine(folder, AuthorityFile), Encoding.ASCII.GetBytes(authority));
        DurableFile.ReplacePrivate(
            Path.Combine(folder, IdentityFile),
            Encoding.ASCII.GetBytes(certificate + "\n" + key.ExportPkcs8PrivateKeyPem() + "\n"));
        return Load(folder)!;
    }

    /// <summary>Whether a certificate is the server's: signed by the authority, and for a server. Names don't matter,
    /// the authority signs for one.</summary>
    public static bool IsServer(X509Certificate2 presented, X509Certificate2 authority, DateTimeOffset now) =>
        // The server measures this machine's clock and says what is wrong with it; that takes a handshake. So the time
        // is not this side's to judge: whoever holds the authority's key could sign for any.
        LinkCertificates.IsSigned(presented, authority, LinkCertificates.ServerUse, now, ignoreTime: true);

    public void Dispose()
    {
        Certificate.Dispose();
        Authority.Dispose();
    }
}
