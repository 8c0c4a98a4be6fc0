using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using Berth.Node.Linux;
using Xunit;

namespace Berth.Tests.Linux;

/// <summary>Connections that are waited for in a poller's threads.</summary>
public sealed class PolledSocketTests : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly ReadinessPoller poller = new();
    private readonly TcpListener listener = new(IPAddress.Loopback, 0);

    public PolledSocketTests() => listener.Start();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private IPEndPoint Address => (IPEndPoint)listener.LocalEndpoint;

    public void Dispose()
    {
        listener.Dispose();
        poller.Dispose();
    }

    [Fact]
    public async Task What_is_sent_both_ways_at_once_arrives_whatever_the_sizes()
    {
        (PolledSocket here, Socket there) = await ConnectAsync();
        await using PolledSocket accepted = PolledSocket.Over(there, poller);
        byte[] question = RandomNumberGenerator.GetBytes(3_000_001);
        byte[] answer = RandomNumberGenerator.GetBytes(5_000_003);

        Task asking = SendAsync(here, question);
        Task answering = SendAsync(accepted, answer);
        byte[] asked = await AllOfAsync(accepted);
        byte[] answered = await AllOfAsync(here);
        await Task.WhenAll(asking, answering).WaitAsync(Patience, Token);

        Assert.Equal(question, asked);
        Assert.Equal(answer, answered);
        await here.DisposeAsync();
        await accepted.DisposeAsync();
        Assert.Equal(0, poller.WatchedCount);
    }

    [Fact]
    public async Task Who_waits_goes_on_in_a_thread_of_the_poller()
    {
        (PolledSocket here, Socket there) = await ConnectAsync();
        await using PolledSocket ours = here;
        using Socket other = there;
        Task<string?> thread = ThreadOfAsync();

        other.Send([1]);

        Assert.StartsWith("Berth node", await thread.WaitAsync(Patience, Token), StringComparison.Ordinal);

        async Task<string?> ThreadOfAsync()
        {
            int came = await ours.ReadAsync(new byte[8], Token);
            return came == 1 ? Thread.CurrentThread.Name : null;
        }
    }

    /// <summary>What it stood for before is over: the stream's own end must not take the connection with it.</summary>
    [Fact]
    public async Task A_stream_over_a_socket_is_taken_over_and_stays_connected()
    {
        using Socket plain = new(SocketType.Stream, ProtocolType.Tcp);
        plain.Connect(Address);
        using Socket there = await listener.AcceptSocketAsync(Token);
        byte[] buffer = new byte[8];

        await using Stream over = PolledSocket.Over(new NetworkStream(plain, ownsSocket: true), poller);
        GC.Collect();
        GC.WaitForPendingFinalizers();
        await over.WriteAsync(new byte[] { 7 }, Token);
        int came = there.Receive(buffer);
        there.Send([8, 9]);

        Assert.Equal(1, came);
        Assert.Equal(2, await over.ReadAsync(buffer, Token).AsTask().WaitAsync(Patience, Token));
        Assert.Equal(8, buffer[0]);
    }

    [Fact]
    public async Task A_stream_without_a_socket_stays_what_it_is()
    {
        using MemoryStream memory = new();

        await using Stream over = PolledSocket.Over(memory, poller);

        Assert.Same(memory, over);
    }

    [Fact]
    public async Task Who_ends_its_writing_still_reads()
    {
        (PolledSocket here, Socket there) = await ConnectAsync();
        await using PolledSocket ours = here;
        using Socket other = there;
        byte[] buffer = new byte[8];

        ours.EndWriting();

        Assert.Equal(0, other.Receive(buffer));
        other.Send([1, 2, 3]);
        Assert.Equal(3, await ours.ReadAsync(buffer, Token).AsTask().WaitAsync(Patience, Token));
        other.Dispose();
        Assert.Equal(0, await ours.ReadAsync(buffer, Token).AsTask().WaitAsync(Patience, Token));
        await ours.DisposeAsync();
        ours.EndWriting();
    }

    [Fact]
    public async Task A_reset_is_an_error_and_no_end()
    {
        (PolledSocket here, Socket there) = await ConnectAsync();
        await using PolledSocket ours = here;
        Task<int> reading = ours.ReadAsync(new byte[8], Token).AsTask();

        there.Close(timeout: 0);

        LinuxException error = await Assert.ThrowsAsync<LinuxException>(() => reading.WaitAsync(Patience, Token));
        Assert.Equal(Errno.ConnectionReset, error.Errno);
    }

    /// <summary>Else a torn answer would be taken for a whole one.</summary>
    [Fact]
    public async Task What_is_closed_here_has_not_ended_to_who_reads_it()
    {
        for (int i = 0; i < 200; i++)
        {
            (PolledSocket here, Socket there) = await ConnectAsync();
            using Socket other = there;
            Task<int> reading = Task.Run(async () => await here.ReadAsync(new byte[8], Token), Token);
            if (i % 2 == 0)
            {
                await Task.Yield();
            }

            await here.DisposeAsync();

            await Assert.ThrowsAsync<ObjectDisposedException>(() => reading.WaitAsync(Patience, Token));
            Assert.Equal(0, other.Receive(new byte[8]));
        }

        Assert.Equal(0, poller.WatchedCount);
    }

    [Fact]
    public async Task A_read_that_is_cancelled_loses_nothing()
    {
        (PolledSocket here, Socket there) = await ConnectAsync();
        await using PolledSocket ours = here;
        using Socket other = there;
        using CancellationTokenSource soon = new();
        byte[] buffer = new byte[8];
        Task<int> reading = ours.ReadAsync(buffer, soon.Token).AsTask();

        await soon.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => reading.WaitAsync(Patience, Token));
        other.Send([5]);
        Assert.Equal(1, await ours.ReadAsync(buffer, Token).AsTask().WaitAsync(Patience, Token));
        Assert.Equal(5, buffer[0]);
    }

    [Fact]
    public async Task Of_several_addresses_the_first_that_answers_is_taken()
    {
        await using PolledSocket socket = await PolledSocket.ConnectAsync([Deaf(), Address], poller, Token);
        using Socket there = await listener.AcceptSocketAsync(Token);

        Assert.Equal(there.RemoteEndPoint, socket.LocalEndPoint);
    }

    [Fact]
    public async Task Where_nothing_listens_the_address_and_the_reason_are_told()
    {
        IPEndPoint deaf = Deaf();

        LinuxException error = await Assert.ThrowsAsync<LinuxException>(
            () => PolledSocket.ConnectAsync([Deaf(), deaf], poller, Token).WaitAsync(Patience, Token));

        Assert.Contains(deaf.ToString(), error.Message, StringComparison.Ordinal);
        Assert.Equal("Connection refused", new System.ComponentModel.Win32Exception(error.Errno).Message);
        Assert.Equal(0, poller.WatchedCount);
    }

    [Fact]
    public async Task A_way_that_nobody_answers_on_ends_with_who_waits()
    {
        // A full backlog: the kernel answers nobody more.
        using Socket full = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        full.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        full.Listen(0);
        List<Socket> waiting = [];
        for (int i = 0; i < 4; i++)
        {
            Socket one = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { Blocking = false };
            waiting.Add(one);
            Assert.Equal(
                SocketError.WouldBlock, Assert.Throws<SocketException>(() => one.Connect(full.LocalEndPoint!))
                    .SocketErrorCode);
        }

        using CancellationTokenSource soon = new();
        Task<PolledSocket> connecting = PolledSocket.ConnectAsync(
            [(IPEndPoint)full.LocalEndPoint!], poller, soon.Token);
        Assert.False(connecting.IsCompleted);
        await soon.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => connecting.WaitAsync(Patience, Token));
        Assert.Equal(0, poller.WatchedCount);
        waiting.ForEach(static one => one.Dispose());
    }

    /// <summary>An address where nothing listens.</summary>
    private static IPEndPoint Deaf()
    {
        using Socket bound = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        bound.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return (IPEndPoint)bound.LocalEndPoint!;
    }

    private static async Task SendAsync(PolledSocket socket, byte[] bytes)
    {
        await socket.WriteAsync(bytes, Token);
        socket.EndWriting();
    }

    private static async Task<byte[]> AllOfAsync(PolledSocket socket)
    {
        using MemoryStream all = new();
        await socket.CopyToAsync(all, Token).WaitAsync(Patience, Token);
        return all.ToArray();
    }

    private async Task<(PolledSocket Here, Socket There)> ConnectAsync()
    {
        PolledSocket here = await PolledSocket.ConnectAsync([Address], poller, Token).WaitAsync(Patience, Token);
        return (here, await listener.AcceptSocketAsync(Token));
    }
}
