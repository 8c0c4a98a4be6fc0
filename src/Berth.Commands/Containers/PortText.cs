using System.Globalization;
using System.Net;
using Berth.Api.Networks;
using Berth.Core.Errors;

namespace Berth.Commands.Containers;

/// <summary>Ports as docker's <c>-p</c> writes them.</summary>
internal static class PortText
{
    /// <summary>Throws InvalidRequest.</summary>
    public static PortView Read(string text)
    {
        int slash = text.LastIndexOf('/');
        string? protocol = slash < 0 ? null : text[(slash + 1)..];
        string rest = slash < 0 ? text : text[..slash];
        int second = rest.LastIndexOf(':');
        int first = second <= 0 ? -1 : rest.LastIndexOf(':', second - 1);
        string? address = first < 0 ? null : rest[..first].Trim('[', ']');
        return second > 0 && protocol is null or "tcp" or "udp"
            && TryPort(rest[(first + 1)..Math.Max(second, first + 1)], out int port)
            && TryPort(rest[(second + 1)..], out int target)
            && (address is null || IPAddress.TryParse(address, out _))
            ? new PortView(port, target, protocol, address)
            : throw new BerthException(
                ErrorCode.InvalidRequest,
                $"--publish: '{text}' is no port: write [IP:]PORT:PORT[/udp], the machine's first, such as 8080:80.");
    }

    private static bool TryPort(string text, out int port) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out port)
        && port is >= 1 and <= ushort.MaxValue;
}
