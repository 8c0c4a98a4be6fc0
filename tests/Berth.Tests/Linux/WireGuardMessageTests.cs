using System.Net;
using Berth.Node.Linux;
using Xunit;

namespace Berth.Tests.Linux;

/// <summary>What the kernel is told of a WireGuard device, byte for byte as another program (pyroute2) writes it.
/// </summary>
public sealed class WireGuardMessageTests
{
    private const ushort Family = 0x22;
    private const string Device = "bw01234567";

    private static readonly byte[] Key = [.. Enumerable.Range(0, 32).Select(i => (byte)i)];

    [Fact]
    public void A_key_and_a_port() => Assert.Equal(
        "58000000220005000100000000000000010100000f00020062773031323334353637000024000300"
        + "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
        + "080005000100000006000600a01b0000",
        Convert.ToHexStringLower(WireGuardSocket.KeyMessage(Family, Device, Key, 7072).Bytes));

    [Fact]
    public void A_machine_at_the_other_end() => Assert.Equal(
        "8c000000220005000100000000000000010100000f0002006277303132333435363700006800088064000180"
        + "24000100000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
        + "08000300020000001400040002001ba0c0a807020000000000000000"
        + "200009801c000180060001000200000008000200c0a807020500030020000000",
        Convert.ToHexStringLower(WireGuardSocket.PeerMessage(
            Family, Device, Key, new IPEndPoint(IPAddress.Parse("192.168.7.2"), 7072),
            IPAddress.Parse("192.168.7.2")).Bytes));
}
