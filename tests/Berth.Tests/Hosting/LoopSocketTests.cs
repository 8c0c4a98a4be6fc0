using System.Net;
using System.Net.Sockets;
using Berth.Server.Loops;
using Microsoft.AspNetCore.Connections;
using Xunit;

namespace Berth.Tests.Hosting;

/// <summary>Sockets of an event loop against plain ones at the other end.</summary>
public sealed class LoopSocketTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    [Fact]
    public async Task Who_waited_goes_on_in_the_loop()
    {
        (LoopSocket ours, Socket theirs) = await PairAsync();
        using (ours)
        using (theirs)
        {
            Task<EventLoop?> reading = ReadAsync(ours);
            theirs.Send([7]);

            Assert.Same(ours.Loop, await reading.WaitAsync(Patience));
        }

        static async Task<EventLoop?> ReadAsync(LoopSocket socket)
        {
            byte[] buffer = new byte[10];
            Assert.Equal(1, await socket.ReceiveAsync(buffer));
            return EventLoop.Current;
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3_000)]
    [InlineData(70_000)]
    public async Task Every_byte_arrives_in_order_whatever_the_pieces(int piece)
    {
        const int Length = 8_000_000;
        byte[] sent = new byte[Length];
        new Random(piece).NextBytes(sent);
        (LoopSocket ours, Socket theirs) = await PairAsync();
        using (ours)
        using (theirs)
        {
            Task echo = EchoAsync(ours, Math.Max(piece, 500));
            Task writing = Task.Run(() =>
            {
                for (int at = 0; at < Length; at += piece * 1_000)
                {
                    theirs.Send(sent.AsSpan(at, Math.Min(piece * 1_000, Length - at)));
                }

                theirs.Shutdown(SocketShutdown.Send);
            });
            byte[] got = new byte[Length + 1];
            int count = 0;
            int read;
            do
            {
                read = await theirs.ReceiveAsync(got.AsMemory(count), SocketFlags.None).AsTask().WaitAsync(Patience);
                count += read;
            }
            while (read > 0);

            await writing.WaitAsync(Patience);
            await echo.WaitAsync(Patience);
            Assert.Equal(Length, count);
            Assert.True(sent.AsSpan().SequenceEqual(got.AsSpan(0, count)));
        }
    }

    /// <summary>More loops' worth of sockets than there are threads, one of which never waits.</summary>
    [Fact]
    public async Task One_that_is_always_ready_holds_up_no_other()
    {
        EventLoop loop = EventLoop.Any();
        (LoopSocket busy, Socket feeding) = await PairAsync(loop);
        (LoopSocket quiet, Socket asking) = await PairAsync(loop);
        using (busy)
        using (quiet)
        {
            using CancellationTokenSource over = new();
            Task flood = Task.Run(() => Flood(feeding, over.Token));
            Task swallowing = SwallowAsync(busy);
            Task echo = EchoAsync(quiet, 100);
            for (int i = 0; i < 200; i++)
            {
                asking.Send([(byte)i]);
                byte[] answer = new byte[1];
                Assert.Equal(1, await asking.ReceiveAsync(answer).WaitAsync(Patience));
                Assert.Equal((byte)i, answer[0]);
            }

            asking.Dispose();
            await echo.WaitAsync(Patience);
            await over.CancelAsync();
            await flood.WaitAsync(Patience);
            await swallowing.WaitAsync(Patience);
        }

        static void Flood(Socket socket, CancellationToken over)
        {
            byte[] block = new byte[64 * 1024];
            while (!over.IsCancellationRequested)
            {
                socket.Send(block);
            }

            socket.Dispose();
        }

        static async Task SwallowAsync(LoopSocket socket)
        {
            byte[] block = new byte[16];
            while (await socket.ReceiveAsync(block) > 0)
            {
            }
        }
    }

    /// <summary>A signal that is lost is lost for good where no socket of the loop has anything to tell.</summary>
    [Fact]
    public async Task Who_comes_from_other_threads_has_a_turn_however_many_come_at_once()
    {
        EventLoop loop = EventLoop.Any();
        await Task.WhenAll(Enumerable.Range(0, 8).Select(seed => Task.Run(async () =>
        {
            Random random = new(seed);
            for (int i = 0; i < 10_000; i++)
            {
                await loop.NextTurn();
                await new PoolTurn();
                Thread.SpinWait(random.Next(500));
            }
        }))).WaitAsync(Patience);
    }

    [Fact]
    public async Task What_is_behind_an_urgent_mark_arrives_without_another_byte()
    {
        (LoopSocket ours, Socket theirs) = await PairAsync();
        using (ours)
        using (theirs)
        {
            byte[] buffer = new byte[10];
            Task<int> reading = ours.ReceiveAsync(buffer).AsTask();
            theirs.Send("ab"u8);
            Assert.Equal(2, await reading.WaitAsync(Patience));
            theirs.Send("cd!"u8, SocketFlags.OutOfBand);
            theirs.Send("ef"u8);
            int count = 0;
            while (count < 4)
            {
                count += await ours.ReceiveAsync(buffer.AsMemory(count)).AsTask().WaitAsync(Patience);
            }

            Assert.Equal("cdef"u8.ToArray(), buffer[..4]);
        }
    }

    [Fact]
    public async Task Disposing_ends_a_read_under_way()
    {
        (LoopSocket ours, Socket theirs) = await PairAsync();
        using (theirs)
        {
            ValueTask<int> reading = ours.ReceiveAsync(new byte[1]);
            ours.Dispose();

            await Assert.ThrowsAsync<ObjectDisposedException>(() => reading.AsTask().WaitAsync(Patience));
            Assert.Equal(0, await theirs.ReceiveAsync(new byte[1]).WaitAsync(Patience));
        }
    }

    [Fact]
    public async Task Disposing_ends_a_write_under_way()
    {
        (LoopSocket ours, Socket theirs) = await PairAsync();
        using (theirs)
        {
            Task writing = ours.SendAsync(new byte[50_000_000]).AsTask();
            ours.Dispose();

            await Assert.ThrowsAsync<ObjectDisposedException>(() => writing.WaitAsync(Patience));
        }
    }

    [Fact]
    public async Task An_abort_is_no_orderly_end()
    {
        (LoopSocket ours, Socket theirs) = await PairAsync();
        using (theirs)
        {
            ours.Abort();

            SocketException reset = await Assert.ThrowsAsync<SocketException>(
                () => theirs.ReceiveAsync(new byte[1]).WaitAsync(Patience));
            Assert.Equal(SocketError.ConnectionReset, reset.SocketErrorCode);
        }
    }

    [Fact]
    public async Task A_reset_by_the_other_end_is_told()
    {
        (LoopSocket ours, Socket theirs) = await PairAsync();
        using (ours)
        {
            ValueTask<int> reading = ours.ReceiveAsync(new byte[1]);
            theirs.Close(timeout: 0);

            await Assert.ThrowsAsync<ConnectionResetException>(() => reading.AsTask().WaitAsync(Patience));
        }
    }

    [Fact]
    public async Task What_came_before_the_end_is_read_before_it()
    {
        (LoopSocket ours, Socket theirs) = await PairAsync();
        using (ours)
        {
            theirs.Send([1, 2, 3]);
            theirs.Dispose();
            byte[] buffer = new byte[10];

            Assert.Equal(3, await ours.ReceiveAsync(buffer).AsTask().WaitAsync(Patience));
            Assert.Equal(0, await ours.ReceiveAsync(buffer).AsTask().WaitAsync(Patience));
            Assert.Equal(0, await ours.ReceiveAsync(buffer).AsTask().WaitAsync(Patience));
        }
    }

    private static async Task EchoAsync(LoopSocket socket, int block)
    {
        byte[] buffer = new byte[block];
        int count;
        while ((count = await socket.ReceiveAsync(buffer)) > 0)
        {
            await socket.SendAsync(buffer.AsMemory(0, count));
        }

        socket.Dispose();
    }

    private static async Task<(LoopSocket Ours, Socket Theirs)> PairAsync(EventLoop? loop = null)
    {
        using Socket listener = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen();
        Socket theirs = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        Task<Socket> accepting = listener.AcceptAsync();
        await theirs.ConnectAsync(listener.LocalEndPoint!);
        return (new LoopSocket(await accepting, loop ?? EventLoop.Any()), theirs);
    }
}
