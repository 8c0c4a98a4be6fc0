using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using Berth.Core.Networks;
using Microsoft.Extensions.Logging;

namespace Berth.Node.Networks;

/// <summary>
/// The resolver of a network, at its gateway's address: names of the network's programs from its own table, everything
/// else from the machine's resolvers. It hears the network's programs only. What it can't read it does not answer.
/// </summary>
internal sealed class Resolver : IAsyncDisposable
{
    private const int Port = 53;

    /// <summary>Questions at once that wait for somebody else; more are told to come again.</summary>
    private const int MostForwarded = 64;

    /// <summary>Connections at once, each for one question.</summary>
    private const int MostConnections = 16;
    private const int MostAnswer = 65_535;

    /// <summary>A program may move, and is found again after so long.</summary>
    private static readonly TimeSpan Lives = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan ConnectionPatience = TimeSpan.FromSeconds(10);

    private readonly BridgeNetwork network;
    private readonly Socket datagrams;
    private readonly Socket connections;
    private readonly Upstreams upstreams = new();
    private readonly SemaphoreSlim forwarded = new(MostForwarded);
    private readonly SemaphoreSlim connected = new(MostConnections);
    private readonly CancellationTokenSource closing = new();
    private readonly ILogger logger;
    private Task serving = Task.CompletedTask;

    private Resolver(BridgeNetwork network, Socket datagrams, Socket connections, ILogger logger)
    {
        this.network = network;
        this.datagrams = datagrams;
        this.connections = connections;
        this.logger = logger;
    }

    /// <summary>Throws SocketException, LinuxException.</summary>
    public static Resolver Start(BridgeNetwork network, ILogger logger)
    {
        IPEndPoint place = new(network.Definition.Gateway, Port);
        Socket datagrams = network.MakeSocket(SocketType.Dgram, ProtocolType.Udp);
        Socket? connections = null;
        try
        {
            datagrams.Bind(place);
            connections = network.MakeSocket(SocketType.Stream, ProtocolType.Tcp);
            connections.Bind(place);
            connections.Listen(MostConnections);
        }
        catch
        {
            datagrams.Dispose();
            connections?.Dispose();
            throw;
        }

        Resolver made = new(network, datagrams, connections, logger);
        CancellationToken token = made.closing.Token;
        made.serving = Task.WhenAll(
            Task.Run(() => made.ReceiveAsync(token), token),
            Task.Run(() => AcceptLoop.RunAsync(connections, made.connected, made.ServeAsync, token), token));
        return made;
    }

    public async ValueTask DisposeAsync()
    {
        await closing.CancelAsync();
        datagrams.Dispose();
        connections.Dispose();
        await serving.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    private async Task ReceiveAsync(CancellationToken cancellationToken)
    {
        byte[] buffer = new byte[DnsMessage.MaxQuery + 1];
        EndPoint anyone = new IPEndPoint(IPAddress.Any, 0);
        while (!cancellationToken.IsCancellationRequested)
        {
            try
            {
                SocketReceiveFromResult got = await datagrams.ReceiveFromAsync(
                    buffer, SocketFlags.None, anyone, cancellationToken);
                byte[] query = buffer.AsSpan(0, got.ReceivedBytes).ToArray();
                if (DnsMessage.Read(query) is { } question)
                {
                    await ReplyAsync(question, query, got.RemoteEndPoint, cancellationToken);
                }
            }
            catch (Exception error) when (error is OperationCanceledException or ObjectDisposedException)
            {
                return;
            }
            catch (SocketException error)
            {
                // For instance that somebody is not there any more who was answered.
                Log.ResolverFailed(logger, network.Definition.Name, error);
            }
        }
    }

    private async Task ReplyAsync(
        DnsMessage question, byte[] query, EndPoint sender, CancellationToken cancellationToken)
    {
        if (AnswerOwn(question, query) is { } own)
        {
            await datagrams.SendToAsync(own, SocketFlags.None, sender, cancellationToken);
        }
        else if (await forwarded.WaitAsync(TimeSpan.Zero, cancellationToken))
        {
            _ = ForwardAsync(question, query, sender, cancellationToken);
        }
        else
        {
            await datagrams.SendToAsync(
                question.Answer(query, DnsOutcome.Failed), SocketFlags.None, sender, cancellationToken);
        }
    }

    private async Task ForwardAsync(
        DnsMessage question, byte[] query, EndPoint sender, CancellationToken cancellationToken)
    {
        try
        {
            byte[] answer = await upstreams.AskAsync(question, query, cancellationToken)
                ?? question.Answer(query, DnsOutcome.Failed);
            await datagrams.SendToAsync(answer, SocketFlags.None, sender, cancellationToken);
        }
        catch (Exception error) when (error is OperationCanceledException or ObjectDisposedException
            or SocketException)
        {
            // Whoever asked asks again.
        }
        finally
        {
            forwarded.Release();
        }
    }

    /// <summary>Null for what others know.</summary>
    private byte[]? AnswerOwn(DnsMessage question, byte[] query)
    {
        if (question.Reversed() is { } address && network.Definition.Subnet.Contains(address))
        {
            return network.Names.NameOf(address) is { } known
                ? question.Answer(query, known, Lives)
                : question.Answer(query, DnsOutcome.NoSuchName);
        }

        string ending = "." + network.Definition.Name;
        string name = question.Name.EndsWith(ending, StringComparison.Ordinal)
            ? question.Name[..^ending.Length]
            : question.Name;
        IReadOnlyList<IPAddress> found = network.Names.Find(name, DnsMessage.MaxAnswers);
        return found.Count > 0
            ? question.Answer(query, question.Type == DnsMessage.TypeAddress ? found : [], Lives)
            : name.Contains('.', StringComparison.Ordinal) && !network.Definition.IsInternal
                ? null
                // What has one part only is meant for here, and told nobody.
                : question.Answer(query, DnsOutcome.NoSuchName);
    }

    /// <summary>One question with its length before it (section 4.2.2), then the end.</summary>
    private async Task ServeAsync(Socket client, CancellationToken cancellationToken)
    {
        using CancellationTokenSource patience = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        patience.CancelAfter(ConnectionPatience);
        try
        {
            await using NetworkStream stream = new(client, ownsSocket: true);
            byte[] length = new byte[2];
            await stream.ReadExactlyAsync(length, patience.Token);
            int size = BinaryPrimitives.ReadUInt16BigEndian(length);
            if (size > DnsMessage.MaxQuery)
            {
                return;
            }

            byte[] query = new byte[size];
            await stream.ReadExactlyAsync(query, patience.Token);
            if (DnsMessage.Read(query) is not { } question)
            {
                return;
            }

            byte[] answer = AnswerOwn(question, query)
                ?? await upstreams.AskByStreamAsync(question, query, patience.Token)
                ?? question.Answer(query, DnsOutcome.Failed);
            BinaryPrimitives.WriteUInt16BigEndian(length, (ushort)Math.Min(answer.Length, MostAnswer));
            await stream.WriteAsync((byte[])[.. length, .. answer], patience.Token);
        }
        catch (Exception error) when (error is OperationCanceledException or IOException or SocketException)
        {
            // Whoever asked has gone, or takes too long.
        }
        finally
        {
            connected.Release();
        }
    }
}
