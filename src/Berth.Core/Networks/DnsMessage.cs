using System.Buffers.Binary;
using System.Net;
using System.Text;

namespace Berth.Core.Networks;

/// <summary>What became of a question (RFC 1035, section 4.1.1, and RFC 2136 for the last).</summary>
public enum DnsOutcome
{
    Answered = 0,
    Malformed = 1,
    Failed = 2,
    NoSuchName = 3,
    NotSupported = 4,
    Refused = 5,
}

/// <summary>
/// The one question of a DNS query, and the answers to it (RFC 1035). Queries come from programs that nobody trusts:
/// what is not exactly one plain question is not read at all. Names are as they are asked, without the last dot, in
/// small letters.
/// </summary>
public sealed record DnsMessage(ushort Id, string Name, ushort Type, bool WantsRecursion, int QuestionEnd)
{
    public const ushort TypeAddress = 1;
    public const ushort TypePointer = 12;
    public const ushort TypeAddress6 = 28;
    public const int HeaderLength = 12;

    /// <summary>Of a query; with the options of EDNS (RFC 6891) none comes near it.</summary>
    public const int MaxQuery = 1024;

    /// <summary>Answers that fit into 512 bytes whatever the question's length.</summary>
    public const int MaxAnswers = 12;

    private const ushort ClassInternet = 1;
    private const int MaxName = 255;
    private const int MaxLabel = 63;
    private const ushort IsAnswer = 0x8000;
    private const ushort OperationBits = 0x7800;
    private const ushort Authoritative = 0x0400;
    private const ushort RecursionWanted = 0x0100;
    private const ushort RecursionThere = 0x0080;
    private const string ReverseEnding = ".in-addr.arpa";

    /// <summary>Null for what is no plain question.</summary>
    public static DnsMessage? Read(ReadOnlySpan<byte> query)
    {
        if (query.Length is < HeaderLength + 5 or > MaxQuery)
        {
            return null;
        }

        ushort flags = BinaryPrimitives.ReadUInt16BigEndian(query[2..]);
        if ((flags & (IsAnswer | OperationBits)) != 0 || BinaryPrimitives.ReadUInt16BigEndian(query[4..]) != 1
            || BinaryPrimitives.ReadUInt16BigEndian(query[6..]) != 0)
        {
            return null;
        }

        int at = HeaderLength;
        return ReadName(query, ref at) is { } name && at + 4 <= query.Length
            && BinaryPrimitives.ReadUInt16BigEndian(query[(at + 2)..]) == ClassInternet
            ? new DnsMessage(
                BinaryPrimitives.ReadUInt16BigEndian(query), name, BinaryPrimitives.ReadUInt16BigEndian(query[at..]),
                (flags & RecursionWanted) != 0, at + 4)
            : null;
    }

    /// <summary>The address that a question for a pointer is about; null for any other.</summary>
    public IPAddress? Reversed()
    {
        if (Type != TypePointer || !Name.EndsWith(ReverseEnding, StringComparison.Ordinal))
        {
            return null;
        }

        string[] parts = Name[..^ReverseEnding.Length].Split('.');
        Array.Reverse(parts);
        return parts.Length == 4 && IPAddress.TryParse(string.Join('.', parts), out IPAddress? address)
            ? address
            : null;
    }

    /// <summary>An answer with addresses; with none it says that the name has no such record.</summary>
    public byte[] Answer(ReadOnlySpan<byte> query, IReadOnlyList<IPAddress> addresses, TimeSpan lives) => Answer(
        query, DnsOutcome.Answered, [.. addresses.Take(MaxAnswers).Select(a => a.GetAddressBytes())], lives);

    /// <summary>An answer with a name.</summary>
    public byte[] Answer(ReadOnlySpan<byte> query, string name, TimeSpan lives) =>
        Answer(query, DnsOutcome.Answered, [Encode(name)], lives);

    /// <summary>An answer with nothing but the outcome.</summary>
    public byte[] Answer(ReadOnlySpan<byte> query, DnsOutcome outcome) => Answer(query, outcome, [], TimeSpan.Zero);

    /// <summary>Whether bytes answer the question as it was passed on, under the id of that.</summary>
    public bool IsAnsweredBy(ReadOnlySpan<byte> query, ReadOnlySpan<byte> answer, ushort id) =>
        answer.Length >= QuestionEnd
        && BinaryPrimitives.ReadUInt16BigEndian(answer) == id
        && (BinaryPrimitives.ReadUInt16BigEndian(answer[2..]) & IsAnswer) != 0
        && BinaryPrimitives.ReadUInt16BigEndian(answer[4..]) == 1
        && EqualsButCase(query[HeaderLength..QuestionEnd], answer[HeaderLength..QuestionEnd]);

    private static bool EqualsButCase(ReadOnlySpan<byte> one, ReadOnlySpan<byte> other) =>
        Ascii.EqualsIgnoreCase(one, other) || one.SequenceEqual(other);

    private byte[] Answer(ReadOnlySpan<byte> query, DnsOutcome outcome, IReadOnlyList<byte[]> records, TimeSpan lives)
    {
        const int Fixed = 12;
        byte[] answer = new byte[QuestionEnd + records.Sum(r => Fixed + r.Length)];
        query[..QuestionEnd].CopyTo(answer);
        Span<byte> header = answer;
        ushort flags = (ushort)(IsAnswer | Authoritative | RecursionThere
            | (WantsRecursion ? RecursionWanted : 0) | (int)outcome);
        BinaryPrimitives.WriteUInt16BigEndian(header[2..], flags);
        BinaryPrimitives.WriteUInt16BigEndian(header[6..], (ushort)records.Count);
        header[8..HeaderLength].Clear();
        int at = QuestionEnd;
        foreach (byte[] record in records)
        {
            Span<byte> place = answer.AsSpan(at);
            // The name of the question, by a pointer to it (section 4.1.4).
            BinaryPrimitives.WriteUInt16BigEndian(place, 0xc000 | HeaderLength);
            BinaryPrimitives.WriteUInt16BigEndian(place[2..], Type);
            BinaryPrimitives.WriteUInt16BigEndian(place[4..], ClassInternet);
            BinaryPrimitives.WriteUInt32BigEndian(place[6..], (uint)lives.TotalSeconds);
            BinaryPrimitives.WriteUInt16BigEndian(place[10..], (ushort)record.Length);
            record.CopyTo(place[Fixed..]);
            at += Fixed + record.Length;
        }

        return answer;
    }

    /// <summary>Null for a name that is none; a question has no pointers in it.</summary>
    private static string? ReadName(ReadOnlySpan<byte> query, ref int at)
    {
        StringBuilder name = new();
        int begin = at;
        while (at < query.Length && at - begin < MaxName)
        {
            int length = query[at++];
            if (length == 0)
            {
                return name.ToString();
            }

            if (length > MaxLabel || at + length > query.Length)
            {
                return null;
            }

            if (name.Length > 0)
            {
                name.Append('.');
            }

            foreach (byte character in query.Slice(at, length))
            {
                if (character is <= (byte)' ' or >= 0x7f or (byte)'.')
                {
                    return null;
                }

                name.Append(char.ToLowerInvariant((char)character));
            }

            at += length;
        }

        return null;
    }

    private static byte[] Encode(string name)
    {
        List<byte> bytes = [];
        foreach (string label in name.Split('.'))
        {
            bytes.Add((byte)Math.Min(label.Length, MaxLabel));
            bytes.AddRange(Encoding.ASCII.GetBytes(label[..Math.Min(label.Length, MaxLabel)]));
        }

        bytes.Add(0);
        return [.. bytes];
    }
}
