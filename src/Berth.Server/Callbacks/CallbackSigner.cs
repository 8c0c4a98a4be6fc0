using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Berth.Oci.Content;

namespace Berth.Server.Callbacks;

/// <summary>
/// Signs callbacks so that their receiver can tell them from forgeries: <c>Berth-Signature: t=…,v1=…</c>, v1 being the
/// HMAC-SHA256 in hexadecimal of the Unix seconds, a dot and the body. The key is the text in
/// <c>callback.key</c> of the data folder, made at first start.
/// </summary>
public sealed class CallbackSigner
{
    public const string Header = "Berth-Signature";

    private readonly byte[] key;

    public CallbackSigner(string secret) => key = Encoding.UTF8.GetBytes(secret);

    /// <summary>Reads the secret, or makes one that only the file's owner can read.</summary>
    public static CallbackSigner LoadOrCreate(string path)
    {
        if (!File.Exists(path))
        {
            string secret = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(32));
            DurableFile.ReplacePrivate(path, Encoding.ASCII.GetBytes(secret + "\n"));
        }

        return new CallbackSigner(File.ReadAllText(path).Trim());
    }

    public string Sign(ReadOnlySpan<byte> body, DateTimeOffset now)
    {
        string seconds = now.ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture);
        using IncrementalHash hash = IncrementalHash.CreateHMAC(HashAlgorithmName.SHA256, key);
        hash.AppendData(Encoding.ASCII.GetBytes(seconds + "."));
        hash.AppendData(body);
        return $"t={seconds},v1={Convert.ToHexStringLower(hash.GetHashAndReset())}";
    }
}
