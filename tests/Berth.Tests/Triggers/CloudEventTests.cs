using System.Text;
using Berth.Core.Errors;
using Berth.Core.Triggers;
using Xunit;

namespace Berth.Tests.Triggers;

/// <summary>CloudEvents as they are read.</summary>
public sealed class CloudEventTests
{
    private const string Head = """{"specversion":"1.0","id":"1","source":"/s","type":"t" """;

    [Theory]
    [InlineData("""{"specversion":"1.0","id":"1","source":"/s","type":"t"}""", null, "")]
    [InlineData(Head + ""","data":{"a":[1,2]}}""", "application/json", """{"a":[1,2]}""")]
    [InlineData(Head + ""","data":"x"}""", "application/json", "\"x\"")]
    [InlineData(Head + ""","datacontenttype":"text/plain","data":"x"}""", "text/plain", "x")]
    [InlineData(Head + ""","datacontenttype":"text/a+json","data":"x"}""", "text/a+json", "\"x\"")]
    [InlineData(Head + ""","datacontenttype":"image/png","data_base64":"AAEC"}""", "image/png", "\0\u0001\u0002")]
    public void Data_are_what_the_format_says(string json, string? type, string data)
    {
        CloudEvent e = CloudEventJson.ReadOne(Encoding.UTF8.GetBytes(json));

        Assert.Equal(("1", "/s", "t", type), (e.Id, e.Source, e.Type, e.ContentType));
        Assert.Equal(data, Encoding.UTF8.GetString(e.Data.Span));
    }

    [Fact]
    public void Extensions_are_kept_and_null_is_absent()
    {
        CloudEvent e = CloudEventJson.ReadOne(
            Encoding.UTF8.GetBytes(Head + ""","tenant":"ä","n":7,"yes":true,"subject":null}"""));

        Assert.Equal(
            ["id=1", "n=7", "source=/s", "tenant=ä", "type=t", "yes=true"],
            e.Attributes.Select(a => $"{a.Key}={a.Value}").Order());
    }

    [Theory]
    [InlineData("")]
    [InlineData("[]")]
    [InlineData("null")]
    [InlineData("""{"id":"1","source":"/s","type":"t"}""")]
    [InlineData("""{"specversion":"0.3","id":"1","source":"/s","type":"t"}""")]
    [InlineData("""{"specversion":"1.0","id":"","source":"/s","type":"t"}""")]
    [InlineData("""{"specversion":"1.0","id":"1","type":"t"}""")]
    [InlineData("""{"specversion":"1.0","id":"1","source":"/s"}""")]
    [InlineData("""{"specversion":"1.0","id":"1","id":"2","source":"/s","type":"t"}""")]
    [InlineData(Head + ""","Upper":"x"}""")]
    [InlineData(Head + ""","my-name":"x"}""")]
    [InlineData(Head + ""","ext":{}}""")]
    [InlineData(Head + ""","ext":1.5}""")]
    [InlineData(Head + ""","ext":"a\u0000b"}""")]
    [InlineData(Head + ""","ext":"\ud800"}""")]
    [InlineData(Head + ""","time":"yesterday"}""")]
    [InlineData(Head + ""","dataschema":"relative"}""")]
    [InlineData(Head + ""","datacontenttype":"no type"}""")]
    [InlineData(Head + ""","data":1,"data_base64":"AA=="}""")]
    [InlineData(Head + ""","data_base64":"*"}""")]
    public void What_the_specification_forbids_is_refused(string json) => Assert.Equal(
        ErrorCode.InvalidRequest,
        Assert.Throws<BerthException>(() => CloudEventJson.ReadOne(Encoding.UTF8.GetBytes(json))).Code);

    [Fact]
    public void A_batch_is_a_list_of_at_most_a_hundred()
    {
        string one = Head + "}";

        Assert.Equal(2, CloudEventJson.ReadBatch(Encoding.UTF8.GetBytes($"[{one},{one}]")).Count);
        Assert.Equal(100, Batch(100).Count);
        Assert.Throws<BerthException>(() => Batch(101));
        Assert.Throws<BerthException>(() => CloudEventJson.ReadBatch(Encoding.UTF8.GetBytes(one)));

        IReadOnlyList<CloudEvent> Batch(int count) => CloudEventJson.ReadBatch(
            Encoding.UTF8.GetBytes($"[{string.Join(',', Enumerable.Repeat(one, count))}]"));
    }

    [Theory]
    [InlineData("plain", "plain")]
    [InlineData("a b\"c%é€😀\n", "a%20b%22c%25%C3%A9%E2%82%AC%F0%9F%98%80%0A")]
    public void A_value_goes_through_a_header_unchanged(string value, string header)
    {
        Assert.Equal(header, CloudEvent.Encode(value));
        Assert.Equal(value, CloudEvent.Decode(header));
    }

    [Fact]
    public void Whatever_is_sent_is_read_or_refused_and_goes_through_a_header()
    {
        Random random = new(17);
        string[] seeds =
        [
            Head + ""","data":{"a":[1,"\u00e4"]},"time":"2026-01-02T03:04:05Z"}""",
            "[" + Head + ""","datacontenttype":"text/plain","data":"x"}]""",
            Head + ""","data_base64":"AAEC","subject":"a b"}""",
        ];
        for (int i = 0; i < 100_000; i++)
        {
            byte[] json = Encoding.UTF8.GetBytes(seeds[random.Next(seeds.Length)]);
            for (int changes = random.Next(1, 4); changes > 0; changes--)
            {
                json[random.Next(json.Length)] = (byte)random.Next(256);
            }

            try
            {
                IReadOnlyList<CloudEvent> read =
                    json[0] == '[' ? CloudEventJson.ReadBatch(json) : [CloudEventJson.ReadOne(json)];
                foreach (string value in read.SelectMany(e => e.Attributes.Values))
                {
                    string header = CloudEvent.Encode(value);
                    Assert.Equal(value, CloudEvent.Decode(header));
                    Assert.All(header, c => Assert.InRange(c, '!', '~'));
                }
            }
            catch (BerthException refusal)
            {
                Assert.Equal(ErrorCode.InvalidRequest, refusal.Code);
            }
        }
    }

    [Theory]
    [InlineData("com.a.b", "/s", true)]
    [InlineData("com.a", "/s", true)]
    [InlineData("com.ab", "/s", false)]
    [InlineData("com.a.b", "/t", false)]
    public void A_filter_takes_what_one_of_its_patterns_takes(string type, string source, bool taken)
    {
        EventFilter filter = new(["com.a", "com.a.*"], ["/s"]);
        CloudEvent e = CloudEvent.Of(
            "1.0", new Dictionary<string, string> { ["id"] = "1", ["type"] = type, ["source"] = source }, null,
            default);

        Assert.Equal(taken, filter.Takes(e));
        Assert.True(EventFilter.All.Takes(e));
    }
}
