using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Berth.Api.Links;

/// <summary>What servers and nodes do alike with the certificates by which they know each other.</summary>
public static class LinkCertificates
{
    /// <summary>Extended key usage of who is dialled (RFC 5280, section 4.2.1.12).</summary>
    public const string ServerUse = "1.3.6.1.5.5.7.3.1";

    /// <summary>Extended key usage of who dials.</summary>
    public const string ClientUse = "1.3.6.1.5.5.7.3.2";

    /// <summary>Certificates begin earlier than they are made: a machine whose clock is off is told so, which takes a
    /// handshake.</summary>
    public static TimeSpan Backdated { get; } = TimeSpan.FromDays(2);

    /// <summary>SHA-256 of a certificate, lower-case hexadecimal.</summary>
    public static string FingerprintOf(X509Certificate2 certificate) =>
        Convert.ToHexStringLower(SHA256.HashData(certificate.RawData));

    /// <summary>The same certificate with a key that is no passing object, as the handshake wants it.</summary>
    public static X509Certificate2 WithLastingKey(X509Certificate2 certificate) =>
        X509CertificateLoader.LoadPkcs12(certificate.Export(X509ContentType.Pkcs12), password: null);

    /// <summary>Whether a certificate was signed by the authority itself for such a use.</summary>
    /// <param name="use">Extended key usage that it must have.</param>
    /// <param name="ignoreTime">Whether one that is not valid now will do.</param>
    public static bool IsSigned(
        X509Certificate2 presented, X509Certificate2 authority, string use, DateTimeOffset now,
        bool ignoreTime = false)
    {
        using X509Chain chain = new();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.Add(authority);
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        chain.ChainPolicy.DisableCertificateDownloads = true;
        chain.ChainPolicy.VerificationFlags = ignoreTime
            ? X509VerificationFlags.IgnoreNotTimeValid
            : X509VerificationFlags.NoFlag;
        chain.ChainPolicy.VerificationTime = now.UtcDateTime;
        chain.ChainPolicy.ApplicationPolicy.Add(new Oid(use));
        return chain.Build(presented);
    }
}
