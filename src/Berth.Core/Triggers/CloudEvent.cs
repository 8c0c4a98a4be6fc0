using System.Buffers;
using System.Text;
using System.Text.RegularExpressions;
using Berth.Core.Errors;

namespace Berth.Core.Triggers;

/// <summary>An event as CloudEvents 1.0 has it (github.com/cloudevents/spec): attributes that say what it is about, and
/// data that Berth passes on as they are.</summary>
/// <param name="Attributes">All of them but <c>specversion</c> and <c>datacontenttype</c>, by name.</param>
/// <param name="ContentType">Of the data; null where they have none.</param>
public sealed partial record CloudEvent(
    IReadOnlyDictionary<string, string> Attributes, string? ContentType, ReadOnlyMemory<byte> Data)
{
    public const string Version = "1.0";

    /// <summary>What may come at once.</summary>
    public const int MaxBatch = 100;

    private const int MaxAttributes = 64;
    private const int MaxName = 64;
    private const int MaxValue = 4096;

    private static readonly string[] Required = ["id", "source", "type"];

    public string Id => Attributes["id"];

    public string Source => Attributes["source"];

    public string Type => Attributes["type"];

    /// <summary>Checks what the specification demands of attributes.</summary>
    /// <param name="version">Their <c>specversion</c>; null where there is none.</param>
    /// <exception cref="BerthException">InvalidRequest.</exception>
    public static CloudEvent Of(
        string? version, IReadOnlyDictionary<string, string> attributes, string? contentType,
        ReadOnlyMemory<byte> data)
    {
        if (version != Version)
        {
            throw Refuse(
                version is null ? "specversion is missing" : $"specversion '{Quoted.Of(version)}' is not known",
                $"send events of version {Version}");
        }

        foreach (string name in Required)
        {
            if (!attributes.TryGetValue(name, out string? value) || value.Length == 0)
            {
                throw Refuse($"{name} is missing or empty", "every event has id, source and type");
            }
        }

        if (attributes.Count > MaxAttributes)
        {
            throw Refuse("there are too many attributes", $"at most {MaxAttributes} can be given");
        }

        foreach ((string name, string value) in attributes)
        {
            Check(name, value);
        }

        return contentType is null || (contentType.Length <= MaxValue && MediaType().IsMatch(contentType))
            ? new CloudEvent(attributes, contentType, data)
            : throw Refuse(
                $"datacontenttype '{Quoted.Of(contentType)}' is no media type", "expected such as application/json");
    }

    /// <summary>A value as a header has it: what is not printable ASCII, a blank, a quotation mark and % are
    /// percent-encoded (HTTP protocol binding, section 3.1.3.2).</summary>
    public static string Encode(string value)
    {
        if (value.All(IsPlain))
        {
            return value;
        }

        StringBuilder encoded = new();
        Span<byte> bytes = stackalloc byte[4];
        foreach (Rune rune in value.EnumerateRunes())
        {
            if (rune.IsAscii && IsPlain((char)rune.Value))
            {
                encoded.Append((char)rune.Value);
                continue;
            }

            int count = rune.EncodeToUtf8(bytes);
            foreach (byte one in bytes[..count])
            {
                encoded.Append('%').Append(one.ToString("X2", System.Globalization.CultureInfo.InvariantCulture));
            }
        }

        return encoded.ToString();
    }

    /// <summary>The value of a header; null where it is no UTF-8.</summary>
    public static string? Decode(string value)
    {
        // A quoted one was allowed by earlier versions of the binding.
        string text = value.Length >= 2 && value[0] == '"' && value[^1] == '"' ? value[1..^1] : value;
        if (!text.Contains('%', StringComparison.Ordinal))
        {
            return text;
        }

        ArrayBufferWriter<byte> bytes = new();
        for (int i = 0; i < text.Length; i++)
        {
            if (text[i] == '%' && i + 2 < text.Length
                && char.IsAsciiHexDigit(text[i + 1]) && char.IsAsciiHexDigit(text[i + 2]))
            {
                bytes.Write([Convert.ToByte(text.Substring(i + 1, 2), 16)]);
                i += 2;
            }
            else if (text[i] < 0x80)
            {
                bytes.Write([(byte)text[i]]);
            }
            else
            {
                return null;
            }
        }

        try
        {
            return new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(bytes.WrittenSpan);
        }
        catch (DecoderFallbackException)
        {
            return null;
        }
    }

    public static BerthException Refuse(string what, string remedy) =>
        new(ErrorCode.InvalidRequest, $"This is no CloudEvent: {what}; {remedy}.");

    private static bool IsPlain(char c) => c is > ' ' and < '\u007f' and not '"' and not '%';

    private static void Check(string name, string value)
    {
        if (name.Length is 0 or > MaxName || !name.All(c => c is (>= 'a' and <= 'z') or (>= '0' and <= '9')))
        {
            throw Refuse(
                $"the attribute '{Quoted.Of(name)}' has no name of one",
                $"names have 1 to {MaxName} small letters and digits");
        }

        if (value.Length > MaxValue || value.Any(c => char.IsControl(c) || char.IsSurrogate(c) && IsLone(value)))
        {
            throw Refuse(
                $"the value of {name} can't be used", $"expected at most {MaxValue} characters, none that controls");
        }

        if (name == "time" && !Time().IsMatch(value))
        {
            throw Refuse($"time '{Quoted.Of(value)}' is none", "expected such as 2026-01-02T03:04:05Z (RFC 3339)");
        }

        if (name is "source" or "dataschema"
            && !Uri.TryCreate(value, name == "source" ? UriKind.RelativeOrAbsolute : UriKind.Absolute, out _))
        {
            throw Refuse($"{name} '{Quoted.Of(value)}' is no URI", "expected one (RFC 3986)");
        }
    }

    private static bool IsLone(string value) => value.EnumerateRunes().Any(r => r == Rune.ReplacementChar);

    [GeneratedRegex(
        @"\A[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,12})?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})\z",
        RegexOptions.NonBacktracking)]
    private static partial Regex Time();

    [GeneratedRegex(
        @"\A[A-Za-z0-9!#$&^_.+-]{1,127}/[A-Za-z0-9!#$&^_.+-]{1,127}(?:[ \t]*;[ \t]*[\x20-\x7e]*)?\z",
        RegexOptions.NonBacktracking)]
    private static partial Regex MediaType();
}
