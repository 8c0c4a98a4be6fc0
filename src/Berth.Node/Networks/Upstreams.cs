using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using Berth.Core.Networks;

namespace Berth.Node.Networks;

/// <summary>The resolvers of the machine, as its resolv.conf names them. Each question goes from a port and under an
/// id that nobody can guess (RFC 5452).</summary>
internal sealed class Upstreams
{
    private const string File = "/etc/resolv.conf";
    private const int Port = 53;
    private const int MostServers = 3;
    private const int MostAnswer = 65_535;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(2);

    private readonly Lock gate = new();
    private DateTime readAt;
    private IReadOnlyList<IPAddress> servers = [];

    /// <summary>Null where none answers.</summary>
    public Task<byte[]?> AskAsync(DnsMessage question, byte[] query, CancellationToken cancellationToken) =>
        AskAllAsync((server, token) => AskByDatagramAsync(server, question, query, token), cancellationToken);

    /// <summary>The same for an answer that is too long for a datagram.</summary>
    public Task<byte[]?> AskByStreamAsync(DnsMessage question, byte[] query, CancellationToken cancellationToken) =>
        AskAllAsync((server, token) => AskByStreamAsync(server, question, query, token), cancellationToken);

    /// <summary>What a resolv.conf names.</summary>
    public static IReadOnlyList<IPAddress> Read(IEnumerable<string> lines) =>
    [
        .. lines.Select(line => line.Split((char[])[' ', '\t'], StringSplitOptions.RemoveEmptyEntries))
            .Where(words => words is ["nameserver", _, ..])
            .Select(words => IPAddress.TryParse(words[1], out IPAddress? address) ? address : null)
            .OfType<IPAddress>().Take(MostServers),
    ];

    private async Task<byte[]?> AskAllAsync(
        Func<IPAddress, CancellationToken, Task<byte[]?>> ask, CancellationToken cancellationToken)
    {
        foreach (IPAddress server in Servers())
        {
            using CancellationTokenSource patience =
                CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            patience.CancelAfter(Patience);
            try
            {
                if (await ask(server, patience.Token) is { } answer)
                {
                    return answer;
                }
            }
            catch (Exception error) when (error is SocketException or IOException
                || (error is OperationCanceledException && !cancellationToken.IsCancellationRequested))
            {
                // The next one.
            }
        }

        return null;
    }

    private IReadOnlyList<IPAddress> Servers()
    {
        lock (gate)
        {
            DateTime written = System.IO.File.GetLastWriteTimeUtc(File);
            if (written != readAt)
            {
                readAt = written;
                servers = System.IO.File.Exists(File) ? Read(System.IO.File.ReadLines(File)) : [];
            }

            return servers;
        }
    }

    private static async Task<byte[]?> AskByDatagramAsync(
        IPAddress server, DnsMessage question, byte[] query, CancellationToken cancellationToken)
    {
        using Socket socket = new(server.AddressFamily, SocketType.Dgram, ProtocolType.Udp);
        await socket.ConnectAsync(server, Port, cancellationToken);
        (byte[] asked, ushort id) = Renamed(query);
        await socket.SendAsync(asked, SocketFlags.None, cancellationToken);
        byte[] buffer = new byte[MostAnswer];
        while (true)
        {
            int read = await socket.ReceiveAsync(buffer, SocketFlags.None, cancellationToken);
            if (question.IsAnsweredBy(query, buffer.AsSpan(0, read), id))
            {
                return Returned(buffer.AsSpan(0, read), question.Id);
            }
        }
    }

    private static async Task<byte[]?> AskByStreamAsync(
        IPAddress server, DnsMessage question, byte[] query, CancellationToken cancellationToken)
    {
        using Socket socket = new(server.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(server, Port, cancellationToken);
        await using NetworkStream stream = new(socket);
        (byte[] asked, ushort id) = Renamed(query);
        byte[] length = new byte[2];
        BinaryPrimitives.WriteUInt16BigEndian(length, (ushort)asked.Length);
        await stream.WriteAsync((byte[])[.. length, .. asked], cancellationToken);
        await stream.ReadExactlyAsync(length, cancellationToken);
        byte[] answer = new byte[BinaryPrimitives.ReadUInt16BigEndian(length)];
        await stream.ReadExactlyAsync(answer, cancellationToken);
        return question.IsAnsweredBy(query, answer, id) ? Returned(answer, question.Id) : null;
    }

    private static (byte[] Query, ushort Id) Renamed(byte[] query)
    {
        ushort id = (ushort)RandomNumberGenerator.GetInt32(ushort.MaxValue + 1);
        byte[] renamed = [.. query];
        BinaryPrimitives.WriteUInt16BigEndian(renamed, id);
        return (renamed, id);
    }

    private static byte[] Returned(ReadOnlySpan<byte> answer, ushort id)
    {
        byte[] returned = answer.ToArray();
        BinaryPrimitives.WriteUInt16BigEndian(returned, id);
        return returned;
    }
}
