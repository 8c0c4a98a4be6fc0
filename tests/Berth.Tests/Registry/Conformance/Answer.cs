using System.Net;
using System.Text;
using System.Text.Json;
using Xunit;

namespace Berth.Tests.Registry.Conformance;

/// <summary>A response, read whole.</summary>
internal sealed record Answer(
    string Request, HttpStatusCode Code, IReadOnlyDictionary<string, string> Headers, byte[] Body)
{
    public string Location => Header("Location");

    public JsonElement Json
    {
        get
        {
            using JsonDocument document = JsonDocument.Parse(Body);
            return document.RootElement.Clone();
        }
    }

    public string Header(string name) => Headers.GetValueOrDefault(name, "");

    public Answer Expect(params int[] statuses)
    {
        Assert.True(
            statuses.Contains((int)Code),
            $"{Request}: expected {string.Join(" or ", statuses)}, got {(int)Code}: {Encoding.UTF8.GetString(Body)}");
        return this;
    }

    public Answer ExpectHeader(string name, string value)
    {
        Assert.True(Header(name) == value, $"{Request}: expected {name}: {value}, got '{Header(name)}'");
        return this;
    }

    /// <summary>Checks the form of an error and its code.</summary>
    public void ExpectError(int status, string code)
    {
        Expect(status);
        Assert.StartsWith("application/json", Header("Content-Type"), StringComparison.Ordinal);
        JsonElement error = Json.GetProperty("errors")[0];
        Assert.Equal(code, error.GetProperty("code").GetString());
        Assert.Equal(JsonValueKind.String, error.GetProperty("message").ValueKind);
    }

    /// <summary>The address of the next part of a list, or null.</summary>
    public string? Next()
    {
        string link = Header("Link");
        if (link.Length == 0)
        {
            return null;
        }

        Assert.Matches("^<[^>]+>; rel=\"next\"$", link);
        return link[1..link.IndexOf('>', StringComparison.Ordinal)];
    }

    public string[] Strings(string member) =>
        [.. Json.GetProperty(member).EnumerateArray().Select(e => e.GetString()!)];
}
