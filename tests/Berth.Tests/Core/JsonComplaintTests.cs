using System.Text.Json;
using Berth.Core.Errors;
using Berth.Oci.Images;
using Xunit;

namespace Berth.Tests.Core;

public sealed class JsonComplaintTests
{
    [Theory]
    [InlineData("""{"config":{"Env":[5]}}""", "config.Env[0] must be a string")]
    [InlineData("""{"config":{"Env":"A=b"}}""", "config.Env must be a list")]
    [InlineData("""{"config":[]}""", "config must be an object")]
    [InlineData("""{"config":{"Labels":{"a b":1}}}""", "config.Labels['a b'] must be a string")]
    [InlineData("[]", "it must be an object")]
    [InlineData("""{"config":""", "it is not well-formed JSON")]
    public void A_complaint_says_where_and_what_in_the_document_s_own_terms(string document, string complaint)
    {
        JsonException error = Assert.ThrowsAny<JsonException>(
            () => JsonSerializer.Deserialize(document, OciJson.Default.ImageConfig));

        string said = JsonComplaint.About(error, OciJson.Default.ImageConfig);

        Assert.StartsWith(complaint, said, StringComparison.Ordinal);
        Assert.DoesNotContain("Berth.", said, StringComparison.Ordinal);
    }
}
