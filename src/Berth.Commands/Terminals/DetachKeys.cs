using Berth.Core.Errors;

namespace Berth.Commands.Terminals;

/// <summary>Finds the keys that leave a program running among those that are typed. Written as docker writes them:
/// <c>ctrl-p,ctrl-q</c>.</summary>
internal sealed class DetachKeys
{
    public const string Usual = "ctrl-p,ctrl-q";

    private const string ControlPrefix = "ctrl-";

    private readonly byte[] keys;
    private int matched;

    private DetachKeys(byte[] keys) => this.keys = keys;

    /// <param name="text">Empty: no keys do.</param>
    /// <exception cref="BerthException">InvalidRequest.</exception>
    public static DetachKeys Parse(string text) =>
        new(text.Length == 0 ? [] : [.. text.Split(',').Select(ParseKey)]);

    /// <summary>What of the typed keys is for the program; keys that may be the beginning are held back.</summary>
    /// <param name="detached">Whether the keys are complete.</param>
    public byte[] Take(ReadOnlySpan<byte> typed, out bool detached)
    {
        detached = false;
        List<byte> passed = new(typed.Length + keys.Length);
        foreach (byte key in typed)
        {
            if (keys.Length > 0 && key == keys[matched])
            {
                if (++matched == keys.Length)
                {
                    detached = true;
                    break;
                }

                continue;
            }

            passed.AddRange(keys.AsSpan(0, matched));
            matched = 0;
            if (keys.Length > 0 && key == keys[0])
            {
                matched = 1;
            }
            else
            {
                passed.Add(key);
            }
        }

        return [.. passed];
    }

    private static byte ParseKey(string text)
    {
        if (text.Length == 1 && text[0] is > ' ' and < '\u007f')
        {
            return (byte)text[0];
        }

        // Ctrl and a key of 0x40 to 0x5F is the same less 0x40 (ECMA-48).
        return text.Length == ControlPrefix.Length + 1
            && text.StartsWith(ControlPrefix, StringComparison.OrdinalIgnoreCase)
            && char.ToUpperInvariant(text[^1]) is >= '@' and <= '_' and var key
            ? (byte)(key - '@')
            : throw new BerthException(
                ErrorCode.InvalidRequest,
                $"--detach-keys: '{text}' is no key: write single characters or ctrl-a to ctrl-z, with commas "
                + "between.");
    }
}
