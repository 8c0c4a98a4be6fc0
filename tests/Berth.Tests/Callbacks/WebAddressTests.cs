using Berth.Core.Callbacks;
using Xunit;

namespace Berth.Tests.Callbacks;

public sealed class WebAddressTests
{
    [Theory]
    [InlineData("http://a")]
    [InlineData("HTTPS://a:8443/b?c#d")]
    [InlineData("http://[::1]:80/")]
    [InlineData("http://user@a/")]
    public void Http_and_https_are_taken(string text)
    {
        Assert.True(WebAddress.TryParse(text, out Uri? address));
        Assert.NotEmpty(address.Host);
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("a")]
    [InlineData("/a")]
    [InlineData("//a")]
    [InlineData("//\u202e")]
    [InlineData("http:a")]
    [InlineData("http://")]
    [InlineData("http://\u202e")]
    [InlineData("http://b\u00fccher/")]
    [InlineData("http://a b/")]
    [InlineData("http://a\r\n/")]
    [InlineData("file:///etc/passwd")]
    [InlineData("ftp://a")]
    public void Anything_else_is_none(string? text)
    {
        Assert.False(WebAddress.TryParse(text, out Uri? address));
        Assert.Null(address);
    }
}
