using System.Net;
using Berth.Core.Networks;
using Xunit;

namespace Berth.Tests.Networks;

public sealed class DnsMessageTests
{
    private static readonly TimeSpan Lives = TimeSpan.FromSeconds(5);

    [Fact]
    public void A_question_is_read_in_small_letters()
    {
        DnsMessage question = DnsMessage.Read(Query("WEB.shop", 1))!;

        Assert.Equal(("web.shop", (ushort)1, (ushort)0x1234, true),
            (question.Name, question.Type, question.Id, question.WantsRecursion));
    }

    [Fact]
    public void Addresses_are_answered_under_the_name_that_was_asked_for()
    {
        byte[] query = Query("web", 1);

        byte[] answer = DnsMessage.Read(query)!.Answer(
            query, [IPAddress.Parse("10.0.0.2"), IPAddress.Parse("10.0.0.3")], Lives);

        Assert.Equal(query[..2], answer[..2]);
        Assert.Equal([0x85, 0x80, 0, 1, 0, 2, 0, 0, 0, 0], answer[2..12]);
        Assert.Equal(query[12..], answer[12..query.Length]);
        Assert.Equal([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 10, 0, 0, 2], answer[query.Length..(query.Length + 16)]);
        Assert.Equal(query.Length + 32, answer.Length);
    }

    [Fact]
    public void However_many_have_a_name_the_answer_fits_into_a_datagram()
    {
        byte[] query = Query(string.Join('.', Enumerable.Repeat(new string('a', 49), 5)), 1);
        IPAddress[] many = [.. Enumerable.Range(1, 100).Select(i => new IPAddress([10, 0, 0, (byte)i]))];

        Assert.InRange(DnsMessage.Read(query)!.Answer(query, many, Lives).Length, 1, 512);
    }

    [Fact]
    public void A_name_that_nobody_has_is_told_so()
    {
        byte[] query = Query("nobody", 1);

        byte[] answer = DnsMessage.Read(query)!.Answer(query, DnsOutcome.NoSuchName);

        Assert.Equal(query.Length, answer.Length);
        Assert.Equal(3, answer[3] & 0xf);
    }

    [Theory]
    [InlineData("2.0.128.10.in-addr.arpa", 12, "10.128.0.2")]
    [InlineData("2.0.128.10.in-addr.arpa", 1, null)]
    [InlineData("0.128.10.in-addr.arpa", 12, null)]
    [InlineData("x.0.128.10.in-addr.arpa", 12, null)]
    public void A_question_for_a_pointer_is_about_an_address(string name, ushort type, string? address) =>
        Assert.Equal(address, DnsMessage.Read(Query(name, type))!.Reversed()?.ToString());

    [Fact]
    public void What_is_no_plain_question_is_not_read()
    {
        byte[] good = Query("web", 1);

        Assert.Null(DnsMessage.Read(With(good, 2, 0x80)));
        Assert.Null(DnsMessage.Read(With(good, 2, 0x28)));
        Assert.Null(DnsMessage.Read(With(good, 5, 0)));
        Assert.Null(DnsMessage.Read(With(good, 5, 2)));
        Assert.Null(DnsMessage.Read(With(good, 7, 1)));
        Assert.Null(DnsMessage.Read(With(good, 12, 0xc0)));
        Assert.Null(DnsMessage.Read(With(good, 12, 64)));
        Assert.Null(DnsMessage.Read(With(good, 13, (byte)'.')));
        Assert.Null(DnsMessage.Read(With(good, 13, 0)));
        Assert.Null(DnsMessage.Read(With(good, good.Length - 1, 3)));
        Assert.Null(DnsMessage.Read([]));
        Assert.Null(DnsMessage.Read(new byte[DnsMessage.MaxQuery + 1]));
        for (int length = 0; length < good.Length; length++)
        {
            Assert.Null(DnsMessage.Read(good.AsSpan(0, length)));
        }
    }

    [Fact]
    public void Whatever_comes_nothing_but_a_question_or_nothing_is_read()
    {
        Random random = new(1);
        byte[] good = Query("web.example.org", 28);
        for (int i = 0; i < 100_000; i++)
        {
            byte[] bytes = [.. good];
            for (int j = random.Next(4); j >= 0; j--)
            {
                bytes[random.Next(bytes.Length)] = (byte)random.Next(256);
            }

            if (DnsMessage.Read(bytes) is { } question)
            {
                Assert.InRange(question.Name.Length, 0, 255);
                Assert.InRange(question.QuestionEnd, DnsMessage.HeaderLength, bytes.Length);
                _ = question.Answer(bytes, [IPAddress.Loopback], Lives);
            }
        }
    }

    [Fact]
    public void Only_the_answer_to_the_question_that_was_passed_on_is_one()
    {
        byte[] query = Query("web.example.org", 1);
        DnsMessage question = DnsMessage.Read(query)!;
        byte[] answer = With(With(query, 0, 0xab), 2, 0x81);

        Assert.True(question.IsAnsweredBy(query, answer, 0xab34));
        Assert.False(question.IsAnsweredBy(query, answer, 0xab35));
        Assert.False(question.IsAnsweredBy(query, With(answer, 2, 0x01), 0xab34));
        Assert.False(question.IsAnsweredBy(query, With(answer, 13, (byte)'v'), 0xab34));
        Assert.False(question.IsAnsweredBy(query, answer.AsSpan(0, answer.Length - 1), 0xab34));
    }

    private static byte[] With(byte[] bytes, int at, byte value)
    {
        byte[] changed = [.. bytes];
        changed[at] = value;
        return changed;
    }

    private static byte[] Query(string name, ushort type)
    {
        List<byte> bytes = [0x12, 0x34, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0];
        foreach (string label in name.Split('.'))
        {
            bytes.Add((byte)label.Length);
            bytes.AddRange(System.Text.Encoding.ASCII.GetBytes(label));
        }

        return [.. bytes, 0, (byte)(type >> 8), (byte)type, 0, 1];
    }
}
