using System.Buffers;
using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text.Json;
using Berth.Core.Functions;
using Berth.Core.Runs;
using Berth.Core.Secrets;
using Berth.Server.Functions;
using Berth.Server.Secrets;
using Berth.Server.Telemetry;

namespace Berth.Server.Results;

/// <summary>
/// What a result is found by: a hash of all that its program is told. The revision stands for every setting that is not
/// the call's; secrets for the values that they have now.
/// </summary>
internal readonly record struct ResultKey(UInt128 High, UInt128 Low)
{
    /// <summary>Of the trace alone, which says nothing about the result.</summary>
    private static readonly string[] Unkeyed =
        [SpanDocument.TraceVariable, SpanDocument.CallerSpanVariable, SpanDocument.StateVariable];

    /// <param name="spec">The call's: its revision's, with the arguments and variables of its request.</param>
    /// <param name="revision">By its number and by when it was made: a later function of that name has others.</param>
    /// <param name="input">SHA-256 of the body.</param>
    public static ResultKey Of(RunSpec spec, Revision revision, SecretVault secrets, ReadOnlySpan<byte> input)
    {
        ArrayBufferWriter<byte> text = new(1024);
        // Written as JSON, so that no part can pass for another.
        using (Utf8JsonWriter json = new(text))
        {
            json.WriteStartArray();
            json.WriteStringValue(spec.Labels[FunctionLabels.Function]);
            json.WriteNumberValue(revision.Number);
            json.WriteNumberValue(revision.CreatedAt.UtcTicks);
            json.WriteStringValue(spec.Digest.Text);
            Write(json, spec.Command);
            Write(json, spec.Arguments);
            Write(json, spec.Environment);
            Write(json, spec.Secrets ?? [], secrets);
            json.WriteBase64StringValue(input);
            json.WriteEndArray();
        }

        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(text.WrittenSpan, hash);
        return new ResultKey(
            BinaryPrimitives.ReadUInt128BigEndian(hash), BinaryPrimitives.ReadUInt128BigEndian(hash[16..]));
    }

    private static void Write(Utf8JsonWriter json, IReadOnlyDictionary<string, string> variables)
    {
        json.WriteStartArray();
        foreach ((string name, string value) in variables.OrderBy(v => v.Key, StringComparer.Ordinal))
        {
            if (!Unkeyed.Contains(name))
            {
                json.WriteStringValue(name);
                json.WriteStringValue(value);
            }
        }

        json.WriteEndArray();
    }

    private static void Write(Utf8JsonWriter json, IReadOnlyList<SecretUse> uses, SecretVault secrets)
    {
        json.WriteStartArray();
        foreach (SecretUse use in uses)
        {
            json.WriteStringValue(use.Secret);
            // One that is gone keeps the program from starting, which is found out when it is to start.
            if (secrets.Find(use.Secret) is { } record)
            {
                json.WriteNumberValue(record.Version);
                json.WriteNumberValue(record.CreatedAt.UtcTicks);
            }
        }

        json.WriteEndArray();
    }

    private static void Write(Utf8JsonWriter json, IReadOnlyList<string>? words)
    {
        if (words is null)
        {
            json.WriteNullValue();
            return;
        }

        json.WriteStartArray();
        foreach (string word in words)
        {
            json.WriteStringValue(word);
        }

        json.WriteEndArray();
    }
}
