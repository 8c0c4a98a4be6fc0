using System.Net;
using System.Text;
using System.Text.Json;
using Berth.Core.Networks;
using Berth.Server.Networks;
using Xunit;

namespace Berth.Tests.Networks;

public sealed class NetworkRecordTests
{
    [Fact]
    public void An_older_server_finds_no_number_between_machines_of_an_encrypted_network()
    {
        Network network = new(
            new NetworkDefinition("0123456789ab", "safe", IPNetwork.Parse("10.20.0.0/16"), false, 1390, ""),
            "somebody", default, new Dictionary<string, string>(), 0x1a2b3c)
        {
            IsEncrypted = true,
        };

        byte[] kept = NetworkDocument.Write(network);

        // It reads 'segment', and makes tunnels in clear where there is one.
        using JsonDocument document = JsonDocument.Parse(kept);
        Assert.False(document.RootElement.TryGetProperty("segment", out _), Encoding.UTF8.GetString(kept));
        Network read = NetworkDocument.Read(kept);
        Assert.Equal((0x1a2b3c, true), (read.Segment, read.IsEncrypted));
        Assert.True(read.On(new SubnetLease("one", 0), IPAddress.Parse("192.168.7.1")).Overlay!.IsEncrypted);
    }
}
