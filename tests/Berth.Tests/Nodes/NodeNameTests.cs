using Berth.Core.Nodes;
using Xunit;

namespace Berth.Tests.Nodes;

public sealed class NodeNameTests
{
    [Theory]
    [InlineData("Host_1.Example", "host_1.example")]
    [InlineData("-x-", "x")]
    [InlineData("", "node")]
    [InlineData("ä", "node")]
    public void A_host_name_is_made_to_fit(string hostName, string name)
    {
        Assert.Equal(name, NodeName.From(hostName));
        Assert.True(NodeName.IsValid(name));
    }
}
