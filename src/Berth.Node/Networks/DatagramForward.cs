using System.Net;
using System.Net.Sockets;
using Berth.Core.Networks;

namespace Berth.Node.Networks;

/// <summary>A UDP port of the machine that leads to one of a sandbox. Who sends to it has a socket of his own in the
/// network while he does, by which answers find back to him.</summary>
internal sealed class DatagramForward : IDisposable
{
    /// <summary>Senders at once; the one that was silent longest gives way.</summary>
    private const int MostFlows = 256;
    private const int MostBytes = 65_535;

    private readonly Socket listener;
    private readonly IPEndPoint target;
    private readonly SocketMaker make;
    private readonly CancellationTokenSource closing = new();
    private readonly Dictionary<EndPoint, Flow> flows = [];
    private readonly Lock gate = new();
    private long turn;

    private DatagramForward(Socket listener, IPEndPoint target, SocketMaker make)
    {
        this.listener = listener;
        this.target = target;
        this.make = make;
        _ = ReceiveAsync(closing.Token);
    }

    /// <summary>Throws BerthException (Conflict) where the port is taken.</summary>
    public static DatagramForward Open(PublishedPort port, IPEndPoint target, SocketMaker make) =>
        new(PortForward.Bind(port, SocketType.Dgram, ProtocolType.Udp), target, make);

    public void Dispose()
    {
        closing.Cancel();
        listener.Dispose();
        lock (gate)
        {
            foreach (Flow flow in flows.Values)
            {
                flow.Socket.Dispose();
            }

            flows.Clear();
        }
    }

    private async Task ReceiveAsync(CancellationToken cancellationToken)
    {
        byte[] buffer = new byte[MostBytes];
        EndPoint anyone = new IPEndPoint(
            listener.AddressFamily == AddressFamily.InterNetworkV6 ? IPAddress.IPv6Any : IPAddress.Any, 0);
        while (!cancellationToken.IsCancellationRequested)
        {
            try
            {
                SocketReceiveFromResult got = await listener.ReceiveFromAsync(
                    buffer, SocketFlags.None, anyone, cancellationToken);
                Flow flow = FlowOf(got.RemoteEndPoint, cancellationToken);
                await flow.Socket.SendAsync(
                    buffer.AsMemory(0, got.ReceivedBytes), SocketFlags.None, cancellationToken);
            }
            catch (Exception error) when (error is OperationCanceledException or ObjectDisposedException)
            {
                // Closed; or the flow gave way in this moment, and the datagram is lost as datagrams may be.
            }
            catch (Exception error) when (error is SocketException or IOException)
            {
                // Nobody listens in the sandbox yet, or there is no descriptor for a socket: so it is with datagrams.
            }
        }
    }

    private Flow FlowOf(EndPoint sender, CancellationToken cancellationToken)
    {
        lock (gate)
        {
            ObjectDisposedException.ThrowIf(cancellationToken.IsCancellationRequested, this);
            if (!flows.TryGetValue(sender, out Flow? flow))
            {
                if (flows.Count >= MostFlows)
                {
                    EndPoint oldest = flows.MinBy(pair => pair.Value.Turn).Key;
                    flows[oldest].Socket.Dispose();
                    flows.Remove(oldest);
                }

                flow = new Flow(make(SocketType.Dgram, ProtocolType.Udp));
                flow.Socket.Connect(target);
                flows.Add(sender, flow);
                _ = AnswerAsync(flow, sender, cancellationToken);
            }

            flow.Turn = ++turn;
            return flow;
        }
    }

    private async Task AnswerAsync(Flow flow, EndPoint sender, CancellationToken cancellationToken)
    {
        byte[] buffer = new byte[MostBytes];
        while (!cancellationToken.IsCancellationRequested)
        {
            try
            {
                int read = await flow.Socket.ReceiveAsync(buffer, SocketFlags.None, cancellationToken);
                await listener.SendToAsync(buffer.AsMemory(0, read), SocketFlags.None, sender, cancellationToken);
            }
            catch (SocketException error) when (error.SocketErrorCode == SocketError.ConnectionRefused)
            {
                // As above.
            }
            catch (Exception error) when (error is OperationCanceledException or ObjectDisposedException
                or SocketException)
            {
                return;
            }
        }
    }

    private sealed class Flow(Socket socket)
    {
        public Socket Socket => socket;

        public long Turn { get; set; }
    }
}
