using System.Net;
using System.Net.Sockets;
using Berth.Core.Callbacks;
using Berth.Core.Errors;

namespace Berth.Server.Callbacks;

/// <summary>
/// Connects to a host that somebody from outside named. The address is chosen when the connection is made and checked
/// then, so that a name can't change its mind between check and use.
/// </summary>
/// <param name="code">What a refusal is called.</param>
/// <param name="setting">The operator's setting that allows more.</param>
internal sealed class GuardedConnection(CallbackPolicy policy, ErrorCode code, string setting)
{
    public async ValueTask<Stream> ConnectAsync(
        SocketsHttpConnectionContext context, CancellationToken cancellationToken)
    {
        DnsEndPoint target = context.DnsEndPoint;
        IPAddress[] addresses = IPAddress.TryParse(target.Host, out IPAddress? literal)
            ? [literal]
            : await Dns.GetHostAddressesAsync(target.Host, cancellationToken);
        IPAddress[] open = [.. addresses.Where(address => policy.Allows(target.Host, address))];
        if (open.Length == 0)
        {
            throw new BerthException(
                code,
                $"{target.Host} has no public address, only {string.Join(", ", addresses.Take(4))}. "
                + $"The operator's {setting} may allow it.");
        }

        Socket socket = new(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(open, target.Port, cancellationToken);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }
}
