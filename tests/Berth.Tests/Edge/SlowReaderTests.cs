using System.Net.Sockets;
using Berth.Api.Runs;
using Berth.Testing.Server;
using Berth.Tests.Server;
using Xunit;

namespace Berth.Tests.Edge;

/// <summary>Who asks for much and reads none of it is cut off after the operator's time, and costs little.</summary>
[Collection("memory")]
public sealed class SlowReaderTests
{
    private const int Readers = 4;
    private const int MiB = 1024 * 1024;

    /// <summary>More than the kernel takes for both ends of a connection, 4 and 6 MiB as Debian sets them.</summary>
    private const int Length = 24 * MiB;

    [Fact]
    public async Task Answers_that_nobody_reads_are_cut_off_and_memory_stays_flat()
    {
        await using ServerRig rig = await ServerRig.StartAsync(
            o => o with { BodyIdleTimeout = TimeSpan.FromSeconds(1), MaxConnections = Readers + 2 });
        RunView run = await rig.FinishAsync(body: new ByteArrayContent(new byte[Length]));
        long before = GC.GetTotalMemory(forceFullCollection: true);
        RawConnection[] readers = await Task.WhenAll(
            Enumerable.Range(0, Readers).Select(_ => RawConnection.OpenAsync(rig)));
        foreach (RawConnection reader in readers)
        {
            await reader.WriteAsync(
                $"GET /v1/runs/{run.Id}/result HTTP/1.1\r\nHost: a\r\n{reader.Authorization}\r\n");
            Assert.StartsWith(
                "HTTP/1.1 200 ", await reader.ReadUntilAsync("\r\n\r\n"), StringComparison.Ordinal);
        }

        using HttpResponseMessage meanwhile = await rig.GetAsync("/healthz");
        long grown = GC.GetTotalMemory(forceFullCollection: true) - before;
        await SlowClients.AllServedAsync(rig, Readers);

        Assert.True(meanwhile.IsSuccessStatusCode);
        Assert.InRange(grown, long.MinValue, Readers * Length / 2);
        foreach (RawConnection reader in readers)
        {
            using MemoryStream read = new();
            try
            {
                await reader.ReadToEndIntoAsync(read);
            }
            catch (Exception error) when (error is IOException or SocketException)
            {
                // Cut off.
            }

            Assert.InRange(read.Length, 0, Length - 1);
            await reader.DisposeAsync();
        }
    }
}
