using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Berth.Core.Errors;
using Berth.Oci.Content;

namespace Berth.Server.Secrets;

/// <summary>
/// The keys that secrets are sealed with: AES-256-GCM, a fresh nonce each time. The file has a line for each, its
/// number and 64 hexadecimal digits; the last one seals, the others still open what they sealed. Made at first start,
/// readable by its owner alone.
/// </summary>
internal sealed class SecretKeys
{
    private const int KeyBytes = 32;
    private const int NonceBytes = 12;
    private const int TagBytes = 16;

    private readonly string path;
    private readonly Dictionary<int, byte[]> keys;

    private SecretKeys(string path, Dictionary<int, byte[]> keys, int newest)
    {
        this.path = path;
        this.keys = keys;
        Newest = newest;
    }

    /// <summary>Number of the key that seals.</summary>
    public int Newest { get; }

    public bool Has(int key) => keys.ContainsKey(key);

    /// <exception cref="BerthException">InvalidConfiguration, where the file can't be used.</exception>
    public static SecretKeys LoadOrCreate(string path)
    {
        if (!File.Exists(path))
        {
            string first = $"1 {Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(KeyBytes))}\n";
            DurableFile.ReplacePrivate(path, Encoding.ASCII.GetBytes(first));
        }

        if ((File.GetUnixFileMode(path) & ~(UnixFileMode.UserRead | UnixFileMode.UserWrite)) != 0)
        {
            throw Unusable(path, "others than its owner may use it: chmod 600");
        }

        Dictionary<int, byte[]> keys = [];
        int newest = 0;
        foreach (string line in File.ReadLines(path).Where(l => l.Length > 0))
        {
            string[] words = line.Split(' ');
            if (words.Length != 2 || words[1].Length != KeyBytes * 2
                || !words[1].All(char.IsAsciiHexDigit)
                || !int.TryParse(words[0], NumberStyles.None, CultureInfo.InvariantCulture, out newest)
                || !keys.TryAdd(newest, Convert.FromHexString(words[1])))
            {
                throw Unusable(
                    path, "each line must be a number that no other line has, a blank, and 64 hexadecimal digits");
            }
        }

        return keys.Count > 0 ? new SecretKeys(path, keys, newest) : throw Unusable(path, "it has no key");
    }

    /// <summary>Nonce, sealed value and tag.</summary>
    public byte[] Seal(string name, int version, ReadOnlySpan<byte> value)
    {
        byte[] result = new byte[NonceBytes + value.Length + TagBytes];
        Span<byte> nonce = result.AsSpan(0, NonceBytes);
        RandomNumberGenerator.Fill(nonce);
        using AesGcm cipher = new(keys[Newest], TagBytes);
        cipher.Encrypt(
            nonce, value, result.AsSpan(NonceBytes, value.Length), result.AsSpan(NonceBytes + value.Length),
            Bound(name, version));
        return result;
    }

    /// <exception cref="BerthException">Conflict, where its key is not there; StorageDamaged, where it is not as it was
    /// written, or another one's.</exception>
    public byte[] Open(string name, int version, int key, ReadOnlySpan<byte> sealedValue)
    {
        if (!keys.TryGetValue(key, out byte[]? bytes))
        {
            throw new BerthException(
                ErrorCode.Conflict,
                $"Secret '{name}' was sealed with key {key}, which {path} does not have: put its line back, or give "
                + "the secret a new value with 'berth secret create --replace'.");
        }

        byte[] value = new byte[Math.Max(0, sealedValue.Length - NonceBytes - TagBytes)];
        try
        {
            using AesGcm cipher = new(bytes, TagBytes);
            cipher.Decrypt(
                sealedValue[..NonceBytes], sealedValue.Slice(NonceBytes, value.Length), sealedValue[^TagBytes..], value,
                Bound(name, version));
            return value;
        }
        catch (Exception error) when (error is CryptographicException or ArgumentOutOfRangeException)
        {
            throw new BerthException(
                ErrorCode.StorageDamaged,
                $"Secret '{name}' is not as it was written, or key {key} of {path} is another one now: give it a new "
                + "value with 'berth secret create --replace'.", error);
        }
    }

    /// <summary>What no sealed value can be moved to another name or version without.</summary>
    private static byte[] Bound(string name, int version) => Encoding.UTF8.GetBytes(
        string.Create(CultureInfo.InvariantCulture, $"berth secret\n{name}\n{version}"));

    private static BerthException Unusable(string path, string why) => new(
        ErrorCode.InvalidConfiguration, $"The file of the secrets' keys, {path}, can't be used: {why}.");
}
